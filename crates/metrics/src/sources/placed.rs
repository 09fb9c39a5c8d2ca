//! A source as the whole machine sees it: with what counts decided, and with the user's calibration.
//!
//! Everything else is the source's own.

use std::time::Duration;

use ai_energy_core::clock::{Clock, Stamp};
use ai_energy_core::energy::{Channel, EnergySource, GainSource, GpuState, ReadFault};

use crate::options::Gain;

/// Another view of a source's channels.
pub(super) struct Placed {
    source: Box<dyn EnergySource>,
    channels: Vec<Channel>,
}

impl Placed {
    /// The source with `counts` as decided, and `gain` by the device's identity.
    pub(super) fn new<'a>(
        source: Box<dyn EnergySource>,
        counts: &[bool],
        gain: impl Fn(&str) -> Option<&'a Gain>,
    ) -> Self {
        let mut channels = source.channels().to_vec();
        for (channel, counts) in channels.iter_mut().zip(counts) {
            channel.counts = *counts;
            if let Some(gain) = gain(&channel.device_id) {
                channel.instrument.gain_factor = Some(gain.factor);
                channel.instrument.gain_source = GainSource::Calibrated;
                channel.gain_ci95 = gain.ci95.or(channel.gain_ci95);
            }
        }
        Self { source, channels }
    }
}

impl EnergySource for Placed {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        self.source.read(out)
    }

    fn read_stamped(
        &mut self,
        clock: &Clock,
        out: &mut dyn FnMut(usize, Stamp, u64),
    ) -> Result<(), ReadFault> {
        self.source.read_stamped(clock, out)
    }

    fn latency(&self) -> Duration {
        self.source.latency()
    }

    fn is_synthetic(&self) -> bool {
        self.source.is_synthetic()
    }

    fn calls(&self) -> Option<u64> {
        self.source.calls()
    }

    fn gpu_states(&mut self) -> Vec<GpuState> {
        self.source.gpu_states()
    }
}
