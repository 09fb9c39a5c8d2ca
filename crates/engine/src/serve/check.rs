//! What `ai-energy-torch check` says about the machine: libtorch, devices, kernels.
//!
//! Refuses to load a model.

use std::fmt::Write as _;

use crate::torch;

/// One line a fact, for people and for error messages.
pub fn check() -> String {
    let cuda = torch::prepare();
    let (yes, no) = ("yes", "no");
    let word = |there: bool| if there { yes } else { no };
    let rows = [
        ("program", format!("ai-energy-torch {}", env!("CARGO_PKG_VERSION"))),
        ("libtorch", torch::version()),
        ("cpu threads", tch::get_num_threads().to_string()),
        ("openmp", word(tch::utils::has_openmp()).to_owned()),
        ("mkl", word(tch::utils::has_mkl()).to_owned()),
        ("onednn", word(tch::utils::has_mkldnn()).to_owned()),
        ("cuda build", word(cuda).to_owned()),
        ("gpus", torch::gpus().to_string()),
        ("mps", word(tch::utils::has_mps()).to_owned()),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:12}{value}");
        text
    })
}
