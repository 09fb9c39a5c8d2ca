//! The GPU energies of a class's models: what stars are given by.
//!
//! Refuses to cut bands.

use std::path::Path;

use ai_energy_core::{Fault, FaultKind};

/// Columns that hold the energy of 1,000 queries in Wh, best first.
const ENERGY: [&str; 4] = ["wh_per_1000_queries", "gpu_wh_per_1000_queries", "gpu_energy_wh", "energy_wh"];
/// Columns that hold the class.
const CLASS: [&str; 2] = ["model_class", "class"];

/// Class and GPU energy of 1,000 queries in Wh, a row each. The class is empty where the file has no column of it, or only
/// numbers. Cells that are empty or no number are left out.
///
/// # Errors
/// The file cannot be read, has no column of energies, or holds none.
pub fn read_class_energies(path: &Path) -> Result<Vec<(String, f64)>, Fault> {
    let form = "give a CSV with the column wh_per_1000_queries and, for several classes, model_class; or a number a line";
    let wrong = |cause: String| Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(form);
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let records: Result<Vec<csv::StringRecord>, csv::Error> = reader.records().collect();
    let records = records.map_err(|error| wrong(format!("is no CSV: {error}")))?;
    let first = records.first().ok_or_else(|| wrong("is empty".to_owned()))?;
    let place = |names: &[&str]| {
        names.iter().find_map(|name| first.iter().position(|found| found.trim().eq_ignore_ascii_case(name)))
    };
    let bare = first.len() == 1 && first[0].trim().parse::<f64>().is_ok();
    let (energy, class, skip) = match place(&ENERGY) {
        Some(energy) => (energy, place(&CLASS), 1),
        None if bare => (0, None, 0),
        None => {
            return Err(wrong(format!(
                "has no column of energies; it has {}",
                first.iter().collect::<Vec<_>>().join(", ")
            )));
        }
    };
    let mut energies = Vec::new();
    for record in records.iter().skip(skip) {
        let cell = |place: usize| record.get(place).unwrap_or_default().trim();
        if let Some(value) =
            cell(energy).parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)
        {
            energies.push((class.map_or("", cell).to_owned(), value));
        }
    }
    if energies.is_empty() { Err(wrong("holds no energy".to_owned())) } else { Ok(energies) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, f64)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.csv");
        std::fs::write(&path, text).unwrap();
        read_class_energies(&path).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_table_or_bare_numbers() {
        let table = "model,model_class,wh_per_1000_queries\na,A,1.5\nb,B,\nc,A,nan\nd,B,2\n";
        assert_eq!(read(table).unwrap(), [("A".to_owned(), 1.5), ("B".to_owned(), 2.0)]);
        assert_eq!(read("1.5\n2\n").unwrap(), [(String::new(), 1.5), (String::new(), 2.0)]);
    }

    #[test]
    fn what_has_no_energies_is_named_with_the_way_to_write_it() {
        assert!(read("model,joules\na,1\n").unwrap_err().contains("model, joules"));
        assert!(read("wh_per_1000_queries\n").unwrap_err().contains("holds no energy"));
        assert!(read("").unwrap_err().contains("is empty"));
    }
}
