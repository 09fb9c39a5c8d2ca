//! An estimate of the processors' energy from their load, for machines whose counters cannot be read.
//!
//! The model is linear: power = TDP × (0.1 + 0.9 × busy share). Its ends are those of CodeCarbon's curve,
//! TDP × (0.1 + 0.9 × load³), which falls to a fifth of the TDP at half load; a straight line in load is what Fan,
//! Weber and Barroso ("Power provisioning for a warehouse-sized computer", 2007) found to fit measured machines to a
//! few per cent once its ends are known. A line has a second merit: energy follows from the kernel's own running
//! totals of busy time, hence does not depend on how often they are read, and nothing is integrated here.
//!
//! Inside a container the kernel shows the whole host's load, so the estimate is of the host; inside a virtual machine
//! it is of its own virtual processors.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;

use super::{Found, Search};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "cpu_model";

/// Share of the TDP drawn when idle.
const IDLE_SHARE: f64 = 0.1;

/// TDP of one hardware thread where the user gives none, W.
const WATTS_PER_THREAD: f64 = 4.0;

/// Half the estimate itself: the TDP is a guess and the curve a line.
const GAIN_CI95: f64 = 0.5;

/// Offers the model where no instrument counts the processors.
pub(super) fn discover(search: &Search<'_>) -> Found {
    if search.covered.contains(&Domain::Cpu) {
        return Found::default();
    }
    let stat = search.roots.proc.join("stat");
    let Some((threads, busy_seconds)) = fs::read_to_string(&stat).ok().as_deref().and_then(machine::busy)
    else {
        let reason = format!("{} does not tell the processors' load", stat.display());
        return Found::unavailable(NAME, Domain::Cpu, reason, "");
    };
    let tdp = search.options.cpu_tdp_watts;
    let tdp_watts = tdp.unwrap_or(WATTS_PER_THREAD * threads as f64);
    let how = match tdp {
        Some(_) => "as configured".to_owned(),
        None => format!("{threads} threads × {WATTS_PER_THREAD} W"),
    };
    let channel = Channel {
        name: format!("{NAME}:load"),
        domain: Domain::Cpu,
        device: machine::cpu_model(search.roots).unwrap_or_default(),
        device_id: "cpu".to_owned(),
        kind: ChannelKind::Counter { wrap_microjoules: None },
        provenance: Provenance::Estimated,
        source: format!("load × {tdp_watts} W ({how})"),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Package) },
    };
    let model = CpuModel {
        channels: [channel],
        stat,
        begin: Instant::now(),
        busy_at_begin: busy_seconds,
        tdp_watts,
        last_microjoules: 0,
    };
    let whole_machine = machine::container(search.roots).map(|_| Domain::Cpu);
    Found { whole_machine, ..Found::source(model) }
}

struct CpuModel {
    channels: [Channel; 1],
    stat: PathBuf,
    begin: Instant,
    busy_at_begin: f64,
    tdp_watts: f64,
    last_microjoules: u64,
}

/// Energy of the model in joules: idle power over the whole time, the rest over the busy time of the average thread.
fn joules(tdp_watts: f64, threads: usize, seconds: f64, busy_seconds: f64) -> f64 {
    let busy = (busy_seconds / threads as f64).clamp(0.0, seconds);
    tdp_watts * (IDLE_SHARE * seconds + (1.0 - IDLE_SHARE) * busy)
}

impl EnergySource for CpuModel {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let path = self.stat.display();
        let text =
            fs::read_to_string(&self.stat).map_err(|error| ReadFault::Gone(format!("{path}: {error}")))?;
        let (threads, busy) = machine::busy(&text)
            .ok_or_else(|| ReadFault::Transient(format!("{path} does not tell the processors' load")))?;
        let seconds = self.begin.elapsed().as_secs_f64();
        let joules = joules(self.tdp_watts, threads, seconds, busy - self.busy_at_begin);
        // The kernel's totals can step back by a tick; a counter never does.
        self.last_microjoules = self.last_microjoules.max((joules * 1e6) as u64);
        out(0, self.last_microjoules);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_from_a_tenth_of_the_tdp_to_all_of_it() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(joules(100.0, 4, 10.0, 0.0), 100.0), "idle");
        assert!(close(joules(100.0, 4, 10.0, 40.0), 1000.0), "four threads busy all the time");
        assert!(close(joules(100.0, 4, 10.0, 20.0), 550.0), "half");
        assert!(close(joules(100.0, 4, 10.0, 45.0), 1000.0), "never above the TDP");
    }
}
