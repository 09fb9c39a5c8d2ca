//! `report.html`: a run for people, in one file that can be mailed, printed and kept.
//!
//! Shows what the other reports say and nothing that they do not: no figure is computed here. Order as on the terminal:
//! what falsifies the run, what it cost, how fast it was, how far to trust it, what it ran on, how to repeat it.

mod client;
mod distributions;
mod energy;
mod headline;
mod setup;
mod speed;
mod trust;

pub use setup::{COMMAND_KEY, REPEAT_KEY};

use ai_energy_core::{Fault, Figure, Place, Provenance, Report, Reporter, Written};

use super::page::{Level, Page, Section};
use crate::files::write_whole;
use crate::terminal::text::Glyphs;
use crate::terminal::units::{self, Family, pick_common};

/// The registry's name.
pub const NAME: &str = "html";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "report.html";

/// Writes `report.html`.
#[derive(Debug, Clone, Copy)]
pub struct Html;

impl Reporter for Html {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(FILE_NAME);
        write_whole(&path, page(report).render()?.as_bytes())?;
        Ok(vec![Written::at(&path)])
    }
}

/// The page of a run.
pub fn page(report: Report<'_>) -> Page {
    let sections = [
        Section::new("summary", "At a glance", headline::blocks(report)),
        Section::new("energy", "Energy", energy::blocks(report)),
        Section::new("speed", "Speed", speed::blocks(report)),
        Section::new("client", "Was the client the limit?", client::blocks(report)),
        Section::new("trust", "How far to trust it", trust::blocks(report)),
        Section::new("machine", "What ran where", setup::machine(report)),
        Section::new("repeat", "Run it again", setup::repeat(report)),
    ];
    Page {
        title: clean(&format!("{} · {}", report.record.plan.name, report.record.backend.model)),
        subtitle: headline::subtitle(report),
        banners: headline::banners(report),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
    }
}

/// What ran, and what makes it partial or worthless: for other formats that open with the same lines.
pub(crate) fn headline_texts(report: Report<'_>) -> (Vec<String>, Vec<String>) {
    let banners = headline::banners(report).into_iter().map(|banner| banner.text).collect();
    (headline::subtitle(report), banners)
}

/// Signs for a page, which can show all of them.
fn glyphs() -> Glyphs {
    Glyphs::new(true)
}

/// Foreign text without what steers a display.
pub(super) fn clean(text: &str) -> String {
    glyphs().clean(text)
}

/// A figure with its interval in the multiple that fits it; a dash where it is not known.
pub(super) fn text(figure: &Figure, family: Family) -> String {
    units::figure(figure, family, pick_common(family, figure.value), &glyphs())
}

/// The colour that tells how well a figure is known.
fn level(provenance: Provenance) -> Level {
    match provenance {
        Provenance::Measured => Level::Good,
        Provenance::Derived => Level::Plain,
        Provenance::Estimated => Level::Notice,
        Provenance::Unavailable => Level::Dim,
    }
}

/// How a figure is known, in a word.
fn mark(provenance: Provenance) -> String {
    match provenance {
        Provenance::Unavailable => "not known".to_owned(),
        known => known.word().to_owned(),
    }
}
