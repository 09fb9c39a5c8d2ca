//! Which rows become prompts, in which order, with which warnings.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn origin() -> Origin {
    Origin { name: "a.csv".to_owned(), kind: "csv", revision: None }
}

fn texts(cells: &[&str]) -> Rows {
    let mut rows = Rows { total: Some(cells.len()), ..Rows::default() };
    cells.iter().for_each(|cell| rows.push_text(Some((*cell).to_owned())));
    rows
}

fn contents(loaded: &LoadedPrompts) -> Vec<&str> {
    loaded.prompts.iter().map(|prompt| prompt.messages[0].content.as_str()).collect()
}

#[test]
fn the_first_rows_are_taken_and_blank_ones_are_skipped_and_counted() {
    let loaded = assemble(origin(), texts(&["a", " \n", "b", "c"]), 2, None).unwrap();
    assert_eq!(contents(&loaded), ["a", "b"]);
    assert_eq!(loaded.prompts[1].index, 2, "the index is the row's");
    assert_eq!(loaded.warnings, ["dataset a.csv: 1 row(s) without a prompt were skipped"]);
    assert_eq!(loaded.info.rows, Some(4));
}

#[test]
fn too_few_rows_warn_and_are_not_repeated() {
    let loaded = assemble(origin(), texts(&["a", "b"]), 5, None).unwrap();
    assert_eq!(contents(&loaded), ["a", "b"]);
    assert_eq!(loaded.warnings, ["dataset a.csv: 5 prompts were asked for and it has 2; none is repeated"]);
}

#[test]
fn nothing_to_send_is_an_error_that_says_which_kind_of_nothing() {
    let none = assemble(origin(), texts(&[]), 1, None).unwrap_err();
    assert_eq!((none.object.as_str(), none.cause.as_str()), ("dataset a.csv", "is empty"));
    let blank = assemble(origin(), texts(&["", " "]), 1, None).unwrap_err();
    assert_eq!(blank.cause, "none of its 2 rows holds a prompt");
    assert!(blank.remedy.contains("text_column_name"));
}

#[test]
fn the_fingerprint_is_the_documented_one() {
    let loaded = assemble(origin(), texts(&["hello", "w"]), 2, None).unwrap();
    let expected = hex(&Sha256::digest(b"user\0hello\0user\0w\0"));
    assert_eq!(loaded.info.sha256, expected);
    assert_eq!(fingerprint(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn a_seed_draws_the_same_rows_again_and_another_seed_others() {
    let cells: Vec<String> = (0..100).map(|n| format!("prompt {n}")).collect();
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let draw = |seed| assemble(origin(), texts(&cells), 10, Some(seed)).unwrap();
    assert_eq!(draw(1), draw(1));
    assert_ne!(contents(&draw(1)), contents(&draw(2)));
    assert_ne!(contents(&draw(1)), cells[..10]);
    for prompt in &draw(1).prompts {
        assert_eq!(prompt.messages[0].content, format!("prompt {}", prompt.index));
    }
}

#[test]
fn numbers_become_text_and_objects_are_refused() {
    let mut rows = Rows::default();
    rows.push_value(Some(&json!(12.5))).unwrap();
    rows.push_value(Some(&json!(true))).unwrap();
    rows.push_value(None).unwrap();
    rows.push_value(Some(
        &json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]),
    ))
    .unwrap();
    assert!(rows.push_value(Some(&json!({"a": 1}))).is_err());
    let loaded = assemble(origin(), rows, 9, None).unwrap();
    assert_eq!(contents(&loaded), ["12.5", "true", "hi"]);
    assert_eq!(loaded.warnings.len(), 4, "{:?}", loaded.warnings);
    assert!(loaded.warnings[1].contains("2 cell(s)"));
    assert!(loaded.warnings[2].contains("1 conversation(s)"));
}

#[test]
fn only_the_standard_column_name_falls_back_to_conversations() {
    let want = |column: &str| Want {
        subject: "dataset a".to_owned(),
        column: column.to_owned(),
        take: Take::All,
        txt_separator: None,
    };
    assert_eq!(want("text").pick_column(&["id", "messages"]), Some("messages"));
    assert_eq!(want("text").pick_column(&["messages", "text"]), Some("text"));
    assert_eq!(want("txet").pick_column(&["messages", "text"]), None);
    let fault = want("txet").no_column(&["messages", "text"]);
    assert_eq!(fault.cause, "has no column `txet`; it has `messages`, `text`");
    assert_eq!(fault.remedy, "did you mean `text`? set scenario.text_column_name");
}

proptest! {
    #[test]
    fn what_is_taken_is_what_was_there(cells in proptest::collection::vec("[a-c ]{0,3}", 1..40), limit in 1usize..50,
                                       seed in proptest::option::of(any::<u64>())) {
        let borrowed: Vec<&str> = cells.iter().map(String::as_str).collect();
        let usable = cells.iter().filter(|cell| !cell.trim().is_empty()).count();
        match assemble(origin(), texts(&borrowed), limit, seed) {
            Err(_) => prop_assert_eq!(usable, 0),
            Ok(loaded) => {
                prop_assert_eq!(loaded.prompts.len(), usable.min(limit));
                let indices: std::collections::BTreeSet<_> = loaded.prompts.iter().map(|p| p.index).collect();
                prop_assert_eq!(indices.len(), loaded.prompts.len());
                for prompt in &loaded.prompts {
                    prop_assert_eq!(&prompt.messages[0].content, &cells[prompt.index]);
                }
            }
        }
    }
}
