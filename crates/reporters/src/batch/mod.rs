//! What a batch over models writes: `master_results.csv` in the columns that AI Energy Score's tooling reads, and its ranking.
//!
//! Refuses to run a model and to rank.

mod energies;
mod master;
mod ranking;

pub use energies::read_class_energies;
pub use master::{COLUMNS, MASTER_FILE_NAME, MasterRow, read_master, write_master};
pub(crate) use ranking::{
    HEADINGS as RANKING_HEADINGS, RULE as RANKING_RULE, bands as ranking_bands, cells as ranking_cells,
    name as ranking_name, remark as ranking_remark,
};
pub use ranking::{ranking_markdown, write_ranking};
