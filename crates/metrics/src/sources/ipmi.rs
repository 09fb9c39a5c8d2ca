//! Power of the whole machine from its management controller, through `ipmitool dcmi power reading`.
//!
//! DCMI gives whole watts, at the controller's own pace (a second or slower). The program takes a tenth of a second to
//! seconds, so a thread runs it; each value has the moment in the middle of its call.

use std::process::Command;
use std::time::{Duration, Instant};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, ReadFault, Scope};
use ai_energy_core::figure::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::background::{Background, Hand};
use super::program::{ProgramError, output};
use super::{Found, Search};
use crate::options::Roots;

/// The source's name.
pub(super) const NAME: &str = "ipmi";

/// Identity of this machine's own controller.
pub(super) const THIS_MACHINE: &str = "ipmi:this machine";

/// Power supplies report within a few per cent; no norm binds them.
const GAIN_CI95: f64 = 0.05;

/// A call that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// Device files of the kernel's IPMI driver.
const DEVICES: [&str; 3] = ["ipmi0", "ipmi/0", "ipmidev/0"];

/// Options of reading a management controller through IPMI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IpmiOptions {
    /// Address of another machine's controller, reached over the network (`lanplus`). Unset: this machine's own.
    pub host: Option<String>,
    /// User on that controller. The password is read by ipmitool itself from the environment, `IPMI_PASSWORD`.
    pub user: Option<String>,
    /// Seconds between two readings.
    pub interval_seconds: f64,
}

impl Default for IpmiOptions {
    /// This machine's controller, once a second.
    fn default() -> Self {
        Self { host: None, user: None, interval_seconds: 1.0 }
    }
}

/// Looks for a controller that tells power.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let options = &search.options.ipmi;
    let local = DEVICES.iter().any(|device| search.roots.dev.join(device).exists());
    if options.host.is_none() && !local {
        return Found::default();
    }
    let claims = if options.host.is_some() { vec![Domain::Node] } else { Vec::new() };
    let begin = Instant::now();
    match reading(search.roots, options) {
        Ok(_) => {
            let call = begin.elapsed();
            let period = Duration::from_secs_f64(options.interval_seconds);
            let (roots, asked) = (search.roots.clone(), options.clone());
            let ask = move |hand: Hand<'_>| {
                let begin = Instant::now();
                let watts =
                    reading(&roots, &asked).map_err(|error| ReadFault::Transient(error.to_string()))?;
                hand(0, begin + begin.elapsed() / 2, u64::from(watts) * 1_000_000);
                Ok(())
            };
            let latency = 2 * period + 3 * call + Duration::from_secs(1);
            let source = Background::new(vec![channel(options)], period, latency, ask);
            Found { claims, ..Found::source(source) }
        }
        Err(error) => {
            let remedy = remedy(&error);
            Found { claims, ..Found::unavailable(NAME, Domain::Node, error.to_string(), remedy) }
        }
    }
}

fn reading(roots: &Roots, options: &IpmiOptions) -> Result<u32, ProgramError> {
    let mut command = Command::new(&roots.ipmitool);
    if let Some(host) = &options.host {
        command.args(["-I", "lanplus", "-H", host]);
        command.args(options.user.iter().flat_map(|user| ["-U", user.as_str()])).arg("-E");
    }
    command.args(["dcmi", "power", "reading"]);
    parse(&output(command, LIMIT)?)
}

/// The present watts in what ipmitool prints. A controller that does not measure says that its readings are off.
fn parse(text: &str) -> Result<u32, ProgramError> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    if field("Power reading state is").is_some_and(|state| state != "activated") {
        return Err(ProgramError::Failed(
            "ipmitool: the controller's power readings are not activated".to_owned(),
        ));
    }
    let watts =
        field("Instantaneous power reading").and_then(|value| value.split_whitespace().next()?.parse().ok());
    match watts {
        // Controllers that know DCMI but have no sensor answer 0.
        Some(0) => {
            Err(ProgramError::Failed("ipmitool: the controller tells 0 W: it has no power sensor".to_owned()))
        }
        Some(watts) => Ok(watts),
        None => Err(ProgramError::Failed("ipmitool: no power in its answer".to_owned())),
    }
}

fn remedy(error: &ProgramError) -> &'static str {
    match error {
        ProgramError::Missing(_) => "install ipmitool",
        ProgramError::Slow(..) => "try `ipmitool dcmi power reading` by hand",
        ProgramError::Failed(said) if said.contains("activated") => "ipmitool dcmi power activate",
        ProgramError::Failed(said) if said.contains("Could not open") || said.contains("ermission") => {
            "run as root, or until the next boot `sudo chmod a+rw /dev/ipmi0`, or for good `echo 'KERNEL==\"ipmi*\", \
             MODE=\"0666\"' | sudo tee /etc/udev/rules.d/70-ipmi.rules`"
        }
        ProgramError::Failed(_) => "",
    }
}

fn channel(options: &IpmiOptions) -> Channel {
    let identity = options.host.as_ref().map_or(THIS_MACHINE.to_owned(), |host| format!("{NAME}:{host}"));
    Channel {
        name: format!("{NAME}:power"),
        domain: Domain::Node,
        device: format!("management controller of {}", identity.trim_start_matches("ipmi:")),
        device_id: identity,
        kind: ChannelKind::Power { averaging_ms: None },
        provenance: Provenance::Measured,
        source: "IPMI DCMI power reading".to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Node) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_power_that_is_measured_is_one() {
        let answer = |watts: &str, state: &str| {
            format!(
                "\n    Instantaneous power reading:                   {watts} Watts\n    \
                 Power reading state is:                   {state}\n\n"
            )
        };
        assert_eq!(parse(&answer("418", "activated")), Ok(418));
        for (text, words) in [
            (answer("418", "deactivated"), "not activated"),
            (answer("0", "activated"), "no power sensor"),
            (String::new(), "no power in its answer"),
        ] {
            assert!(parse(&text).unwrap_err().to_string().contains(words), "{text}");
        }
    }
}
