//! Series for charts and each request's own times, from the record alone.
//!
//! Power is the energy of a stretch over its length, taken from the same curves as the figures, so that the area below a
//! chart's line is the report's energy. Refuses to draw what the figures refuse: a domain without energy has no line.

use ai_energy_core::RunRecord;
use ai_energy_core::chunks::Unpacked;
use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::Domain;
use ai_energy_core::record::RequestRecord;
use ai_energy_core::summary::{Curves, DomainPower, RequestTimes, TimeBin};

use crate::energy::{ChannelResult, channel_results};
use crate::integrate::Window;
use crate::latency;
use crate::load::flight::Flight;

/// Stretches that a run is cut into at most: about as many as a page has pixels to show.
const MOST_STRETCHES: u64 = 360;
/// Ticks of a counter that a stretch holds at least, so that one more or less is a small part of it.
const TICKS: f64 = 4.0;
/// Changes of the number in flight that are kept one by one; above, means over stretches.
const MOST_CHANGES: usize = 720;
/// The domains in the order of reports.
const DOMAINS: [Domain; 4] = [Domain::Gpu, Domain::Cpu, Domain::Ram, Domain::Node];

/// The series of a run.
pub fn curves(record: &RunRecord) -> Curves {
    let window = record.load_window().map(|(start, end)| Window { start, end });
    let results = channel_results(record, window.filter(|window| window.end > window.start));
    let counted: Vec<&ChannelResult<'_>> = results.iter().filter(|result| result.channel.counts).collect();
    let stretches = stretches(&counted);
    let power: Vec<DomainPower> =
        DOMAINS.into_iter().filter_map(|domain| domain_power(domain, &counted, &stretches)).collect();
    let step = stretches.first().filter(|_| !power.is_empty()).map_or(0.0, |stretch| stretch.seconds());
    let (mut room, mut gaps) = (Unpacked::default(), Bins::default());
    Curves {
        power,
        power_step_seconds: step,
        in_flight: in_flight(record),
        requests: record.requests.iter().map(|request| times(request, &mut room, &mut gaps)).collect(),
        inter_token: gaps.filled(),
    }
}

/// Equal stretches over the time in which every counted channel was read.
fn stretches(counted: &[&ChannelResult<'_>]) -> Vec<Window> {
    let curves = || counted.iter().filter(|result| result.energy.is_ok()).filter_map(|r| r.curve.as_ref());
    let start = curves().map(|curve| curve.span().0).max();
    let end = curves().map(|curve| curve.span().1).min();
    let Some((start, end)) = start.zip(end).filter(|(start, end)| end > start) else { return Vec::new() };
    let ticks = curves().filter_map(|curve| curve.tick_seconds()).fold(0.0, f64::max);
    let reads = curves().map(|curve| curve.moments(Window { start, end }).len()).min().unwrap_or(0);
    let whole = end.since(start).as_secs_f64();
    // A stretch without a reading of its own would repeat its neighbour.
    let by_reads = (reads as u64 / 2).max(1);
    let by_ticks = if ticks > 0.0 { ((whole / (TICKS * ticks)) as u64).max(1) } else { MOST_STRETCHES };
    let count = MOST_STRETCHES.min(by_reads).min(by_ticks);
    let edge =
        |number: u64| Stamp(start.0 + ((end.0 - start.0) as f64 * number as f64 / count as f64) as u64);
    (0..count).map(|number| Window { start: edge(number), end: edge(number + 1) }).collect()
}

/// `None` where one of the domain's channels has no energy, as in the figures, or nothing is read for it.
fn domain_power(domain: Domain, counted: &[&ChannelResult<'_>], stretches: &[Window]) -> Option<DomainPower> {
    let of_domain = || counted.iter().filter(|result| result.channel.domain == domain);
    if of_domain().next().is_none() || of_domain().any(|result| result.energy.is_err()) {
        return None;
    }
    let curves: Vec<_> = of_domain().filter_map(|result| result.curve.as_ref()).collect();
    let watts = |stretch: &Window| {
        let joules: f64 =
            curves.iter().map(|curve| curve.joules_at(stretch.end) - curve.joules_at(stretch.start)).sum();
        let middle = f64::midpoint(stretch.start.seconds(), stretch.end.seconds());
        (stretch.seconds() > 0.0).then(|| (middle, joules / stretch.seconds()))
    };
    let points: Vec<(f64, f64)> = stretches.iter().filter_map(watts).collect();
    (!points.is_empty()).then_some(DomainPower { domain, points })
}

/// Each change of the number in flight, or its means where there are many.
fn in_flight(record: &RunRecord) -> Vec<(f64, f64)> {
    let flight = Flight::new(record);
    let levels = flight.levels();
    if levels.len() <= MOST_CHANGES {
        return levels.iter().map(|(at, level)| (at.seconds(), *level as f64)).collect();
    }
    let (Some((first, _)), Some((last, _))) = (levels.first(), levels.last()) else { return Vec::new() };
    let step = (last.0 - first.0) / MOST_STRETCHES;
    if step == 0 {
        return Vec::new();
    }
    let stretch = |number: u64| {
        let start = Stamp(first.0 + number * step);
        let window = Window { start, end: Stamp(start.0 + step) };
        (start.seconds(), flight.mean_over(window))
    };
    (0..MOST_STRETCHES).map(stretch).chain([(last.seconds(), 0.0)]).collect()
}

/// Counts of times by bins of equal ratio, from a microsecond on.
#[derive(Default)]
struct Bins(Vec<u64>);

impl Bins {
    /// Bins of a power of ten.
    const A_DECADE: f64 = 20.0;
    /// The last takes everything longer: eleven powers of ten, which is more than a day.
    const MOST: usize = 220;

    fn add(&mut self, seconds: f64, count: u64) {
        let place = ((seconds * 1e6).log10() * Self::A_DECADE).clamp(0.0, Self::MOST as f64) as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        self.0[place] += count;
    }

    /// Those from the first to the last that holds something.
    fn filled(self) -> Vec<TimeBin> {
        let edge = |place: usize| 1e-6 * 10_f64.powf(place as f64 / Self::A_DECADE);
        let bin = |(place, count)| TimeBin { from: edge(place), to: edge(place + 1), count };
        self.0.into_iter().enumerate().skip_while(|(_, count)| *count == 0).map(bin).collect()
    }
}

fn times(request: &RequestRecord, room: &mut Unpacked, gaps: &mut Bins) -> RequestTimes {
    let (mut sum, mut tokens) = (0.0, 0_u64);
    latency::gaps(request, room, |seconds, count| {
        sum += seconds * count as f64;
        tokens += count;
        if request.succeeded() {
            gaps.add(seconds, count);
        }
    });
    RequestTimes {
        time_to_first_token: latency::time_to_first_token(request),
        mean_inter_token: (tokens > 0).then(|| sum / tokens as f64),
        time_per_output_token: latency::time_per_output_token(request),
        end_to_end: latency::end_to_end(request),
        queueing: latency::queueing(request),
        schedule_lag: latency::schedule_lag(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_is_in_the_bin_whose_bounds_hold_it() {
        let mut bins = Bins::default();
        let gaps = [(0.0, 2), (0.010, 90), (0.0101, 7), (0.5, 1), (1e9, 1)];
        gaps.iter().for_each(|(seconds, count)| bins.add(*seconds, *count));
        let filled = bins.filled();
        assert_eq!(filled.iter().map(|bin| bin.count).sum::<u64>(), 101);
        assert!(filled.windows(2).all(|pair| (pair[0].to / pair[1].from - 1.0).abs() < 1e-12));
        let of =
            |seconds: f64| filled.iter().find(|bin| bin.from <= seconds && seconds < bin.to).unwrap().count;
        assert_eq!((filled[0].count, of(0.0101), of(0.46)), (2, 97, 1));
        assert!(filled.len() <= Bins::MOST + 1);
        assert_eq!(Bins::default().filled(), []);
    }
}
