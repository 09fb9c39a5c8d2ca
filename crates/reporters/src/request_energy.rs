//! `request_energy.csv`: each request's share of the load's energy, which add up to the whole.
//!
//! A file of its own, since a run may have a hundred thousand requests and few readers want them. Refuses to share: the
//! summary did, by the method that stands in each row's file beside it, `benchmark_report.json`.

use ai_energy_core::summary::RequestShare;
use ai_energy_core::{Fault, Place, Report, Reporter, Written};

use crate::csv::lines;
use crate::files::write_whole;

/// The registry's name.
pub const NAME: &str = "request_energy";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "request_energy.csv";

const COLUMNS: [&str; 5] = ["id", "gpu_joules", "cpu_joules", "ram_joules", "total_joules"];

/// Writes `request_energy.csv`; nothing where no energy is known.
#[derive(Debug, Clone, Copy)]
pub struct RequestEnergy;

impl Reporter for RequestEnergy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let shares = &report.summary.energy.requests;
        if shares.shares.is_empty() {
            return Ok(Vec::new());
        }
        let path = place.run_dir.join(FILE_NAME);
        let rows: Vec<[String; 5]> = shares.shares.iter().map(row).collect();
        let mut table = vec![COLUMNS.to_vec()];
        table.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
        write_whole(&path, &lines(&path, &table)?)?;
        Ok(vec![Written::at(&path)])
    }
}

/// A row; a domain whose energy is not known has an empty cell.
fn row(share: &RequestShare) -> [String; 5] {
    let number = |joules: Option<f64>| joules.map_or_else(String::new, |joules| joules.to_string());
    [
        share.id.clone(),
        number(share.gpu_joules),
        number(share.cpu_joules),
        number(share.ram_joules),
        number(share.total_joules),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_domain_is_an_empty_cell_and_never_0() {
        let share = RequestShare {
            id: "r-1".to_owned(),
            gpu_joules: Some(12.5),
            total_joules: Some(12.5),
            ..RequestShare::default()
        };
        assert_eq!(row(&share), ["r-1", "12.5", "", "", "12.5"]);
    }
}
