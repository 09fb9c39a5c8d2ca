//! A run that had breaks: the journal of each resumption lies in a folder of its own beside the first, and is read with it as
//! one run.
//!
//! On the run's timeline breaks take no time. Of several attempts at one request the last one counts. Refuses to compute any
//! energy: each segment keeps its readings on its own clock.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ai_energy_core::record::{Ending, Phase, PhaseKind, RequestRecord, RunRecord};
use ai_energy_core::{Fault, Segment, Shift, Stamp};
use jiff::{SignedDuration, Timestamp};

use super::REQUESTS_FILE_NAME;
use super::line_file::held_by_another;
use crate::files::io_fault;

/// What the folders of resumptions are called before their number.
const PREFIX: &str = "segment-";

/// The folders of a run's resumptions by their number; none where it was never resumed.
///
/// # Errors
/// The folder cannot be listed; one that is not there has none.
pub fn segment_folders(dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |error: io::Error| io_fault(dir, "cannot be listed", &error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(number) = name.strip_prefix(PREFIX).and_then(|number| number.parse::<u32>().ok())
            && path.is_dir()
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether a run still writes into the folder or one of its segments.
pub fn in_use(dir: &Path) -> bool {
    let folders = segment_folders(dir).unwrap_or_default();
    let mut files =
        folders.iter().map(PathBuf::as_path).chain([dir]).map(|folder| folder.join(REQUESTS_FILE_NAME));
    files.any(|path| fs::File::open(path).is_ok_and(|file| held_by_another(&file)))
}

/// Makes the folder of a run's next segment and says its number; the first resumption's is 2.
///
/// # Errors
/// It cannot be made, for example because somebody resumes the same run now.
pub fn make_segment_folder(dir: &Path) -> Result<(PathBuf, u32), Fault> {
    let last = segment_folders(dir)?.pop();
    let number =
        last.and_then(|path| path.file_name()?.to_string_lossy().strip_prefix(PREFIX)?.parse::<u32>().ok());
    let number = number.unwrap_or(1).max(1) + 1;
    let folder = dir.join(format!("{PREFIX}{number}"));
    fs::create_dir(&folder).map_err(|error| io_fault(&folder, "the folder cannot be made", &error))?;
    Ok((folder, number))
}

/// The number of a measured request within its run, from its id; an id of another shape has none.
pub fn request_number(id: &str) -> Option<usize> {
    id.rsplit('-').next()?.parse().ok()
}

/// One run of the parts it was measured in, in their order. Parts in which no request was measured add nothing but the last
/// one's ending.
pub(super) fn join(parts: Vec<RunRecord>) -> Option<RunRecord> {
    let last_ending = parts.last().map(|part| part.ending.clone());
    let (loaded, idle): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.load_window().is_some());
    if loaded.len() < 2 {
        // At most one part measured anything: it is the whole run.
        let mut only = loaded.into_iter().next().or_else(|| idle.into_iter().next())?;
        only.ending = last_ending.unwrap_or(Ending::Unfinished);
        return Some(only);
    }
    let mut segments = Vec::with_capacity(loaded.len());
    let mut joined: Option<Joined> = None;
    for part in loaded {
        let (segment, part) = match &mut joined {
            None => {
                let at = part.load_window().map_or(Stamp(0), |(start, _)| start);
                let first = Joined::begin(&part, at);
                joined = Some(first);
                (None, part)
            }
            Some(joined) => (joined.wall_break(&part), part),
        };
        if let Some(joined) = &mut joined {
            segments.push(joined.add(part, segment));
        }
    }
    let mut record = joined?.finish();
    record.ending = last_ending.unwrap_or(Ending::Unfinished);
    record.warnings.extend(words(&segments));
    record.segments = segments;
    Some(record)
}

/// The run as far as it is joined.
struct Joined {
    record: RunRecord,
    /// The load's end on the run's timeline.
    end: Stamp,
    /// The wall time of that end.
    wall_end: Option<Timestamp>,
    /// How many segments it has.
    count: usize,
    /// The server's tokens over all segments; `None` once one does not tell.
    served: Option<[u64; 2]>,
    drain: Option<Phase>,
    after: Vec<Phase>,
}

impl Joined {
    /// A run of which nothing is joined yet but what holds for all of it.
    fn begin(first: &RunRecord, at: Stamp) -> Self {
        let mut record = first.head();
        let before = |phase: &&Phase| matches!(phase.kind, PhaseKind::IdleBefore | PhaseKind::Warmup);
        record.phases = first.phases.iter().filter(before).copied().collect();
        record.phases.push(Phase { kind: PhaseKind::Load, start: at, end: at });
        record.channels.clone_from(&first.channels);
        record.unmeasured.clone_from(&first.unmeasured);
        record.unmeasured.retain(|request| request.offer.phase == PhaseKind::Warmup);
        record.server_samples.clear();
        record.gpu_states.clear();
        record.sampler = ai_energy_core::record::SamplerStats {
            cpu_seconds: Some(0.0),
            ..ai_energy_core::record::SamplerStats::default()
        };
        record.client = ai_energy_core::record::ClientUsage {
            load_cpu_seconds: Some(0.0),
            uncalibrated: "the run had breaks, and each segment had a client of its own".to_owned(),
            ..ai_energy_core::record::ClientUsage::default()
        };
        Self {
            record,
            end: at,
            wall_end: None,
            count: 0,
            served: Some([0, 0]),
            drain: None,
            after: Vec::new(),
        }
    }

    /// How long nothing was sent before `next`, s; `None` where the wall clock went backwards or is not known.
    fn wall_break(&self, next: &RunRecord) -> Option<f64> {
        let (start, _) = next.load_window()?;
        let seconds = wall(next, start)?.duration_since(self.wall_end?).as_secs_f64();
        (seconds >= 0.0).then_some(seconds)
    }

    /// Adds a part, whose load begins where the one before it ended.
    fn add(&mut self, mut part: RunRecord, break_seconds: Option<f64>) -> Segment {
        let (start, end) = part.load_window().unwrap_or_default();
        let (at, shift) = (self.end, Shift::between(start, self.end));
        self.end = shift.of(end);
        self.wall_end = wall(&part, end);
        let requests = std::mem::take(&mut part.requests);
        let counted = requests.len();
        self.take_requests(requests, shift);
        self.take_readings(&part, shift, (at, self.end));
        self.take_totals(&part, shift);
        self.count += 1;
        let later =
            |phase: &Phase| Phase { start: shift.of(phase.start), end: shift.of(phase.end), ..*phase };
        let of = |kind| part.phases.iter().filter(move |phase| phase.kind == kind).map(later);
        self.drain = of(PhaseKind::Drain).next();
        self.after = of(PhaseKind::Cooldown).chain(of(PhaseKind::IdleAfter)).collect();
        self.record.unmeasured.retain(|request| request.offer.phase != PhaseKind::Cooldown);
        for mut request in std::mem::take(&mut part.unmeasured) {
            if request.offer.phase == PhaseKind::Cooldown {
                shift.request(&mut request);
                self.record.unmeasured.push(request);
            }
        }
        part.gpu_samples.clear();
        part.server_samples.clear();
        Segment { at, break_seconds, requests: counted, record: part }
    }

    /// Takes requests over; an earlier attempt at the same one is kept out of the figures from now on.
    fn take_requests(&mut self, requests: Vec<RequestRecord>, shift: Shift) {
        let again: HashMap<usize, ()> =
            requests.iter().filter_map(|request| Some((request_number(&request.id)?, ()))).collect();
        let repeated = |request: &RequestRecord| {
            request_number(&request.id).is_some_and(|number| again.contains_key(&number))
        };
        let (old, kept) = std::mem::take(&mut self.record.requests).into_iter().partition(repeated);
        self.record.requests = kept;
        self.record.unmeasured.extend::<Vec<RequestRecord>>(old);
        for mut request in requests {
            shift.request(&mut request);
            self.record.requests.push(request);
        }
    }

    /// Takes over what was read within the load, for whoever shows it; figures go by the segments' own readings.
    fn take_readings(&mut self, part: &RunRecord, shift: Shift, (from, to): (Stamp, Stamp)) {
        let channels = &mut self.record.channels;
        let places: Vec<u16> = part
            .channels
            .iter()
            .map(|channel| {
                let known = channels.iter().position(|known| known.name == channel.name);
                let place = known.unwrap_or_else(|| {
                    channels.push(channel.clone());
                    channels.len() - 1
                });
                u16::try_from(place).unwrap_or(u16::MAX)
            })
            .collect();
        let first = self.count == 0;
        let wanted = |at: Stamp| shift.checked(at).filter(|at| *at <= to && (first || *at >= from));
        for reading in &part.readings {
            if let (Some(at), Some(channel)) = (wanted(reading.at), places.get(usize::from(reading.channel)))
            {
                self.record.readings.push(ai_energy_core::EnergyReading {
                    at,
                    channel: *channel,
                    ..*reading
                });
            }
        }
        for sample in &part.gpu_samples {
            if let Some(at) = wanted(sample.at) {
                self.record.gpu_samples.push(ai_energy_core::energy::GpuSample { at, ..sample.clone() });
            }
        }
        for sample in &part.server_samples {
            if let Some(at) = wanted(sample.at) {
                self.record.server_samples.push(ai_energy_core::server::ServerSample { at, ..*sample });
            }
        }
        if !part.gpu_states.is_empty() {
            self.record.gpu_states.clone_from(&part.gpu_states);
        }
    }

    /// Adds up what is a total over the run.
    fn take_totals(&mut self, part: &RunRecord, shift: Shift) {
        let record = &mut self.record;
        record.synthetic |= part.synthetic;
        add_new(&mut record.warnings, &part.warnings);
        add_new(&mut record.unavailable_sources, &part.unavailable_sources);
        let sum = |total: Option<f64>, more: Option<f64>| Some(total? + more?);
        record.client.load_cpu_seconds = sum(record.client.load_cpu_seconds, part.client.load_cpu_seconds);
        let (total, more) = (&mut record.sampler, &part.sampler);
        total.rounds += more.rounds;
        total.cpu_seconds = sum(total.cpu_seconds, more.cpu_seconds);
        total.longest_gap_seconds =
            [total.longest_gap_seconds, more.longest_gap_seconds].into_iter().flatten().reduce(f64::max);
        total.faults.extend(more.faults.iter().cloned());
        total.sources.extend(more.sources.iter().cloned());
        total.suspensions.extend(more.suspensions.iter().map(|pause| ai_energy_core::record::Suspension {
            after: shift.of(pause.after),
            before: shift.of(pause.before),
            ..*pause
        }));
        self.served = self.served.zip(part.server_counters).and_then(|(served, [before, after])| {
            let prompt = after.prompt_tokens.checked_sub(before.prompt_tokens)?;
            let generation = after.generation_tokens.checked_sub(before.generation_tokens)?;
            Some([served[0] + prompt, served[1] + generation])
        });
    }

    fn finish(mut self) -> RunRecord {
        let load = self.record.phases.iter_mut().find(|phase| phase.kind == PhaseKind::Load);
        if let Some(load) = load {
            load.end = self.end;
        }
        self.record.phases.extend(self.drain);
        self.record.phases.extend(self.after);
        let counters = |[prompt_tokens, generation_tokens]: [u64; 2]| {
            ai_energy_core::record::ServerCounters { prompt_tokens, generation_tokens }
        };
        self.record.server_counters = self.served.map(|served| [counters([0, 0]), counters(served)]);
        self.record.readings.sort_by_key(|reading| reading.at);
        self.record
    }
}

fn add_new<T: PartialEq + Clone>(all: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
}

/// The wall time at a stamp of a part's own clock.
fn wall(part: &RunRecord, stamp: Stamp) -> Option<Timestamp> {
    let start: Timestamp = part.started_at.parse().ok()?;
    start.checked_add(SignedDuration::from_nanos(i64::try_from(stamp.0).ok()?)).ok()
}

/// What the user should know of the breaks.
fn words(segments: &[Segment]) -> Vec<String> {
    let breaks: Vec<String> = segments
        .iter()
        .skip(1)
        .map(|segment| match segment.break_seconds {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "unknown length".to_owned(),
        })
        .collect();
    let mut words = vec![format!(
        "resumed: {} segments, break of {}; the figures are of the segments alone",
        segments.len(),
        breaks.join(" and of ")
    )];
    let host = |segment: &Segment| segment.record.environment.get("hostname").cloned();
    let server = |segment: &Segment| segment.record.backend.server.clone();
    if segments.iter().any(|segment| host(segment) != host(&segments[0])) {
        words
            .push("the segments ran on different hosts: their energies are of different machines".to_owned());
    }
    if segments.iter().any(|segment| server(segment) != server(&segments[0])) {
        words.push("the server's program or version changed between the segments".to_owned());
    }
    words
}
