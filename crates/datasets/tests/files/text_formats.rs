//! Csv, JSON and plain text.

use ai_energy_datasets::Options;

use crate::bench::{Folder, column, fault_of, load, options, texts, texts_of};

#[tokio::test]
async fn csv_of_every_separator_with_quotes_and_lines_in_cells() {
    let with_quotes = "id,text\r\n1,\"two\nlines, and \"\"quotes\"\"\"\r\n2,a 6\" pipe\r\n3,last";
    assert_eq!(texts_of("a.csv", with_quotes).await, ["two\nlines, and \"quotes\"", "a 6\" pipe", "last"]);
    assert_eq!(texts_of("a.csv", "\u{feff}text;id\na, b;1\nc;2\n").await, ["a, b", "c"]);
    assert_eq!(texts_of("a.tsv", "id\ttext\n1\ta, b\n").await, ["a, b"]);
    assert_eq!(texts_of("a.CSV", "text\nonly column\n").await, ["only column"]);
}

#[tokio::test]
async fn csv_faults_name_the_line() {
    let ragged = fault_of("a.csv", "id,text\n1,\"a\nb\"\n2,c,d\n").await;
    assert_eq!(ragged.cause, "line 4 has 3 cells where the header has 2");
    let open = fault_of("a.csv", "id,text\n1,a\n2,\"b\n3,c\n").await;
    assert_eq!(open.cause, "a double quote is opened in the record at line 3 and never closed");
    let utf8 = fault_of("a.csv", b"id,text\n1,a\n2,\xff\n").await;
    assert_eq!(utf8.cause, "line 3 is no valid UTF-8");
    assert_eq!(fault_of("a.csv", "").await.cause, "is empty");
    assert_eq!(fault_of("a.csv", "id,text\n").await.cause, "is empty");
    assert_eq!(fault_of("a.csv", b"\xff\xfet\0e\0").await.cause, "is in UTF-16");
    let column = fault_of("a.csv", "id,txt\n1,a\n").await;
    assert_eq!(column.cause, "has no column `text`; it has `id`, `txt`");
    assert_eq!(column.remedy, "did you mean `txt`? set scenario.text_column_name");
}

#[tokio::test]
async fn csv_numbers_stay_as_written_and_are_told() {
    let folder = Folder::new();
    let path = folder.write("a.csv", "text\n007\n1e3\nword\nnan\n");
    let loaded = load(&options(&path), 9).await.unwrap();
    assert_eq!(texts(&loaded), ["007", "1e3", "word", "nan"]);
    assert!(loaded.warnings[0].contains("2 cell(s) held a number"), "{:?}", loaded.warnings);
    assert_eq!(loaded.info.rows, Some(4));
    let some = load(&options(&path), 2).await.unwrap();
    assert_eq!(some.info.rows, None, "not all rows were read");
}

#[tokio::test]
async fn json_lines_of_texts_and_of_conversations() {
    let rows = "{\"text\": \"a\"}\n\n{\"text\": null}\n{\"other\": 1}\r\n{\"text\": 5}";
    let folder = Folder::new();
    let path = folder.write("a.jsonl", rows);
    let loaded = load(&options(&path), 100).await.unwrap();
    assert_eq!(texts(&loaded), ["a", "5"]);
    assert_eq!(loaded.prompts[1].index, 3, "blank lines are no rows");
    assert!(loaded.warnings[0].contains("2 row(s) without a prompt"), "{:?}", loaded.warnings);

    let chat = r#"{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]}"#;
    let path = folder.write("b.ndjson", chat);
    for options in [options(&path), column(&path, "messages")] {
        let prompt = &load(&options, 1).await.unwrap().prompts[0];
        let said: Vec<_> = prompt.messages.iter().map(|m| (m.role.word(), m.content.as_str())).collect();
        assert_eq!(said, [("system", "S"), ("user", "U")]);
    }
    let wrong = load(&column(&path, "message"), 1).await.unwrap_err();
    assert_eq!(wrong.remedy, "did you mean `messages`? set scenario.text_column_name");
}

#[tokio::test]
async fn json_line_faults_name_the_line() {
    let broken = fault_of("a.jsonl", "{\"text\": \"a\"}\n{\"text\": }\n").await;
    assert!(broken.cause.starts_with("line 2 is no valid JSON: expected value at column 10"), "{broken}");
    assert_eq!(fault_of("a.jsonl", "{\"text\": \"a\"}\n[1]\n").await.cause, "line 2 is no JSON object");
    assert_eq!(
        fault_of("a.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n").await.cause,
        "line 2 is no valid UTF-8"
    );
    let object = fault_of("a.jsonl", "{\"text\": {\"x\": 1}}").await;
    assert_eq!(object.cause, "line 1, column `text`: holds an object, not a text or a conversation");
    assert_eq!(fault_of("a.jsonl", "\n\n").await.cause, "is empty");
    assert_eq!(fault_of("a.jsonl", "{\"text\": \" \"}").await.cause, "none of its 1 rows holds a prompt");
}

#[tokio::test]
async fn no_more_is_read_than_asked_for() {
    let folder = Folder::new();
    let path = folder.write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\nthis line is broken\n");
    assert_eq!(load(&options(&path), 2).await.unwrap().prompts.len(), 2);
    assert!(load(&options(&path), 3).await.is_err());
    let seeded = Options { shuffle_seed: Some(1), ..options(&path) };
    assert!(load(&seeded, 2).await.is_err(), "a draw reads everything");
}

#[tokio::test]
async fn json_documents_in_the_layouts_that_are_about() {
    let sharegpt = r#"[{"id": "x", "conversations": [{"from": "human", "value": "H"}, {"from": "gpt", "value": "G"},
                       {"from": "human", "value": "H2"}]}, {"id": "y", "conversations": []}]"#;
    assert_eq!(texts_of("a.json", sharegpt).await, ["H"]);
    let chat = r#"[{"messages": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}]"#;
    assert_eq!(texts_of("a.json", chat).await, ["U"]);
    assert_eq!(texts_of("a.json", r#"["p", "q"]"#).await, ["p", "q"]);
    assert_eq!(texts_of("a.json", r#"{"version": 1, "data": [{"text": "t"}]}"#).await, ["t"]);
    assert_eq!(texts_of("a.json", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n").await, ["one", "two"]);
    assert_eq!(texts_of("a.json", "{\"text\": \"one\"}").await, ["one"]);
    let broken = fault_of("a.json", "[{\"text\": \"a\"},\n {]").await;
    assert!(broken.cause.starts_with("is no valid JSON: ") && broken.cause.contains("line 2"), "{broken}");
    assert_eq!(fault_of("a.json", "[]").await.cause, "is empty");
    assert_eq!(fault_of("a.json", "[1]").await.cause, "row 1 is neither an object nor a text");
    let tool = fault_of("a.json", r#"[{"messages": [{"role": "tool", "content": "x"}]}]"#).await;
    assert!(tool.cause.starts_with("row 1, column `messages`: turn 1: speaker `tool`"), "{tool}");
}

#[tokio::test]
async fn text_by_the_line_or_by_a_separator() {
    assert_eq!(texts_of("a.txt", "\u{feff}one\r\n\n  two\n").await, ["one", "  two"]);
    let folder = Folder::new();
    let path = folder.write("a.txt", "first\nline\n\nmore\n---\nsecond\n---\n\n---\n");
    let separated = Options { txt_separator: Some("---".to_owned()), ..options(&path) };
    let loaded = load(&separated, 9).await.unwrap();
    assert_eq!(texts(&loaded), ["first\nline\n\nmore", "second"]);
    assert_eq!(fault_of("a.txt", b"ok\nbad \xc3(\n").await.cause, "line 2 is no valid UTF-8");
    assert_eq!(fault_of("a.txt", " \n").await.cause, "is empty");
}
