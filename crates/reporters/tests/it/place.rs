//! Folders of runs: made before the run, never over an earlier one.

use std::fs;

use ai_energy_core::{FaultKind, Reporter};
use ai_energy_reporters::json::Json;
use ai_energy_reporters::place::{check_appendable, check_writable, results_folder, run_folder};

use crate::support;

#[test]
fn a_run_gets_an_empty_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("a/b");
    let run = run_folder(&output, "chat-1").unwrap();
    assert_eq!(run, output.join("chat-1"));
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0, "no probe is left");
    assert_eq!(run_folder(&output, "chat-1").unwrap(), run, "an empty folder may be used");
    fs::write(run.join("benchmark_report.json"), "{}").unwrap();
    let fault = run_folder(&output, "chat-1").unwrap_err();
    assert!(fault.cause.contains("not an empty folder") && !fault.remedy.is_empty(), "{fault}");
}

#[test]
fn a_file_in_the_way_is_found_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for fault in [
        run_folder(&file, "chat-1").unwrap_err(),
        check_writable(&file).unwrap_err(),
        check_appendable(&file.join("all.csv")).unwrap_err(),
        results_folder(&file, &[]).unwrap_err(),
    ] {
        assert_eq!(fault.kind, FaultKind::Output);
        assert!(fault.object.contains("file") && fault.remedy.contains("folder"), "{fault}");
    }
    fs::create_dir(folder.path().join("all.csv")).unwrap();
    assert!(check_appendable(&folder.path().join("all.csv")).is_err(), "a folder is no CSV file");
    assert!(check_appendable(&folder.path().join("new.csv")).is_ok());
    assert!(!folder.path().join("new.csv").exists(), "looking makes no file");
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_system_that_takes_no_files_is_found_before_the_run() {
    // Nobody, root included, may make folders there.
    let fault = run_folder(std::path::Path::new("/proc/self"), "chat-1").unwrap_err();
    assert!(fault.object.starts_with("/proc/self") && !fault.remedy.is_empty(), "{fault}");
}

#[test]
fn an_earlier_run_in_the_results_folder_is_kept_under_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let (place, moved) = results_folder(&results, &[]).unwrap();
    assert!(moved.is_empty());
    Json.write(support::complete().report(), &support::place(&place)).unwrap();
    fs::write(results.join("requests.jsonl"), "old").unwrap();
    fs::write(results.join("benchmark_results.csv"), "collected").unwrap();
    fs::write(results.join("mine.txt"), "not ours").unwrap();

    let collected = [results.join("benchmark_results.csv")];
    let (_, moved) = results_folder(&results, &collected).unwrap();
    let kept = results.join("chat-20261123-142233-7f3a");
    assert_eq!(moved[0].path, kept);
    assert!(kept.join("benchmark_report.json").exists());
    assert_eq!(fs::read_to_string(kept.join("requests.jsonl")).unwrap(), "old");
    assert!(results.join("mine.txt").exists() && results.join("benchmark_results.csv").exists());
    assert!(!results.join("benchmark_report.json").exists());

    // The same id again, and a report that cannot be read: nothing is ever written over.
    Json.write(support::complete().report(), &support::place(&place)).unwrap();
    let (_, moved) = results_folder(&results, &collected).unwrap();
    assert_eq!(moved[0].path, results.join("chat-20261123-142233-7f3a-2"));
    fs::write(results.join("benchmark_report.json"), "{ cut").unwrap();
    let (_, moved) = results_folder(&results, &collected).unwrap();
    let name = moved[0].path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("earlier-20"), "{name}");
    assert_eq!(fs::read_to_string(moved[0].path.join("benchmark_report.json")).unwrap(), "{ cut");
}

#[test]
fn an_id_in_an_earlier_report_cannot_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    fs::create_dir(&results).unwrap();
    fs::write(results.join("benchmark_report.json"), r#"{"run_id": "../../outside"}"#).unwrap();
    let (_, moved) = results_folder(&results, &[]).unwrap();
    assert_eq!(moved[0].path.parent().unwrap(), results);
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_can_never_be_is_not_said_to_be_gone() {
    let fault = run_folder("/proc/x".as_ref(), "run").unwrap_err();
    assert_eq!(fault.object, "/proc/x");
    assert!(fault.remedy.contains("choose another folder with output_dir"), "{fault}");
    assert!(fault.remedy.contains("its parent exists") && !fault.remedy.contains("gone"), "{fault}");
}
