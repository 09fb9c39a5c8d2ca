//! Whether this machine lets the client have the sockets that a load needs: open files and local ports.
//!
//! Looked at before the load begins, since a load that runs out of them half-way measures this machine's limits. Raises
//! the soft limit of open files where that suffices. Refuses to know what the sockets carry.

use ai_energy_core::load::{LoadPlan, Step};
use ai_energy_core::{Fault, FaultKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a run opens beside its sockets: results, sensors, questions to the server.
const RESERVE: u64 = 32;

/// Files that are open where the system does not tell.
const OPEN_BY_DEFAULT: u64 = 16;

/// Where the kernel says which local ports connections may have.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Most requests in flight at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Demand {
    /// As the load's bounds say.
    bounded: u64,
    /// As many requests as steps without a bound could have in flight if none of them ended.
    unbounded: u64,
}

/// What the system gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Supply {
    /// Open files now allowed; `None`: any number.
    soft: Option<u64>,
    /// Open files that may be allowed without anybody's leave.
    hard: Option<u64>,
    /// Open files.
    open: u64,
    /// Local ports; `None` where the system does not tell.
    ports: Option<u64>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Advice {
    raise_to: Option<u64>,
    warning: Option<String>,
}

/// Makes room for a load of so many prompts to so many servers: raises the soft limit where it has to. The warning is for a
/// load without a bound that could need more than there is.
///
/// # Errors
/// The load's own bounds ask for more sockets than this machine gives, with the remedy.
pub fn check(plan: &LoadPlan, prompts: usize, servers: usize) -> Result<Option<String>, Fault> {
    let advice = advise(demand(plan, prompts), supply(), servers.max(1) as u64)?;
    if let Some(to) = advice.raise_to {
        raise(to)?;
    }
    Ok(advice.warning)
}

/// Makes room for so many requests in flight to one server.
///
/// # Errors
/// This machine does not give so many sockets.
pub fn make_room(most: u64) -> Result<(), Fault> {
    let advice = advise(Demand { bounded: most, unbounded: 0 }, supply(), 1)?;
    advice.raise_to.map_or(Ok(()), raise)
}

fn demand(plan: &LoadPlan, prompts: usize) -> Demand {
    let mut demand = Demand { bounded: 0, unbounded: 0 };
    for step in plan.steps() {
        let requests = requests(&step, prompts);
        match step.most_in_flight() {
            Some(most) => demand.bounded = demand.bounded.max((most as u64).min(requests)),
            None => demand.unbounded = demand.unbounded.saturating_add(requests),
        }
    }
    demand
}

/// Most requests of a step; of a closed loop that lasts by time, any number.
fn requests(step: &Step, prompts: usize) -> u64 {
    use ai_energy_core::load::Arrivals;
    match (step.requests, step.duration_seconds, &step.arrivals) {
        (Some(requests), ..) => requests as u64,
        (None, None, _) => prompts as u64,
        (None, Some(seconds), Arrivals::Open { rate, from, .. }) => {
            (rate.max(from.unwrap_or(0.0)) * seconds).ceil() as u64
        }
        (None, Some(_), Arrivals::Trace) => prompts as u64,
        (None, Some(_), Arrivals::Closed { .. }) => u64::MAX,
    }
}

fn supply() -> Supply {
    let limit = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").map_or(OPEN_BY_DEFAULT, |files| files.count() as u64);
    let ports = std::fs::read_to_string(PORT_RANGE).ok().as_deref().and_then(ports);
    Supply { soft: limit.current, hard: limit.maximum, open, ports }
}

/// The number of ports in `32768 60999`, its ends separated by any white space.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    last.checked_sub(first).map(|ports| ports + 1)
}

fn advise(demand: Demand, supply: Supply, servers: u64) -> Result<Advice, Fault> {
    let beside = supply.open.saturating_add(RESERVE);
    let needed = |sockets: u64| sockets.saturating_add(beside);
    let suffices = |limit: Option<u64>, sockets: u64| limit.is_none_or(|limit| limit >= needed(sockets));
    let wanted = demand.bounded.saturating_add(demand.unbounded);
    if !suffices(supply.hard, demand.bounded) {
        let most = supply.hard.unwrap_or(u64::MAX);
        return Err(short_of_files(demand.bounded, needed(demand.bounded), most));
    }
    let per_server = |sockets: u64| sockets.div_ceil(servers);
    if let Some(ports) = supply.ports.filter(|ports| per_server(demand.bounded) > *ports) {
        return Err(short_of_ports(per_server(demand.bounded), ports));
    }
    let raise_to = if suffices(supply.soft, wanted) {
        None
    } else if suffices(supply.hard, wanted) {
        Some(needed(wanted))
    } else {
        supply.hard.filter(|hard| supply.soft.is_some_and(|soft| soft < *hard))
    };
    let files = supply.hard.map_or(u64::MAX, |hard| hard.saturating_sub(beside));
    let sockets = files.min(supply.ports.map_or(u64::MAX, |ports| ports.saturating_mul(servers)));
    let warning = (wanted > sockets).then(|| {
        format!(
            "the load has no bound on requests in flight and up to {wanted} requests, and this machine gives the client \
             {sockets} sockets: should the server fall that far behind, further requests end as client_limit; set \
             load.max_in_flight (--max-in-flight), or raise `ulimit -n`"
        )
    });
    Ok(Advice { raise_to, warning })
}

fn short_of_files(sockets: u64, needed: u64, limit: u64) -> Fault {
    let cause = format!(
        "{sockets} requests in flight need {needed} open files, and this process may have {limit} at most"
    );
    Fault::new(FaultKind::Usage, "load", cause).remedy(format!(
        "raise the limit with `ulimit -n {needed}` (as root, or in limits.conf; a container: --ulimit nofile={needed}), or \
         keep fewer requests in flight"
    ))
}

fn short_of_ports(sockets: u64, ports: u64) -> Fault {
    let cause = format!(
        "{sockets} connections to one server need as many local ports, and this machine has {ports} for that"
    );
    Fault::new(FaultKind::Usage, "load", cause).remedy(
        "widen them with `sysctl net.ipv4.ip_local_port_range=\"1024 65535\"`, name further addresses of the server in \
         backend.more_endpoints, or keep fewer requests in flight",
    )
}

fn raise(to: u64) -> Result<(), Fault> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: Some(to), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        let cause = format!("{to} open files are needed, and the limit cannot be raised: {error}");
        Fault::new(FaultKind::Usage, "load", cause).remedy(format!("raise it with `ulimit -n {to}`"))
    })?;
    tracing::debug!(from = limit.current, to, "raised the limit of open files for the load's sockets");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPPLY: Supply = Supply { soft: Some(1024), hard: Some(4096), open: 8, ports: Some(28_232) };

    fn bounded(bounded: u64) -> Demand {
        Demand { bounded, unbounded: 0 }
    }

    #[test]
    fn a_load_that_fits_changes_nothing_and_one_that_nearly_fits_raises_the_limit() {
        assert_eq!(advise(bounded(984), SUPPLY, 1), Ok(Advice::default()), "984 + 8 + 32 = 1024");
        assert_eq!(advise(bounded(985), SUPPLY, 1).unwrap().raise_to, Some(1025));
        let endless = Supply { soft: None, hard: None, ports: None, ..SUPPLY };
        assert_eq!(advise(bounded(1_000_000), endless, 1), Ok(Advice::default()));
    }

    #[test]
    fn more_than_the_machine_gives_is_refused_with_the_number() {
        let files = advise(bounded(4057), SUPPLY, 1).unwrap_err();
        assert!(files.cause.contains("4097") && files.cause.contains("4096"), "{files}");
        assert!(files.remedy.contains("ulimit -n 4097"), "{files}");
        let wide = Supply { soft: None, hard: None, ..SUPPLY };
        let ports = advise(bounded(28_233), wide, 1).unwrap_err();
        assert!(ports.cause.contains("28232") && ports.remedy.contains("ip_local_port_range"), "{ports}");
        assert!(advise(bounded(28_233), wide, 2).is_ok(), "two servers have ports of their own");
    }

    #[test]
    fn a_load_without_a_bound_is_warned_of_and_gets_what_there_is() {
        let all = advise(Demand { bounded: 8, unbounded: 100_000 }, SUPPLY, 1).unwrap();
        assert_eq!(all.raise_to, Some(4096));
        let warning = all.warning.unwrap();
        assert!(warning.contains("4056 sockets") && warning.contains("max_in_flight"), "{warning}");
        assert_eq!(advise(Demand { bounded: 0, unbounded: 500 }, SUPPLY, 1), Ok(Advice::default()));
    }

    #[test]
    fn demand_follows_the_steps() {
        let timed = |step: Step| Step { duration_seconds: Some(10.0), ..step };
        let plan = |steps: Vec<Step>| LoadPlan { steps, ..LoadPlan::default() };
        assert_eq!(
            demand(&plan(vec![Step::closed(64)]), 10),
            bounded(10),
            "never more than there are requests"
        );
        assert_eq!(demand(&plan(vec![timed(Step::closed(64))]), 10), bounded(64));
        let open = timed(Step::open(20.0));
        let capped = Step { max_in_flight: Some(30), ..open.clone() };
        let all = plan(vec![open.clone(), open, capped, timed(Step::closed(7))]);
        assert_eq!(demand(&all, 10), Demand { bounded: 30, unbounded: 400 });
    }

    #[test]
    fn the_kernels_range_is_read() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!((ports(""), ports("9 1"), ports("a b")), (None, None, None));
    }
}
