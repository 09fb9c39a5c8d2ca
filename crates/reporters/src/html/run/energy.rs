//! What was spent in what: the table of costs, the split by domain and by kind of work, power over time.

use ai_energy_core::record::PhaseKind;
use ai_energy_core::summary::{Efficiency, Stretch};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Domain, Figure, Report};

use super::{clean, glyphs, level, mark, text};
use crate::html::chart::{Axis, Bar, Bars, Line, Lines, Segment, Shade};
use crate::html::page::{Block, Cell, Column, Row, Table};
use crate::terminal::energy::{label, origin};
use crate::terminal::units::{self, GRAMS, JOULES, WATT_HOURS, WATTS, pick, pick_common};

/// Names of a bar's parts.
const PARTS: [&str; 6] =
    ["prefill", "decode", "above idle", "idle and load, not told apart", "idle", "other"];

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let mut blocks = vec![Block::Table(costs(report))];
    blocks.extend(split(report).chart("split").map(Block::Chart));
    blocks.extend(power(report).and_then(|lines| lines.chart("power")).map(Block::Chart));
    blocks.extend(in_flight(report).and_then(|lines| lines.chart("flight")).map(Block::Chart));
    blocks.extend(further(report).map(Block::Table));
    blocks.extend(stretches(report));
    blocks
}

/// What a request, a token and the run cost, by domain.
fn costs(report: Report<'_>) -> Table {
    let energy = &report.summary.energy;
    let mut rows: Vec<Row> = energy
        .domains
        .iter()
        .map(|entry| {
            cost_row(label(entry.domain), [&entry.per_request, &entry.per_output_token, &entry.energy])
        })
        .collect();
    rows.push(cost_row("total", [&energy.per_request, &energy.per_output_token, &energy.total]));
    let carbon = &report.summary.carbon;
    let grams = [&carbon.emissions_per_request, &carbon.emissions_per_output_token, &carbon.emissions];
    let mut row = Row::new("CO₂e", grams.map(|figure| text(figure, GRAMS)));
    row.cells.push(known(&carbon.emissions));
    row.cells.push(clean(&origin(&carbon.intensity)).into());
    rows.push(row);
    let numbers = ["per request", "per output token", "whole run"].map(Column::numbers);
    let columns = [Column::words("")].into_iter().chain(numbers);
    let columns = columns.chain(["known", "from"].map(Column::words)).collect();
    Table { caption: "What a request, a token and the whole run cost".to_owned(), columns, rows }
}

fn cost_row(name: &str, [request, token, whole]: [&Figure; 3]) -> Row {
    let watt_hours = whole.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh");
    let cells = [text(request, JOULES), text(token, JOULES), text(&watt_hours, WATT_HOURS)];
    let mut row = Row::new(name, cells);
    let from = match (&whole.value, &whole.reason) {
        (None, Some(reason)) => reason.clone(),
        _ => origin(whole),
    };
    row.cells.push(known(whole));
    row.cells.push(clean(&from).into());
    row
}

fn known(figure: &Figure) -> Cell {
    Cell::from(mark(figure.provenance)).with(level(figure.provenance))
}

/// Each domain's energy in its idle and net parts, and the work that one of them was spent on.
fn split(report: Report<'_>) -> Bars {
    let energy = &report.summary.energy;
    let load = energy.phase(Stretch::Load);
    let segment = |part: usize, figure: &Figure| {
        let value = figure.value.filter(|value| *value > 0.0)?;
        Some(Segment { part, value, text: text(figure, JOULES) })
    };
    let mut bars: Vec<Bar> = Vec::new();
    for entry in energy.domains.iter().filter(|entry| entry.energy.value.is_some()) {
        let parts = load.and_then(|load| load.domain(entry.domain));
        let halves = parts.and_then(|parts| segment(4, &parts.idle).zip(segment(2, &parts.net)));
        let segments = match halves {
            Some((idle, net)) => vec![idle, net],
            None => segment(3, &entry.energy).into_iter().collect(),
        };
        bars.push(Bar { name: label(entry.domain).to_owned(), whole: text(&entry.energy, JOULES), segments });
    }
    let work = &energy.prefill_decode;
    if let Some(domain) = work.domain {
        let parts = [(0, &work.prefill), (1, &work.decode), (5, &work.other)];
        let segments = parts.into_iter().filter_map(|(part, figure)| segment(part, figure)).collect();
        let whole =
            report.summary.domain(domain).map_or_else(String::new, |whole| text(&whole.energy, JOULES));
        bars.push(Bar { name: format!("{} by kind of work", label(domain)), whole, segments });
    }
    let described: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.name, bar.whole)).collect();
    Bars {
        title: "Energy of the load in its parts".to_owned(),
        description: described.join("; "),
        parts: PARTS.map(str::to_owned).into(),
        bars,
    }
}

/// The stretches of the run as shades, and the time they span.
fn shades(report: Report<'_>) -> (Vec<Shade>, Option<(f64, f64)>) {
    let phases = report.record.phases.iter().filter(|phase| phase.kind != PhaseKind::Drain);
    let shades: Vec<Shade> = phases
        .map(|phase| Shade {
            from: phase.start.seconds(),
            to: phase.end.seconds(),
            name: phase.kind.words().to_owned(),
            main: phase.kind == PhaseKind::Load,
        })
        .collect();
    let powers = report.summary.curves.power.iter().flat_map(|power| &power.points);
    let times = powers.map(|(at, _)| *at).chain(shades.iter().flat_map(|shade| [shade.from, shade.to]));
    let range = times.fold(None, |range: Option<(f64, f64)>, at| {
        Some(range.map_or((at, at), |(from, to)| (from.min(at), to.max(at))))
    });
    (shades, range)
}

/// Power of each domain over the whole run.
fn power(report: Report<'_>) -> Option<Lines> {
    let curves = &report.summary.curves;
    let largest = curves.power.iter().flat_map(|power| &power.points).map(|(_, watts)| *watts);
    let scale = pick(WATTS, largest.fold(0.0, f64::max));
    let lines: Vec<Line> = curves
        .power
        .iter()
        .map(|power| Line {
            name: label(power.domain).to_owned(),
            points: power.points.iter().map(|(at, watts)| (*at, watts / scale.factor())).collect(),
            filled: power.domain == Domain::Gpu,
            ..Line::default()
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let means = report.summary.energy.domains.iter().filter(|entry| entry.mean_power.value.is_some());
    let means: Vec<String> =
        means.map(|entry| format!("{} {}", label(entry.domain), text(&entry.mean_power, WATTS))).collect();
    let (shades, range) = shades(report);
    let step = units::significant(curves.power_step_seconds, 2);
    Some(Lines {
        title: format!("Power over time, means over {step} s"),
        description: format!("Mean over the load: {}", means.join("; ")),
        x: Axis::new("time since the run's start", "s"),
        y: Axis::new("power", &scale.unit(&glyphs())),
        lines,
        shades,
        range,
    })
}

/// Requests in flight over the same time as the power above.
fn in_flight(report: Report<'_>) -> Option<Lines> {
    let points = &report.summary.curves.in_flight;
    let load = &report.summary.load;
    let most = load.peak_concurrency.value?;
    let mean = load.mean_concurrency.value?;
    let (shades, range) = shades(report);
    Some(Lines {
        title: "Requests in flight".to_owned(),
        description: format!("{mean:.1} on average over the load, {most:.0} at most"),
        x: Axis::new("time since the run's start", "s"),
        y: Axis::counts("in flight"),
        lines: vec![Line {
            name: "in flight".to_owned(),
            points: points.clone(),
            stepped: true,
            filled: true,
        }],
        shades,
        range,
    })
}

/// Figures by which models are compared elsewhere, those that are known.
fn further(report: Report<'_>) -> Option<Table> {
    let energy = &report.summary.energy;
    let Efficiency { net_per_request, net_per_output_token, gpu_net_per_output_token, .. } =
        &energy.efficiency;
    let per_joule = &energy.output_tokens_per_joule;
    let tokens = per_joule
        .value
        .map(|value| format!("{} tokens/J", units::with_interval(value, per_joule.ci95, &glyphs())));
    let figures = [
        (
            "energy per 1000 requests",
            text(&energy.wh_per_1000_requests, WATT_HOURS),
            &energy.wh_per_1000_requests,
        ),
        ("energy per prompt or output token", text(&energy.per_token, JOULES), &energy.per_token),
        ("output tokens per joule", tokens.unwrap_or_default(), per_joule),
        (
            "GPU energy per output token",
            text(&energy.gpu_per_output_token, JOULES),
            &energy.gpu_per_output_token,
        ),
        ("energy above idle per request", text(net_per_request, JOULES), net_per_request),
        ("energy above idle per output token", text(net_per_output_token, JOULES), net_per_output_token),
        (
            "GPU energy above idle per output token",
            text(gpu_net_per_output_token, JOULES),
            gpu_net_per_output_token,
        ),
    ];
    let rows: Vec<Row> = figures
        .into_iter()
        .filter(|(.., figure)| figure.value.is_some())
        .map(|(name, value, figure)| Row::new(name, [Cell::from(value), known(figure)]))
        .collect();
    let columns = vec![Column::words(""), Column::numbers("value"), Column::words("known")];
    let caption = "Further shares of the same energy".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

/// Gross, idle and net energy of each stretch, folded away.
fn stretches(report: Report<'_>) -> Option<Block> {
    let phases = &report.summary.energy.phases;
    let rows: Vec<Row> = phases
        .iter()
        .map(|phase| {
            let total = &phase.total;
            let seconds = phase.duration.value.map(|value| format!("{} s", units::significant(value, 3)));
            let figures = [&total.gross, &total.idle, &total.net];
            let scale = pick_common(JOULES, figures.iter().filter_map(|figure| figure.value));
            let figures = figures.map(|figure| units::figure(figure, JOULES, scale, &glyphs()));
            let cells = [seconds.unwrap_or_default()].into_iter().chain(figures);
            Row::new(phase.phase.words(), cells.chain([text(&total.mean_power, WATTS)]))
        })
        .collect();
    let numbers = ["length", "gross", "idle", "above idle", "mean power"].map(Column::numbers);
    let table = Table {
        caption: "All domains together, by stretch of the run".to_owned(),
        columns: [Column::words("")].into_iter().chain(numbers).collect(),
        rows,
    };
    let title = "Energy by stretch of the run".to_owned();
    (!phases.is_empty()).then_some(Block::Fold { title, blocks: vec![Block::Table(table)] })
}
