//! Processors for the client and for the simulator, so that neither takes the other's time.
//!
//! Refuses to share unevenly: the client has the lower half of those that this process may use.

/// How the processors are shared.
pub(super) struct Cores {
    client: Vec<usize>,
    server: Vec<usize>,
}

impl Cores {
    /// Halves of the processors that this thread may use; not apart where there is one, or the system does not tell.
    pub(super) fn halves() -> Self {
        let mut client = system::allowed();
        let server = if client.len() > 1 { client.split_off(client.len() / 2) } else { client.clone() };
        Self { client, server }
    }

    /// Whether client and simulator are on different ones.
    pub(super) fn apart(&self) -> bool {
        !self.client.is_empty() && self.client != self.server
    }

    /// Moves this thread, and those it will start, to the client's.
    pub(super) fn become_client(&self) {
        system::move_to(&self.client);
    }

    /// Does something, such as starting a process, on the simulator's processors: a process keeps those it began on.
    pub(super) fn for_server<T>(&self, act: impl FnOnce() -> T) -> T {
        system::move_to(&self.server);
        let result = act();
        system::move_to(&self.client);
        result
    }

    /// In words for people.
    pub(super) fn words(&self) -> String {
        match (self.apart(), self.client.len(), self.server.len()) {
            (true, client, server) => {
                format!("{client} of its own for the client, {server} for the simulator")
            }
            _ => "client and simulator share them".to_owned(),
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None).ok();
        set.map(|set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()).unwrap_or_default()
    }

    pub(super) fn move_to(cpus: &[usize]) {
        if cpus.is_empty() {
            return;
        }
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        if let Err(error) = sched_setaffinity(None, &set) {
            tracing::warn!(%error, "processors cannot be chosen; client and simulator share them");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub(super) fn move_to(_cpus: &[usize]) {}
}
