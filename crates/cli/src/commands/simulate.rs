//! `simulate`: the simulator as a server, until a signal ends it.

use ai_energy_core::{Fault, FaultKind, Stop};
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
    options.validate()?;
    let wanted = format!("{}:{}", options.host, options.port);
    super::run::runtime()?.block_on(async {
        let simulator = Simulator::bind(options.clone()).await.map_err(|error| {
            Fault::new(FaultKind::Usage, format!("address {wanted}"), format!("cannot be listened on: {error}"))
                .remedy("choose another --port, or 0 for a free one")
        })?;
        let address = simulator.local_addr();
        if !globals.quiet {
            note(&format!("simulating model `{}` at http://{address}/v1 (truth at /truth, counters at /metrics)", options.model));
            note(&format!("try: ai-energy-benchmark run --endpoint http://{address}/v1"));
        }
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        simulator.run(stop.cancelled_owned()).await;
        // A server that was told to die ends well: that is what it was asked for.
        Ok(if received.exit().is_some() || options.die_after.is_some() { Exit::Ok } else { Exit::Internal })
    })
}
