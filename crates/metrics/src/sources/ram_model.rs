//! An estimate of the memory's energy from its amount, for machines whose counters do not show memory.
//!
//! A constant power: watts per module times a likely number of modules. The number is CodeCarbon's up to 128 GiB;
//! above, where that rule falls from sixteen modules to eight at some sizes, one module for each 64 GiB and never fewer
//! than eight. Inside a container the kernel shows the host's memory, so a control group's limit bounds the amount.

use ai_energy_core::energy::{
    Channel, ChannelKind, Domain, EnergySource, GainSource, Instrument, ReadFault, Scope,
};
use ai_energy_core::figure::Provenance;

use super::{Found, Search};
use crate::machine;

/// The source's name.
pub(super) const NAME: &str = "ram_model";

/// Half the estimate itself: neither the modules nor their use are known.
const GAIN_CI95: f64 = 0.5;

/// Offers the model where no instrument counts the memory.
pub(super) fn discover(search: &Search<'_>) -> Found {
    if search.covered.contains(&Domain::Ram) {
        return Found::default();
    }
    let Some(total_gib) = machine::ram_total_gib(search.roots) else {
        let file = search.roots.proc.join("meminfo");
        let reason = format!("{} does not tell the amount of memory", file.display());
        return Found::unavailable(NAME, Domain::Ram, reason, "");
    };
    let limit = machine::memory_limit_gib(search.roots).filter(|limit| *limit < total_gib);
    let gib = limit.unwrap_or(total_gib);
    let arm = matches!(std::env::consts::ARCH, "aarch64" | "arm");
    let (modules, watts) = (modules(gib), watts(modules(gib), arm));
    let word = if modules == 1 { "module" } else { "modules" };
    let of = if limit.is_some() { "the container's limit of " } else { "" };
    let channel = Channel {
        name: format!("{NAME}:modules"),
        domain: Domain::Ram,
        device: format!("{gib:.1} GiB"),
        device_id: "ram".to_owned(),
        kind: ChannelKind::Power { averaging_ms: None },
        provenance: Provenance::Estimated,
        source: format!("{modules} {word}, {watts:.1} W for {of}{gib:.1} GiB"),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Memory) },
    };
    let whole_machine = machine::container(search.roots).filter(|_| limit.is_none()).map(|_| Domain::Ram);
    let model = RamModel { channels: [channel], microwatts: (watts * 1e6).round() as u64 };
    Found { whole_machine, ..Found::source(model) }
}

/// Likely number of memory modules in a machine of `gib` GiB.
fn modules(gib: f64) -> u32 {
    match gib {
        gib if gib <= 2.0 => 1,
        gib if gib <= 16.0 => 2,
        gib if gib <= 64.0 => 4,
        gib => ((gib / 64.0).ceil() as u32).clamp(8, 32),
    }
}

/// Power of that many modules, W: 5 W each (1.5 W on ARM), of which the fifth to eighth count 0.9, the ninth to
/// sixteenth 0.8 and further ones 0.7; at least 10 W (3 W on ARM).
fn watts(modules: u32, arm: bool) -> f64 {
    let (each, least) = if arm { (1.5, 3.0) } else { (5.0, 10.0) };
    let tiers = [(4, 1.0), (4, 0.9), (8, 0.8), (u32::MAX, 0.7)];
    let (sum, _) = tiers.into_iter().fold((0.0, modules), |(sum, left), (size, share)| {
        let here = left.min(size);
        (sum + f64::from(here) * share * each, left - here)
    });
    sum.max(least)
}

struct RamModel {
    channels: [Channel; 1],
    microwatts: u64,
}

impl EnergySource for RamModel {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        out(0, self.microwatts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_watts_by_hand() {
        for (gib, expected) in
            [(1.9, 1), (15.6, 2), (62.0, 4), (125.0, 8), (512.0, 8), (1024.0, 16), (9000.0, 32)]
        {
            assert_eq!(modules(gib), expected, "{gib} GiB");
        }
        assert_eq!(watts(1, false), 10.0, "the least");
        assert_eq!(watts(4, false), 20.0);
        assert_eq!(watts(8, false), 38.0);
        assert_eq!(watts(16, false), 70.0, "20 + 18 + 32");
        assert_eq!(watts(32, false), 126.0, "20 + 18 + 32 + 56");
        assert_eq!((watts(1, true), watts(4, true)), (3.0, 6.0));
    }

    #[test]
    fn more_memory_never_needs_less_power() {
        let powers: Vec<f64> = (1..3000).map(|gib| watts(modules(f64::from(gib)), false)).collect();
        assert!(powers.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
