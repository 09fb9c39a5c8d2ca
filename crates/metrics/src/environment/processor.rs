//! The processors as the kernel shows them: cores, sockets, and what chooses their frequency.
//!
//! Refuses to answer where a file does not: `None`, never a guess.

use std::collections::BTreeSet;
use std::fs;

use crate::machine;
use crate::options::Roots;

/// Physical cores and sockets.
pub(super) fn cores(roots: &Roots) -> Option<(usize, usize)> {
    let (mut cores, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for thread in threads(roots) {
        let topology = roots.sys.join("devices/system/cpu").join(thread).join("topology");
        let number = |name: &str| machine::line(&topology.join(name))?.parse::<i64>().ok();
        if let (Some(socket), Some(core)) = (number("physical_package_id"), number("core_id")) {
            cores.insert((socket, core));
            sockets.insert(socket);
        }
    }
    (!cores.is_empty()).then_some((cores.len(), sockets.len()))
}

/// What chooses the frequency, for example `performance`; all that there are where processors differ.
pub(super) fn governor(roots: &Roots) -> Option<String> {
    let of = |thread: String| {
        machine::line(&roots.sys.join("devices/system/cpu").join(thread).join("cpufreq/scaling_governor"))
    };
    let found: BTreeSet<String> = threads(roots).into_iter().filter_map(of).collect();
    (!found.is_empty()).then(|| found.into_iter().collect::<Vec<_>>().join(", "))
}

/// The folders of the hardware threads: `cpu0`, `cpu1`, ….
fn threads(roots: &Roots) -> Vec<String> {
    let Ok(entries) = fs::read_dir(roots.sys.join("devices/system/cpu")) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| {
            name.strip_prefix("cpu")
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_core_are_one_core_and_governors_are_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { sys: dir.path().to_owned(), ..Roots::default() };
        assert_eq!((cores(&roots), governor(&roots)), (None, None));
        for (thread, socket, core) in [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 1, 0)] {
            let place = dir.path().join(format!("devices/system/cpu/cpu{thread}"));
            fs::create_dir_all(place.join("topology")).unwrap();
            fs::create_dir_all(place.join("cpufreq")).unwrap();
            fs::write(place.join("topology/physical_package_id"), format!("{socket}\n")).unwrap();
            fs::write(place.join("topology/core_id"), format!("{core}\n")).unwrap();
            fs::write(place.join("cpufreq/scaling_governor"), "powersave\n").unwrap();
        }
        fs::create_dir_all(dir.path().join("devices/system/cpu/cpufreq")).unwrap();
        assert_eq!(cores(&roots), Some((3, 2)));
        assert_eq!(governor(&roots).as_deref(), Some("powersave"));
    }
}
