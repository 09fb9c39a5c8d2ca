//! The journal: written as the run goes, whole after any end.

use std::fs;
use std::sync::Arc;

use ai_energy_core::energy::{ChannelKind, Domain, GpuSample, GpuState};
use ai_energy_core::{FaultKind, Observer, Stamp};
use ai_energy_reporters::Journal;
use ai_energy_reporters::journal::{
    Context, read_gpu_states, read_readings, read_requests, replace_requests,
};

use crate::support::{channel, reading, request};

#[test]
fn what_was_observed_reads_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let channels = [
        channel("a", Domain::Gpu, ChannelKind::Counter { wrap_microjoules: Some(7) }, true),
        channel("b", Domain::Cpu, ChannelKind::Power { averaging_ms: None }, false),
    ];
    let journal = Arc::new(Journal::create(folder.path(), Context::default()).unwrap());
    let requests: Vec<_> = (0..50).map(request).collect();
    for (number, request) in requests.iter().enumerate() {
        let at = number as u64;
        journal.readings(&channels, &[reading(0, at, at * 10), reading(1, at, 3)]);
        journal.request_ended(request);
    }
    let written = Arc::clone(&journal).finish().unwrap();
    assert!(!journal.failed());
    assert_eq!(read_requests(&written[0].path).unwrap(), requests);
    let (read_channels, readings) = read_readings(&written[1].path).unwrap();
    assert_eq!(read_channels, channels);
    assert_eq!(readings.len(), 100);
    assert_eq!((readings[98], readings[99]), (reading(0, 49, 490), reading(1, 49, 3)));
    journal.request_ended(&request(50));
    assert!(journal.finish().is_err(), "a second finish has nothing to finish");
}

#[test]
fn threads_of_the_run_write_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(folder.path(), Context::default()).unwrap().without_text());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = Arc::clone(&journal);
            scope.spawn(move || {
                (0..25).for_each(|number| journal.request_ended(&request(thread * 25 + number)))
            });
        }
    });
    let written = journal.finish().unwrap();
    let requests = read_requests(&written[0].path).unwrap();
    let ids: std::collections::BTreeSet<_> = requests.iter().map(|request| request.id.clone()).collect();
    assert_eq!(ids.len(), 100);
    assert!(requests.iter().all(|request| request.generation.text.is_none()));
    assert_eq!(read_readings(&written[1].path).unwrap(), (Vec::new(), Vec::new()));
}

#[test]
fn a_cut_last_line_is_left_out_and_a_bad_one_before_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = replace_requests(folder.path(), &[request(0), request(1)]).unwrap().path;
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let expected = if cut == whole.len() - 1 { 2 } else { 1 };
        assert_eq!(read_requests(&path).unwrap().len(), expected, "cut at {cut}");
    }
    fs::write(&path, [b"{\"id\": 3}\n", whole.as_slice()].concat()).unwrap();
    let fault = read_requests(&path).unwrap_err();
    assert!(fault.cause.starts_with("line 1 ") && !fault.remedy.is_empty(), "{fault}");
    assert!(read_requests(&folder.path().join("absent")).is_err());
}

#[test]
fn a_reading_of_a_channel_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("readings.jsonl");
    fs::write(&path, "{\"channels\":[]}\n{\"c\":0,\"t_ns\":1,\"v\":2}\n").unwrap();
    let fault = read_readings(&path).unwrap_err();
    assert!(fault.cause.contains("line 2"), "{fault}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_raises_the_flag_and_is_named_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("requests.jsonl")).unwrap();
    let journal = Arc::new(Journal::create(folder.path(), Context::default()).unwrap());
    let channels = [channel("a", Domain::Gpu, ChannelKind::Power { averaging_ms: None }, true)];
    journal.readings(&channels, &[reading(0, 1, 1)]);
    journal.request_ended(&request(0));
    let fault = Arc::clone(&journal).finish().unwrap_err();
    assert!(journal.failed());
    assert_eq!(fault.kind, FaultKind::Output);
    assert!(fault.object.ends_with("requests.jsonl") && fault.cause.contains("no space left"), "{fault}");
    assert_eq!(
        read_readings(&folder.path().join("readings.jsonl")).unwrap().1.len(),
        1,
        "the other file is whole"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let fault = Journal::create(&folder.path().join("file/run"), Context::default()).unwrap_err();
    assert!(fault.object.contains("file/run") && !fault.remedy.is_empty(), "{fault}");
}

#[test]
fn looks_at_gpus_are_kept_as_they_come_and_an_earlier_runs_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpu_states.jsonl");
    fs::write(&path, "of an earlier run\n").unwrap();
    let journal = Arc::new(Journal::create(folder.path(), Context::default()).unwrap());
    assert!(!path.exists());
    let look = |seconds: u64| GpuSample {
        at: Stamp(seconds * 1_000_000_000),
        state: GpuState {
            index: 1,
            temperature_c: Some(40.1 + seconds as f64),
            throttle_reasons: Some(vec!["idle".to_owned()]),
            ..GpuState::default()
        },
    };
    journal.gpu_states(&[look(1), look(2)]);
    // Before any finish, as after a kill.
    while read_gpu_states(&path).unwrap().len() < 2 {
        std::thread::yield_now();
    }
    journal.gpu_states(&[look(3)]);
    let written = journal.finish().unwrap();
    assert_eq!(written[2].path, path);
    assert_eq!(read_gpu_states(&path).unwrap(), [look(1), look(2), look(3)]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    assert_eq!(read_gpu_states(&path).unwrap(), [look(1), look(2)], "a cut last line is left out");
    assert_eq!(
        read_gpu_states(&folder.path().join("absent")).unwrap(),
        [],
        "a machine without GPUs has no file"
    );
}

#[test]
fn requests_can_be_read_while_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(folder.path(), Context::default()).unwrap());
    journal.request_ended(&request(0));
    let path = folder.path().join("requests.jsonl");
    // The thread writes by itself: no finish and no further entry is needed.
    while read_requests(&path).unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(read_requests(&path).unwrap(), [request(0)]);
    journal.finish().unwrap();
}
