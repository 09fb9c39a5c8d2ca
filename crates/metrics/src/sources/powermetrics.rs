//! Apple silicon through macOS' `powermetrics`, which runs beside the program and prints a sample each interval.
//!
//! Each sample is a mean over the time that it names, so mean × time are its joules, and their running sum is a
//! counter: nothing between two samples is lost. Apple calls these figures estimates that may not be compared between
//! machines, hence the wide gain.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, ReadFault, Scope};
use ai_energy_core::figure::Provenance;

use super::background::{Ask, Background, Hand};
use super::{Found, Search};

/// The source's name.
pub(super) const NAME: &str = "powermetrics";

/// The manual's word is that the values are estimated.
const GAIN_CI95: f64 = 0.2;

/// Milliseconds between two samples.
const INTERVAL_MS: u32 = 200;

/// A first sample that takes longer does not come.
const FIRST: Duration = Duration::from_secs(5);

/// The lines that count, with what they are.
const RAILS: [(&str, &str, Domain, Scope); 4] = [
    ("CPU Power", "cpu", Domain::Cpu, Scope::Package),
    ("GPU Power", "gpu", Domain::Gpu, Scope::Accelerator),
    ("ANE Power", "ane", Domain::Gpu, Scope::Accelerator),
    ("DRAM Power", "dram", Domain::Ram, Scope::Memory),
];

/// Starts the program and looks which rails its first sample has.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let Some(program) = &search.roots.powermetrics else {
        return Found::default();
    };
    let mut command = Command::new(program);
    command.args(["--samplers", "cpu_power,gpu_power", "-b", "1", "-i", &INTERVAL_MS.to_string()]);
    let mut running = match Running::start(command) {
        Ok(running) => running,
        Err(reason) => return Found::unavailable(NAME, Domain::Cpu, reason, ""),
    };
    let Some(sample) = running.next(FIRST) else {
        let remedy = "run as root: powermetrics gives its samples to nobody else";
        return Found::unavailable(NAME, Domain::Cpu, "powermetrics gives no sample", remedy);
    };
    let rails: Vec<usize> = (0..RAILS.len()).filter(|rail| sample.milliwatts[*rail].is_some()).collect();
    if rails.is_empty() {
        return Found::unavailable(NAME, Domain::Cpu, "powermetrics tells no power on this machine", "");
    }
    let channels = rails.iter().map(|rail| channel(*rail)).collect();
    let latency = Duration::from_millis(u64::from(INTERVAL_MS) * 10);
    let ask = Counting { running, microjoules: vec![0.0; rails.len()], rails };
    Found::source(Background::new(channels, Duration::ZERO, latency, ask))
}

fn channel(rail: usize) -> Channel {
    let (_, word, domain, scope) = RAILS[rail];
    Channel {
        name: format!("{NAME}:{word}"),
        domain,
        device: "Apple silicon".to_owned(),
        device_id: format!("{NAME}:{word}"),
        kind: ChannelKind::Counter { wrap_microjoules: None },
        provenance: Provenance::Measured,
        source: format!("powermetrics, {word}"),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument {
            update_period_ms: Some(f64::from(INTERVAL_MS)),
            gain_source: GainSource::Specified,
            ..Instrument::of(scope)
        },
    }
}

/// One sample: how long it averages over, and the rails it has.
#[derive(Debug, Clone, PartialEq, Default)]
struct Sample {
    elapsed_ms: f64,
    milliwatts: [Option<f64>; RAILS.len()],
}

/// Puts samples together from lines. A sample is whole when its combined power has come, the last of its lines that
/// says a power.
#[derive(Default)]
struct Parser(Sample);

impl Parser {
    fn line(&mut self, line: &str) -> Option<Sample> {
        if let Some(head) = line.strip_prefix("*** Sampled system activity") {
            let elapsed = head.rsplit_once('(').and_then(|(_, rest)| rest.split_once("ms elapsed"));
            let elapsed_ms = elapsed.and_then(|(ms, _)| ms.trim().parse().ok()).unwrap_or(0.0);
            self.0 = Sample { elapsed_ms, ..Sample::default() };
            return None;
        }
        let (key, value) = line.split_once(':')?;
        let milliwatts = || value.trim().strip_suffix("mW")?.trim().parse().ok();
        if key.trim().starts_with("Combined Power") {
            return (self.0.elapsed_ms > 0.0).then(|| std::mem::take(&mut self.0));
        }
        let rail = RAILS.iter().position(|(name, ..)| *name == key.trim())?;
        // The GPU's section repeats its power: the same figure, taken once.
        self.0.milliwatts[rail] = self.0.milliwatts[rail].or_else(milliwatts);
        None
    }
}

/// The program, killed with its source.
struct Running {
    child: Child,
    samples: std::sync::mpsc::Receiver<(Instant, Sample)>,
}

impl Running {
    fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|error| format!("powermetrics cannot be started: {error}"))?;
        let (hand, samples) = std::sync::mpsc::channel();
        let pipe = child.stdout.take();
        // Ends when the program does.
        std::thread::spawn(move || {
            let mut parser = Parser::default();
            for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
                if let Some(sample) = parser.line(&line)
                    && hand.send((Instant::now(), sample)).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { child, samples })
    }

    fn next(&mut self, limit: Duration) -> Option<Sample> {
        self.samples.recv_timeout(limit).ok().map(|(_, sample)| sample)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sums what the samples say.
struct Counting {
    running: Running,
    rails: Vec<usize>,
    microjoules: Vec<f64>,
}

impl Ask for Counting {
    fn ask(&mut self, hand: Hand<'_>) -> Result<(), ReadFault> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        let (at, sample) = match self.running.samples.recv_timeout(FIRST) {
            Ok(sample) => sample,
            Err(Timeout) => return Err(ReadFault::Transient("powermetrics gives no sample".to_owned())),
            Err(Disconnected) => return Err(ReadFault::Gone("powermetrics ended".to_owned())),
        };
        for (position, rail) in self.rails.iter().enumerate() {
            // Milliwatts times milliseconds are microjoules.
            self.microjoules[position] += sample.milliwatts[*rail].unwrap_or(0.0) * sample.elapsed_ms;
            hand(position, at, self.microjoules[position].round() as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_whole_with_its_combined_power() {
        let text = "*** Sampled system activity (Mon Jan  5 12:00:00 2026 +0000) (201.25ms elapsed) ***\n\
                    CPU Power: 1200 mW\nGPU Power: 350 mW\nANE Power: 0 mW\n\
                    Combined Power (CPU + GPU + ANE): 1550 mW\nGPU Power: 350 mW\n";
        let mut parser = Parser::default();
        let samples: Vec<Sample> = text.lines().filter_map(|line| parser.line(line)).collect();
        let milliwatts = [Some(1200.0), Some(350.0), Some(0.0), None];
        assert_eq!(samples, [Sample { elapsed_ms: 201.25, milliwatts }]);
        let cut = text.lines().skip(1).filter_map(|line| Parser::default().line(line)).count();
        assert_eq!(cut, 0, "a sample without its beginning has no length");
    }
}
