//! Real files of every format: what is read of them, and what is said of broken ones.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, LoadedPrompts};
use ai_energy_datasets::{HubEnv, KINDS, Options, open_with};
use proptest::prelude::*;

/// Surroundings without a network, so that a wrong turn to the hub shows at once.
fn env() -> HubEnv {
    HubEnv::from_lookup(&|name| match name {
        "HF_HUB_OFFLINE" => Some("1".to_owned()),
        "HF_HOME" => Some("/nonexistent".to_owned()),
        _ => None,
    })
}

async fn load(options: &Options, limit: usize) -> Result<LoadedPrompts, Fault> {
    open_with(options, &env())?.load(limit, &()).await
}

fn options(path: &Path) -> Options {
    Options {
        dataset_name: path.to_str().unwrap().to_owned(),
        ..Options::default()
    }
}

fn column(path: &Path, column: &str) -> Options {
    Options {
        text_column_name: column.to_owned(),
        ..options(path)
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

async fn texts_of(name: &str, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    texts(
        &load(&options(&path), 100)
            .await
            .unwrap_or_else(|fault| panic!("{name}: {fault}")),
    )
}

fn texts(loaded: &LoadedPrompts) -> Vec<String> {
    loaded
        .prompts
        .iter()
        .map(|prompt| prompt.messages[0].content.clone())
        .collect()
}

async fn fault_of(name: &str, bytes: impl AsRef<[u8]>) -> Fault {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    let fault = load(&options(&path), 100).await.unwrap_err();
    assert_eq!(fault.object, format!("dataset {}", path.display()));
    fault
}

#[tokio::test]
async fn csv_of_every_separator_with_quotes_and_lines_in_cells() {
    let with_quotes = "id,text\r\n1,\"two\nlines, and \"\"quotes\"\"\"\r\n2,a 6\" pipe\r\n3,last";
    assert_eq!(
        texts_of("a.csv", with_quotes).await,
        ["two\nlines, and \"quotes\"", "a 6\" pipe", "last"]
    );
    assert_eq!(
        texts_of("a.csv", "\u{feff}text;id\na, b;1\nc;2\n").await,
        ["a, b", "c"]
    );
    assert_eq!(texts_of("a.tsv", "id\ttext\n1\ta, b\n").await, ["a, b"]);
    assert_eq!(texts_of("a.CSV", "text\nonly column\n").await, ["only column"]);
}

#[tokio::test]
async fn csv_faults_name_the_line() {
    let ragged = fault_of("a.csv", "id,text\n1,\"a\nb\"\n2,c,d\n").await;
    assert_eq!(ragged.cause, "line 4 has 3 cells where the header has 2");
    let open = fault_of("a.csv", "id,text\n1,a\n2,\"b\n3,c\n").await;
    assert_eq!(
        open.cause,
        "a double quote is opened in the record at line 3 and never closed"
    );
    let utf8 = fault_of("a.csv", b"id,text\n1,a\n2,\xff\n").await;
    assert_eq!(utf8.cause, "line 3 is no valid UTF-8");
    assert_eq!(fault_of("a.csv", "").await.cause, "is empty");
    assert_eq!(fault_of("a.csv", "id,text\n").await.cause, "is empty");
    assert_eq!(fault_of("a.csv", b"\xff\xfet\0e\0").await.cause, "is in UTF-16");
    let column = fault_of("a.csv", "id,txt\n1,a\n").await;
    assert_eq!(column.cause, "has no column `text`; it has `id`, `txt`");
    assert_eq!(column.remedy, "did you mean `txt`? set text_column_name");
}

#[tokio::test]
async fn csv_numbers_stay_as_written_and_are_told() {
    let folder = Folder::new();
    let path = folder.write("a.csv", "text\n007\n1e3\nword\nnan\n");
    let loaded = load(&options(&path), 9).await.unwrap();
    assert_eq!(texts(&loaded), ["007", "1e3", "word", "nan"]);
    assert!(
        loaded.warnings[0].contains("2 cell(s) held a number"),
        "{:?}",
        loaded.warnings
    );
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
    assert!(
        loaded.warnings[0].contains("2 row(s) without a prompt"),
        "{:?}",
        loaded.warnings
    );

    let chat = r#"{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]}"#;
    let path = folder.write("b.ndjson", chat);
    for options in [options(&path), column(&path, "messages")] {
        let prompt = &load(&options, 1).await.unwrap().prompts[0];
        let said: Vec<_> = prompt
            .messages
            .iter()
            .map(|m| (m.role.word(), m.content.as_str()))
            .collect();
        assert_eq!(said, [("system", "S"), ("user", "U")]);
    }
    let wrong = load(&column(&path, "message"), 1).await.unwrap_err();
    assert_eq!(wrong.remedy, "did you mean `messages`? set text_column_name");
}

#[tokio::test]
async fn json_line_faults_name_the_line() {
    let broken = fault_of("a.jsonl", "{\"text\": \"a\"}\n{\"text\": }\n").await;
    assert!(
        broken
            .cause
            .starts_with("line 2 is no valid JSON: expected value at column 10"),
        "{broken}"
    );
    assert_eq!(
        fault_of("a.jsonl", "{\"text\": \"a\"}\n[1]\n").await.cause,
        "line 2 is no JSON object"
    );
    assert_eq!(
        fault_of("a.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n")
            .await
            .cause,
        "line 2 is no valid UTF-8"
    );
    let object = fault_of("a.jsonl", "{\"text\": {\"x\": 1}}").await;
    assert_eq!(
        object.cause,
        "line 1, column `text`: holds an object, not a text or a conversation"
    );
    assert_eq!(fault_of("a.jsonl", "\n\n").await.cause, "is empty");
    assert_eq!(
        fault_of("a.jsonl", "{\"text\": \" \"}").await.cause,
        "none of its 1 rows holds a prompt"
    );
}

#[tokio::test]
async fn no_more_is_read_than_asked_for() {
    let folder = Folder::new();
    let path = folder.write(
        "a.jsonl",
        "{\"text\": \"a\"}\n{\"text\": \"b\"}\nthis line is broken\n",
    );
    assert_eq!(load(&options(&path), 2).await.unwrap().prompts.len(), 2);
    assert!(load(&options(&path), 3).await.is_err());
    let seeded = Options {
        shuffle_seed: Some(1),
        ..options(&path)
    };
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
    assert_eq!(
        texts_of("a.json", r#"{"version": 1, "data": [{"text": "t"}]}"#).await,
        ["t"]
    );
    assert_eq!(
        texts_of("a.json", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n").await,
        ["one", "two"]
    );
    assert_eq!(texts_of("a.json", "{\"text\": \"one\"}").await, ["one"]);
    let broken = fault_of("a.json", "[{\"text\": \"a\"},\n {]").await;
    assert!(
        broken.cause.starts_with("is no valid JSON: ") && broken.cause.contains("line 2"),
        "{broken}"
    );
    assert_eq!(fault_of("a.json", "[]").await.cause, "is empty");
    assert_eq!(
        fault_of("a.json", "[1]").await.cause,
        "row 1 is neither an object nor a text"
    );
    let tool = fault_of("a.json", r#"[{"messages": [{"role": "tool", "content": "x"}]}]"#).await;
    assert!(
        tool.cause
            .starts_with("row 1, column `messages`: turn 1: speaker `tool`"),
        "{tool}"
    );
}

#[tokio::test]
async fn text_by_the_line_or_by_a_separator() {
    assert_eq!(
        texts_of("a.txt", "\u{feff}one\r\n\n  two\n").await,
        ["one", "  two"]
    );
    let folder = Folder::new();
    let path = folder.write("a.txt", "first\nline\n\nmore\n---\nsecond\n---\n\n---\n");
    let separated = Options {
        txt_separator: Some("---".to_owned()),
        ..options(&path)
    };
    let loaded = load(&separated, 9).await.unwrap();
    assert_eq!(texts(&loaded), ["first\nline\n\nmore", "second"]);
    assert_eq!(
        fault_of("a.txt", b"ok\nbad \xc3(\n").await.cause,
        "line 2 is no valid UTF-8"
    );
    assert_eq!(fault_of("a.txt", " \n").await.cause, "is empty");
}

fn parquet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pyarrow.parquet")
}

/// The file was written by pyarrow 26: 300 rows in groups of 40, zstd, a null and an empty text in rows 1 and 2.
#[tokio::test]
async fn parquet_as_pyarrow_writes_it() {
    let loaded = load(&options(&parquet()), 3).await.unwrap();
    assert_eq!(texts(&loaded), ["prompt 0 – ü", "prompt 3 – ü", "prompt 4 – ü"]);
    assert_eq!(loaded.info.rows, Some(300));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let all = load(&options(&parquet()), 1000).await.unwrap();
    assert_eq!(all.prompts.len(), 298);
    assert_eq!(texts(&all)[297], "prompt 299 – ü");

    for (name, first, last) in [
        ("kind", "a", "b"),
        ("large", "large 0", "large 299"),
        ("raw", "raw 0", "raw 299"),
        ("id", "0", "299"),
        ("small", "0", "99"),
        ("score", "0.0", "74.75"),
        ("messages", "question 0", "question 299"),
    ] {
        let loaded = load(&column(&parquet(), name), 300)
            .await
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let texts = texts(&loaded);
        assert_eq!(
            (texts[0].as_str(), texts[299].as_str(), texts.len()),
            (first, last, 300),
            "{name}"
        );
    }
    let missing = load(&column(&parquet(), "mesages"), 1).await.unwrap_err();
    assert_eq!(missing.remedy, "did you mean `messages`? set text_column_name");
}

#[tokio::test]
async fn broken_parquet_is_a_fault() {
    let whole = std::fs::read(parquet()).unwrap();
    let folder = Folder::new();
    for (name, bytes) in [
        ("empty", vec![]),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("text", b"text\na\n".to_vec()),
    ] {
        let path = folder.write(&format!("{name}.parquet"), bytes);
        let fault = load(&options(&path), 1).await.unwrap_err();
        assert!(fault.cause.contains("parquet"), "{name}: {fault}");
        assert_eq!(fault.remedy, "check that the file is complete");
    }
}

#[tokio::test]
async fn a_missing_file_is_never_looked_up_on_the_hub() {
    let folder = Folder::new();
    folder.write("prompts.csv", "text\na\n");
    folder.write("notes.md", "x");
    let near = load(&options(&folder.0.path().join("promts.csv")), 1)
        .await
        .unwrap_err();
    let at = |name: &str| folder.0.path().join(name).display().to_string();
    assert_eq!(near.cause, format!("there is no file {}", at("promts.csv")));
    assert_eq!(near.remedy, format!("did you mean {}?", at("prompts.csv")));
    let far = load(&options(&folder.0.path().join("zzz.parquet")), 1)
        .await
        .unwrap_err();
    assert!(far.remedy.ends_with("has prompts.csv"), "{far}");
    let relative = load(&options(Path::new("owner/name.jsonl")), 1)
        .await
        .unwrap_err();
    assert!(
        relative.cause.contains("there is no file /") && relative.remedy.contains("folder"),
        "{relative}"
    );
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused() {
    let folder = Folder::new();
    let directory = load(&options(folder.0.path()), 1).await.unwrap_err();
    assert!(directory.cause.ends_with("is a folder"), "{directory}");
    let unknown = load(&options(&folder.write("a.xlsx", "x")), 1).await.unwrap_err();
    assert!(unknown.remedy.contains("csv, tsv, jsonl"), "{unknown}");
    for name in ["", "two words", "-x/y"] {
        assert!(load(&options(Path::new(name)), 1).await.is_err(), "{name}");
    }
    let none = Options {
        num_samples: 0,
        dataset_name: "builtin".to_owned(),
        ..Options::default()
    };
    assert_eq!(load(&none, 1).await.unwrap_err().cause, "num_samples is 0");
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_file_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.write("a.csv", "text\na\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads it all the same; a link to itself nobody can open.
    if std::fs::File::open(&path).is_err() {
        let fault = load(&options(&path), 1).await.unwrap_err();
        assert_eq!(fault.remedy, "make the file readable for this user");
    }
    let endless = folder.0.path().join("loop.csv");
    std::os::unix::fs::symlink(&endless, &endless).unwrap();
    assert!(load(&options(&endless), 1).await.is_err());
}

#[tokio::test]
async fn every_kind_opens_by_its_example() {
    let folder = Folder::new();
    let samples = [
        ("csv", "text\na\n"),
        ("jsonl", "{\"text\":\"a\"}"),
        ("json", "[\"a\"]"),
        ("txt", "a"),
    ];
    for kind in KINDS {
        let mut options = Options {
            dataset_name: kind.example.to_owned(),
            ..Options::default()
        };
        if let Some((_, text)) = samples.iter().find(|(name, _)| *name == kind.name) {
            options.dataset_name = folder.write(kind.example, text).display().to_string();
        } else if kind.name == "parquet" {
            options.dataset_name = parquet().display().to_string();
        }
        match load(&options, 2).await {
            Ok(loaded) => assert_eq!(loaded.info.kind, kind.name),
            Err(fault) => {
                assert_eq!(kind.name, "hub", "{fault}");
                assert!(fault.cause.contains("not in the cache"), "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn the_builtin_prompts_load_in_order_and_by_seed() {
    let builtin = Options {
        dataset_name: "builtin".to_owned(),
        ..Options::default()
    };
    let first = load(&builtin, 10).await.unwrap();
    assert_eq!((first.prompts.len(), first.warnings.len()), (10, 0));
    assert!(
        first
            .prompts
            .iter()
            .enumerate()
            .all(|(at, prompt)| prompt.index == at)
    );
    let drawn = load(
        &Options {
            shuffle_seed: Some(3),
            ..builtin.clone()
        },
        10,
    )
    .await
    .unwrap();
    assert_ne!(drawn.info.sha256, first.info.sha256);
    let all = load(&builtin, 100_000).await.unwrap();
    assert!(
        all.prompts.len() >= 100 && all.warnings[0].contains("none is repeated"),
        "{:?}",
        all.warnings
    );
}

fn block_on(options: &Options, limit: usize) -> Result<LoadedPrompts, Fault> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(load(options, limit))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_texts_survive_csv_and_json_lines(texts in proptest::collection::vec("[a-z0-9 ,;\t\"'\n|é]{0,20}x", 1..20)) {
        let folder = Folder::new();
        let quoted = |text: &String| format!("1,\"{}\"\n", text.replace('"', "\"\""));
        let csv = format!("id,text\n{}", texts.iter().map(quoted).collect::<String>());
        let lines: String = texts.iter().map(|text| format!("{}\n", serde_json::json!({ "text": text }))).collect();
        for path in [folder.write("a.csv", csv), folder.write("a.jsonl", lines)] {
            let loaded = block_on(&options(&path), texts.len()).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            prop_assert_eq!(self::texts(&loaded), texts.clone());
        }
    }

    #[test]
    fn any_bytes_give_prompts_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0usize..5) {
        let folder = Folder::new();
        let path = folder.write(["a.csv", "a.jsonl", "a.json", "a.txt", "a.parquet"][kind], bytes);
        if let Ok(loaded) = block_on(&options(&path), 5) {
            prop_assert!((1..=5).contains(&loaded.prompts.len()));
        }
    }
}
