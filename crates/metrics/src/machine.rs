//! What the process and system file systems say about the machine.
//!
//! Shared by the models and by [`crate::environment`]. Refuses to answer where a file does not: `None`, never a guess.

use std::fs;
use std::path::Path;

use crate::options::Roots;

/// Bytes in a GiB.
const GIB: f64 = 1_073_741_824.0;

/// The processor's name as the kernel prints it; some architectures print none.
pub(crate) fn cpu_model(roots: &Roots) -> Option<String> {
    let text = fs::read_to_string(roots.proc.join("cpuinfo")).ok()?;
    let named = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    named("model name").or_else(|| named("Model")).or_else(|| named("Hardware"))
}

/// The system's name and version in its own words, for example `Debian GNU/Linux 13 (trixie)`; inside a container the
/// container's.
pub(crate) fn os_release(roots: &Roots) -> Option<String> {
    let root = roots.proc.join("self/root");
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let text = read("etc/os-release").or_else(|| read("usr/lib/os-release"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// `true` where the processor says that a hypervisor runs it; `None` where it does not tell.
pub(crate) fn virtual_machine(roots: &Roots) -> Option<bool> {
    let text = fs::read_to_string(roots.proc.join("cpuinfo")).ok()?;
    let flags = text.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// What this machine is called in warnings.
pub(crate) fn word(roots: &Roots) -> &'static str {
    if virtual_machine(roots) == Some(true) { "virtual machine" } else { "host" }
}

/// The kind of container this process is in, as far as traces of it show; `None` where there are none.
pub(crate) fn container(roots: &Roots) -> Option<&'static str> {
    let root = roots.proc.join("self/root");
    if root.join(".dockerenv").exists() {
        return Some("docker");
    }
    if root.join("run/.containerenv").exists() {
        return Some("podman");
    }
    // With control groups of version 2 a container sees only `/`; Kubernetes leaves its service account.
    if root.join("var/run/secrets/kubernetes.io").exists() {
        return Some("kubernetes");
    }
    let groups = fs::read_to_string(roots.proc.join("self/cgroup")).ok()?;
    let marks = [
        ("kubepods", "kubernetes"),
        ("docker", "docker"),
        ("libpod", "podman"),
        ("containerd", "containerd"),
        ("lxc", "lxc"),
    ];
    marks.into_iter().find(|(mark, _)| groups.contains(mark)).map(|(_, word)| word)
}

/// Memory that the kernel manages, GiB. Inside a container this is the host's.
pub(crate) fn ram_total_gib(roots: &Roots) -> Option<f64> {
    let text = fs::read_to_string(roots.proc.join("meminfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    (kib > 0.0).then_some(kib * 1024.0 / GIB)
}

/// The container's memory limit, GiB (control groups 2, then 1); `None` where there is no limit.
pub(crate) fn memory_limit_gib(roots: &Roots) -> Option<f64> {
    let read = |path: &str| -> Option<f64> { number(&roots.sys.join(path)).map(|bytes| bytes / GIB) };
    let limit = read("fs/cgroup/memory.max").or_else(|| read("fs/cgroup/memory/memory.limit_in_bytes"))?;
    // Version 1 writes "no limit" as a number that no machine has: the largest page-aligned 63-bit one.
    (limit > 0.0 && limit < 1e9).then_some(limit)
}

fn number(path: &Path) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// One line of a file, without its end.
pub(crate) fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Hardware threads and their busy time since boot in seconds, from the kernel's `stat`. Waiting for a disk and time
/// that a hypervisor gave to others are not busy.
pub(crate) fn busy(stat: &str) -> Option<(usize, f64)> {
    // The kernel scales these to 100 a second on every architecture this program builds for.
    const TICKS_PER_SECOND: f64 = 100.0;
    let whole = stat.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> = whole.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq; guests are within user and nice.
    let busy: u64 = [0, 1, 2, 5, 6].iter().map(|index| ticks.get(*index).copied()).sum::<Option<u64>>()?;
    let threads = stat
        .lines()
        .filter(|line| line.starts_with("cpu") && line.as_bytes().get(3).is_some_and(u8::is_ascii_digit))
        .count();
    (threads > 0).then_some((threads, busy as f64 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 40 1000 50 3 7 900 60 0\ncpu0 50 5 20 500 25 1 3 450 30 0\n\
                        cpu1 50 5 20 500 25 2 4 450 30 0\nintr 5\n";

    #[test]
    fn busy_time_leaves_out_idle_waiting_and_stolen_time() {
        assert_eq!(busy(STAT), Some((2, 1.6)), "(100 + 10 + 40 + 3 + 7) / 100");
        assert_eq!(busy("intr 5\n"), None);
        assert_eq!(busy("cpu  1 2\ncpu0 1 2\n"), None, "too few fields");
    }

    #[test]
    fn a_limit_of_control_groups_is_read_and_no_limit_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { sys: dir.path().to_owned(), ..Roots::default() };
        assert_eq!(memory_limit_gib(&roots), None);
        let v1 = dir.path().join("fs/cgroup/memory");
        fs::create_dir_all(&v1).unwrap();
        fs::write(v1.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        assert_eq!(memory_limit_gib(&roots), None, "the first version's word for no limit");
        fs::write(v1.join("memory.limit_in_bytes"), "4294967296\n").unwrap();
        assert_eq!(memory_limit_gib(&roots), Some(4.0));
        fs::write(dir.path().join("fs/cgroup/memory.max"), "2147483648\n").unwrap();
        assert_eq!(memory_limit_gib(&roots), Some(2.0));
    }
}
