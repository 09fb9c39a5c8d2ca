//! `sweep.html`: levels of load beside each other, energy against latency, and the way to each level's own page.
//!
//! Refuses to compute a figure and to choose a level.

use std::path::{Path, PathBuf};

use ai_energy_core::Figure;

use super::chart::{Axis, Point, Points};
use super::page::{Block, Cell, Column, Level, Page, Row, Section, Table};
use super::run;
use crate::terminal::text::Glyphs;
use crate::terminal::units::{JOULES, SECONDS, pick, pick_common, plain, significant, with_interval};

/// The file's name within the sweep's folder.
pub const FILE_NAME: &str = "sweep.html";

/// What a run at one level showed.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepLevel {
    /// Requests a second or in flight.
    pub level: f64,
    /// Share of good requests, 0 to 1.
    pub good_share: Figure,
    /// Successful requests a second.
    pub requests_per_second: Figure,
    /// Generated tokens a second.
    pub output_tokens_per_second: Figure,
    /// Time to first token, 50th and 99th percentile, s.
    pub ttft_seconds: Option<[f64; 2]>,
    /// Whole request, mean, s.
    pub mean_latency_seconds: Option<f64>,
    /// Energy per generated token, J.
    pub energy_per_output_token: Figure,
    /// The run's folder.
    pub run_dir: PathBuf,
}

/// A sweep or a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepPage<'a> {
    /// What the levels are: `requests/s` or `requests in flight`.
    pub unit: &'a str,
    /// What came out of it, in a sentence; empty for a plain sweep.
    pub conclusion: &'a str,
    /// Place of the answer among the levels.
    pub best: Option<usize>,
    /// The levels in the order they were tried.
    pub levels: &'a [SweepLevel],
    /// The folder that the page is written into.
    pub dir: &'a Path,
}

impl SweepPage<'_> {
    /// The page.
    pub fn page(&self) -> Page {
        let mut blocks = Vec::new();
        if !self.conclusion.is_empty() {
            blocks.push(Block::text(run::clean(self.conclusion)));
        }
        blocks.push(Block::Table(self.table()));
        let latency = |level: &SweepLevel| level.mean_latency_seconds;
        let first = |level: &SweepLevel| level.ttft_seconds.map(|ttft| ttft[1]);
        let rate = |level: &SweepLevel| level.output_tokens_per_second.value;
        let charts = [
            self.energy_against("time of the whole request, mean", "latency", Some(SECONDS), &latency),
            self.energy_against("time to first token, p99", "ttft", Some(SECONDS), &first),
            self.energy_against("output tokens a second", "rate", None, &rate),
        ];
        let charts: Vec<Block> = charts.into_iter().flatten().collect();
        let sections = [
            Section::new("levels", "Levels", blocks),
            Section::new("energy", "Energy against speed", charts),
        ];
        Page {
            title: format!("Sweep over {}", self.unit),
            subtitle: vec![format!("{} levels", self.levels.len())],
            banners: Vec::new(),
            sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        }
    }

    fn table(&self) -> Table {
        let mut places: Vec<usize> = (0..self.levels.len()).collect();
        places.sort_by(|one, other| self.levels[*one].level.total_cmp(&self.levels[*other].level));
        let names = [
            "requests/s",
            "output token/s",
            "TTFT p50",
            "TTFT p99",
            "request, mean",
            "good",
            "per output token",
        ];
        let numbers = names.map(Column::numbers);
        let columns = [Column::words(self.unit)].into_iter().chain(numbers);
        Table {
            caption: if self.best.is_some() {
                "What each level showed; the marked one is the answer".to_owned()
            } else {
                "What each level showed".to_owned()
            },
            columns: columns.chain([Column::words("run")]).collect(),
            rows: places.into_iter().map(|place| self.row(place)).collect(),
        }
    }

    fn row(&self, place: usize) -> Row {
        let glyphs = Glyphs::new(true);
        let level = &self.levels[place];
        let none = || glyphs.none.to_owned();
        let number = |figure: &Figure, factor: f64| {
            let ci95 = figure.ci95.map(|ci95| ci95 * factor);
            figure.value.map_or_else(none, |value| with_interval(value * factor, ci95, &glyphs))
        };
        let time = |seconds: Option<f64>| {
            seconds.map_or_else(none, |seconds| plain(seconds, pick(SECONDS, seconds), &glyphs))
        };
        let good = level.good_share.value.map(|_| format!("{} %", number(&level.good_share, 100.0)));
        let cells = [
            number(&level.requests_per_second, 1.0),
            number(&level.output_tokens_per_second, 1.0),
            time(level.ttft_seconds.map(|ttft| ttft[0])),
            time(level.ttft_seconds.map(|ttft| ttft[1])),
            time(level.mean_latency_seconds),
            good.unwrap_or_else(none),
            run::text(&level.energy_per_output_token, JOULES),
        ];
        let mut row = Row::new(level_text(level.level), cells);
        row.cells.push(self.link(&level.run_dir));
        if self.best == Some(place) {
            row.level = Level::Good;
            row.head.text = format!("{} {}", row.head.text, glyphs.check);
        }
        row
    }

    /// The run's folder, as a link where it lies beside the sweep's.
    fn link(&self, run_dir: &Path) -> Cell {
        let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
        let cell = Cell::from(run::clean(&name));
        if run_dir.parent() == self.dir.parent() {
            // Names of folders that this program makes hold letters, digits and hyphens.
            cell.linked(format!("../{name}/{}", run::FILE_NAME))
        } else {
            cell
        }
    }

    /// Energy per token against another figure of each level, where two levels have both.
    fn energy_against(
        &self,
        name: &str,
        id: &str,
        family: Option<crate::terminal::units::Family>,
        x: &dyn Fn(&SweepLevel) -> Option<f64>,
    ) -> Option<Block> {
        let glyphs = Glyphs::new(true);
        let mut known: Vec<(usize, &SweepLevel, f64, f64)> = self
            .levels
            .iter()
            .enumerate()
            .filter_map(|(place, level)| {
                Some((place, level, x(level)?, level.energy_per_output_token.value?))
            })
            .collect();
        if known.len() < 2 {
            return None;
        }
        let joules = pick_common(JOULES, known.iter().map(|(.., energy)| *energy));
        let scale = family.map(|family| pick_common(family, known.iter().map(|(_, _, x, _)| *x)));
        let factor = scale.map_or(1.0, |scale| scale.factor());
        let unit = scale.map_or_else(|| "token/s".to_owned(), |scale| scale.unit(&glyphs));
        known.sort_by(|one, other| one.1.level.total_cmp(&other.1.level));
        let points: Vec<Point> = known
            .iter()
            .map(|(place, level, x, energy)| Point {
                name: level_text(level.level),
                x: x / factor,
                y: energy / joules.factor(),
                ci95: level.energy_per_output_token.ci95.map(|ci95| ci95 / joules.factor()),
                text: format!(
                    "{} {}\n{name}: {} {unit}\nenergy per output token: {}",
                    level_text(level.level),
                    self.unit,
                    significant(x / factor, 3),
                    run::text(&level.energy_per_output_token, JOULES)
                ),
                chosen: self.best == Some(*place),
            })
            .collect();
        let chart = Points {
            title: format!("Energy per output token against {name}, by {}", self.unit),
            description: points
                .iter()
                .map(|point| point.text.replace('\n', ", "))
                .collect::<Vec<_>>()
                .join("; "),
            x: Axis::new(name, &unit),
            y: Axis::new("energy per output token", &joules.unit(&glyphs)),
            points,
        };
        chart.chart(id).map(Block::Chart)
    }
}

/// A level without digits that say nothing.
fn level_text(level: f64) -> String {
    format!("{level:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::Provenance;

    fn level(level: f64, latency: f64, joules: Option<f64>) -> SweepLevel {
        let unknown = || Figure::unavailable("1", "not set");
        SweepLevel {
            level,
            good_share: unknown(),
            requests_per_second: Figure::new(level * 5.0, "request/s", Provenance::Derived, ""),
            output_tokens_per_second: unknown(),
            ttft_seconds: None,
            mean_latency_seconds: Some(latency),
            energy_per_output_token: joules.map_or_else(unknown, |joules| {
                Figure::new(joules, "J/token", Provenance::Measured, "x").with_ci95(joules / 10.0)
            }),
            run_dir: PathBuf::from(format!("out/run-{level}")),
        }
    }

    #[test]
    fn levels_stand_in_order_with_a_chart_where_two_are_known_and_links_to_their_pages() {
        let levels = [level(8.0, 0.3, Some(0.1)), level(1.0, 0.1, Some(0.4)), level(2.0, 0.2, None)];
        let sweep = SweepPage {
            unit: "requests in flight",
            conclusion: "knee: 8",
            best: Some(0),
            levels: &levels,
            dir: Path::new("out/sweep"),
        };
        let text = sweep.page().render().unwrap().replace("&#x2f;", "/");
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(place("../run-1/report.html") < place("../run-2/report.html"));
        assert!(text.contains("8 \u{2713}") && text.contains("knee: 8"));
        assert_eq!(text.matches("<svg class=\"chart").count(), 1, "latency alone is known of two levels");
        assert_eq!(text.matches("class=\"dot c1\"").count(), 2, "an unknown energy is no point at 0");
        let alone = SweepPage { levels: &levels[..1], ..sweep };
        assert!(!alone.page().render().unwrap().contains("<svg class"));
    }
}
