//! The files that collect runs: `reporter.output_file` and `emissions.csv`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ai_energy_core::energy::{GpuSample, GpuState};
use ai_energy_core::{Place, Reporter, Stamp, Written};
use ai_energy_reporters::csv::Csv;
use ai_energy_reporters::emissions::{COLUMNS, Emissions};

use crate::support::{self, Run};

/// Header and rows of a CSV file, each row by column.
fn table(path: &Path) -> (Vec<String>, Vec<HashMap<String, String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|row| header.iter().cloned().zip(row.unwrap().iter().map(str::to_owned)).collect());
    (header.clone(), rows.collect())
}

fn collect(run: &Run, run_dir: &Path, file: &Path) -> Vec<Written> {
    let place =
        Place { run_dir: run_dir.to_owned(), collected_file: Some(file.to_owned()), emissions_dir: None };
    Csv.write(run.report(), &place).unwrap()
}

#[test]
fn each_run_adds_a_row_and_keeps_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/results/all.csv");
    collect(&support::complete(), folder.path(), &file);
    let written = collect(&support::cpu_estimate_only(), folder.path(), &file);
    assert_eq!(written.iter().map(|file| file.note.clone()).collect::<Vec<_>>(), [None, None]);

    let (header, rows) = table(&file);
    assert_eq!(rows.len(), 2);
    assert_eq!(header[0], "timestamp");
    assert_eq!(rows[0]["timestamp"], "2026-11-23T14:23:48.250Z");
    assert_eq!(rows[0]["summary_total_prompts"], "200");
    assert_eq!(rows[0]["config_device_ids"], "0,1");
    assert_eq!(rows[0]["gpu_stats_gpu_0_memory_percent"], "50.0");
    assert_eq!(rows[0]["energy_gpu_energy_wh"].parse::<f64>().unwrap(), 2560.0 / 3600.0);
    assert_eq!(rows[1]["energy_gpu_energy_wh"], "", "unknown is empty, not 0");
    let (_, copy) = table(&folder.path().join("benchmark_results.csv"));
    assert_eq!(copy.len(), 1);
    assert_eq!(copy[0]["energy_cpu_energy_wh"], rows[1]["energy_cpu_energy_wh"]);
}

#[test]
fn the_columns_are_a_contract() {
    let folder = tempfile::tempdir().unwrap();
    collect(&support::complete(), folder.path(), &folder.path().join("all.csv"));
    insta::assert_snapshot!(table(&folder.path().join("all.csv")).0.join("\n"));
}

#[test]
fn a_file_of_another_shape_is_left_alone_and_its_successor_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.csv");
    fs::write(&file, "model,score\nx,1\n").unwrap();
    let first = collect(&support::complete(), folder.path(), &file);
    let second = collect(&support::complete(), folder.path(), &file);
    assert_eq!(fs::read_to_string(&file).unwrap(), "model,score\nx,1\n");
    for written in [first, second] {
        assert_eq!(written[1].path, folder.path().join("all.1.csv"));
        assert!(written[1].note.as_ref().unwrap().contains("all.csv"));
    }
    assert_eq!(table(&folder.path().join("all.1.csv")).1.len(), 2);
}

#[test]
fn a_machine_with_more_gpus_begins_a_new_file_and_one_without_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.csv");
    let mut two = support::complete();
    two.record.gpu_states.push(ai_energy_core::energy::GpuState {
        index: 1,
        temperature_c: Some(40.0),
        ..Default::default()
    });
    collect(&support::complete(), folder.path(), &file);
    assert_eq!(collect(&support::cpu_estimate_only(), folder.path(), &file)[1].path, file);
    let written = collect(&two, folder.path(), &file);
    assert_eq!(written[1].path, folder.path().join("all.1.csv"));
    assert_eq!(table(&written[1].path).1[0]["gpu_stats_gpu_1_temperature_c"], "40.0");
}

#[test]
fn a_file_without_a_last_newline_and_with_columns_moved_still_lines_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.csv");
    collect(&support::complete(), folder.path(), &file);
    let (mut header, _) = table(&file);
    header.reverse();
    header.insert(0, "my notes".to_owned());
    fs::write(&file, format!("{}\nkept,{}", header.join(","), ",".repeat(header.len() - 2))).unwrap();
    assert_eq!(collect(&support::complete(), folder.path(), &file)[1].path, file);
    let (_, rows) = table(&file);
    assert_eq!((rows[0]["my notes"].as_str(), rows[1]["my notes"].as_str()), ("kept", ""));
    assert_eq!(rows[1]["config_model"], "smollm2-135m-instruct");
}

#[test]
fn many_at_once_lose_and_mix_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.csv");
    let emissions = folder.path().join("emissions");
    fs::create_dir(&emissions).unwrap();
    fs::write(emissions.join("emissions.csv"), "other,columns\n1,2\n").unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (file, emissions) = (file.clone(), emissions.clone());
            let run_dir = folder.path().join(format!("run-{number}"));
            scope.spawn(move || {
                fs::create_dir(&run_dir).unwrap();
                let mut run = support::complete();
                let place = Place { run_dir, collected_file: Some(file), emissions_dir: Some(emissions) };
                for repeat in 0..5 {
                    run.record.plan.run_id = format!("{number}-{repeat}");
                    Csv.write(run.report(), &place).unwrap();
                    Emissions.write(run.report(), &place).unwrap();
                }
            });
        }
    });
    for path in [file, emissions.join("emissions.csv")] {
        let (_, rows) = table(&path);
        let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row["run_id"].clone()).collect();
        assert_eq!((rows.len(), ids.len()), (40, 40), "{}", path.display());
    }
    assert!(
        emissions.join("emissions.csv_0.bak").exists() && !emissions.join("emissions.csv_1.bak").exists()
    );
}

#[test]
fn a_collecting_file_that_is_the_runs_own_is_appended_once() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(".").join("benchmark_results.csv");
    for _ in 0..2 {
        assert_eq!(collect(&support::complete(), folder.path(), &own).len(), 1);
    }
    assert_eq!(table(&own).1.len(), 2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported_and_the_copy_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place {
        run_dir: folder.path().to_owned(),
        collected_file: Some(PathBuf::from("/dev/full")),
        emissions_dir: Some(folder.path().join("file")),
    };
    let fault = Csv.write(support::complete().report(), &place).unwrap_err();
    assert_eq!(fault.object, "/dev/full");
    assert!(fault.cause.contains("no space left") && fault.remedy.contains("free space"), "{fault}");
    assert_eq!(table(&folder.path().join("benchmark_results.csv")).1.len(), 1);
    fs::write(folder.path().join("file"), "").unwrap();
    let fault = Emissions.write(support::complete().report(), &place).unwrap_err();
    assert!(fault.object.ends_with("file") && fault.remedy.contains("folder"), "{fault}");
}

#[test]
fn emissions_have_codecarbons_columns_and_its_multiplied_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = support::complete();
    run.summary.carbon.pue = 1.5;
    let place = support::place(folder.path());
    Emissions.write(run.report(), &place).unwrap();
    let (header, rows) = table(&folder.path().join("emissions.csv"));
    assert_eq!(header, COLUMNS);
    let number = |column: &str| rows[0][column].parse::<f64>().unwrap();
    let close = |column: &str, expected: f64| {
        assert!(
            (number(column) / expected - 1.0).abs() < 1e-9,
            "{column}: {} not {expected}",
            number(column)
        );
    };
    close("gpu_energy", 2560.0 * 1.5 / 3.6e6);
    close("energy_consumed", 3900.0 * 1.5 / 3.6e6);
    close("gpu_power", 2560.0 * 1.5 / 74.25);
    close("emissions", run.summary.carbon.emissions.value.unwrap() / 1000.0);
    close("emissions_rate", run.summary.carbon.emissions.value.unwrap() / 1000.0 / 74.25);
    close("duration", 74.25);
    assert_eq!(rows[0]["ram_total_size"], "125.6");
    assert_eq!(rows[0]["gpu_model"], "1 x NVIDIA H200");
    assert_eq!(rows[0]["os"], "linux-6.12.0-x86_64");
    for unknown in
        ["water_consumed", "wue", "python_version", "longitude", "on_cloud", "gpu_utilization_percent"]
    {
        assert_eq!(rows[0][unknown], "", "{unknown}");
    }
    let time = &rows[0]["timestamp"];
    assert!(time.len() == 19 && time.starts_with("2026-11-2") && time.as_bytes()[10] == b'T', "{time}");
}

#[test]
fn the_load_of_gpus_in_emissions_is_the_mean_of_the_looks_within_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = support::complete();
    let (start, end) = run.record.load_window().unwrap();
    let look = |at: u64, percent: Option<f64>| GpuSample {
        at: Stamp(at),
        state: GpuState { utilization_percent: percent, ..GpuState::default() },
    };
    let middle = start.0.midpoint(end.0);
    run.record.gpu_samples = vec![
        look(start.0, Some(90.0)),
        look(middle, Some(60.0)),
        look(middle + 1, None),
        look(end.0 + 1, Some(3.0)),
    ];
    Emissions.write(run.report(), &support::place(folder.path())).unwrap();
    let (_, rows) = table(&folder.path().join("emissions.csv"));
    assert_eq!(rows[0]["gpu_utilization_percent"], "75");
    for unseen in ["cpu_utilization_percent", "ram_utilization_percent", "ram_used_gb"] {
        assert_eq!(rows[0][unseen], "", "{unseen} is not observed, and never 0");
    }
}

#[test]
fn a_synthetic_run_says_so_in_emissions_too() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { emissions_dir: Some(folder.path().join("all")), ..support::place(folder.path()) };
    let real = Emissions.write(support::complete().report(), &place).unwrap();
    assert!(real.iter().all(|file| file.note.is_none()), "{real:?}");
    let fake = Emissions.write(support::synthetic().report(), &place).unwrap();
    assert_eq!(fake.len(), 2);
    assert!(fake.iter().all(|file| file.note.as_deref().unwrap().contains("synthetic")), "{fake:?}");
    let (_, rows) = table(&folder.path().join("all/emissions.csv"));
    let marks: Vec<&str> = rows.iter().map(|row| row["experiment_id"].as_str()).collect();
    assert_eq!(marks, ["", "synthetic"]);
}

#[test]
fn emissions_of_the_unknown_are_empty_cells() {
    let folder = tempfile::tempdir().unwrap();
    Emissions.write(support::nothing_measurable().report(), &support::place(folder.path())).unwrap();
    let (_, rows) = table(&folder.path().join("emissions.csv"));
    for column in ["emissions", "emissions_rate", "cpu_power", "gpu_energy", "energy_consumed", "gpu_count"] {
        assert_eq!(rows[0][column], "", "{column}");
    }
}

#[test]
fn a_run_without_any_energy_adds_no_row_to_the_collecting_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all");
    let place = Place { emissions_dir: Some(all.clone()), ..support::place(folder.path()) };
    let first = Emissions.write(support::nothing_measurable().report(), &place).unwrap();
    assert!(!all.exists(), "nothing was made where nothing is to be said");
    assert_eq!(first.len(), 1);
    let note = first[0].note.as_deref().unwrap();
    assert!(note.contains("no energy is known") && note.contains("all/emissions.csv"), "{note}");
    Emissions.write(support::gpu_lost().report(), &place).unwrap();
    Emissions.write(support::nothing_measurable().report(), &place).unwrap();
    assert_eq!(table(&all.join("emissions.csv")).1.len(), 1, "a part of the energy is worth its row");

    let own = Place { emissions_dir: Some(all.clone()), ..support::place(&all) };
    let same = Emissions.write(support::nothing_measurable().report(), &own).unwrap();
    assert!(same[0].note.as_deref().unwrap().contains("no row was added"), "{same:?}");
    assert_eq!(table(&all.join("emissions.csv")).1.len(), 1);
}

#[test]
fn a_partial_total_says_so_where_rows_are_collected() {
    let folder = tempfile::tempdir().unwrap();
    let run = support::cpu_estimate_only();
    let file = folder.path().join("all.csv");
    collect(&run, folder.path(), &file);
    let (_, rows) = table(&file);
    assert_eq!(
        (rows[0]["energy_total_covers"].as_str(), rows[0]["energy_total_is_partial"].as_str()),
        ("cpu", "true")
    );
    let written = Emissions.write(run.report(), &support::place(folder.path())).unwrap();
    let note = written[0].note.as_deref().unwrap();
    assert!(note.contains("do not include GPU, RAM"), "{note}");
    let whole = Emissions.write(support::complete().report(), &support::place(folder.path())).unwrap();
    assert_eq!(whole[0].note, None);
}
