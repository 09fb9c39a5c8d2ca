//! What holds for any text and any bytes.

use ai_energy_core::{Fault, LoadedPrompts};
use ai_energy_datasets::Options;
use proptest::prelude::*;

use crate::bench::{Folder, load, options};

fn block_on(options: &Options, limit: usize) -> Result<LoadedPrompts, Fault> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(load(options, limit))
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
            prop_assert_eq!(crate::bench::texts(&loaded), texts.clone());
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
