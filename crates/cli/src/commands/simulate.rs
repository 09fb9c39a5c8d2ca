//! `simulate`: the simulator as a server, until a signal ends it.

use ai_energy_core::Stop;
use ai_energy_simulator::Simulator;

use crate::args::{Globals, SimulateArgs};
use crate::diagnostics::note;
use crate::exit::{CliError, Exit};
use crate::signals;

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// An option is wrong, or the address cannot be listened on.
pub fn simulate(arguments: &SimulateArgs, globals: &Globals) -> Result<Exit, CliError> {
    let options = arguments.options();
    let model = options.model.clone();
    super::run::block_on(async {
        let simulator = Simulator::bind(options)?;
        let address = simulator.local_addr();
        if !globals.quiet {
            note(&format!(
                "simulating model `{model}` at http://{address}/v1 (truth at /truth, counters at /metrics)"
            ));
            note(&format!("try: ai-energy-benchmark run --endpoint http://{address}/v1"));
        }
        let stop = Stop::new();
        signals::listen(stop.clone());
        simulator.run(stop.cancelled_owned()).await?;
        Ok(Exit::Ok)
    })
}
