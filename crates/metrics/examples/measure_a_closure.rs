//! What does a piece of work cost? Measures a closure with whatever energy sources this machine has.
//!
//! ```text
//! cargo run -p ai-energy-metrics --example measure_a_closure
//! ```

#![allow(clippy::print_stdout)]

use ai_energy_core::Domain;
use ai_energy_metrics::{Meter, Options, Roots};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let work = || (0..50_000_000_u64).fold(0_u64, |sum, number| sum.wrapping_add(number * number));

    let meter = Meter::start(&Options::default(), &Roots::default()).await;
    let result = work();
    let measured = meter.finish("a sum of squares").await;

    println!("result {result}");
    for domain in [Domain::Gpu, Domain::Cpu, Domain::Ram] {
        let Some(energy) = measured.domain(domain) else { continue };
        match (energy.value, energy.ci95) {
            (Some(joules), Some(ci95)) => println!(
                "{:4} {joules:.3} ± {ci95:.3} J, {}, {}",
                domain.word(),
                energy.provenance.word(),
                energy.source
            ),
            (Some(joules), None) => println!("{:4} {joules:.3} J, {}", domain.word(), energy.source),
            (None, _) => {
                println!("{:4} not known: {}", domain.word(), energy.reason.as_deref().unwrap_or("?"))
            }
        }
    }
}
