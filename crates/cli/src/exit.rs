//! Exit codes, and the one error type that carries them to `main`.

use std::fmt;
use std::process::ExitCode;

use ai_energy_config::ConfigErrors;
use ai_energy_core::{Fault, FaultKind};

/// How the program ends. The numbers are a contract with scripts; `docs/cli.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok,
    /// Results could not be written, or something broke inside.
    Internal,
    /// The command line, a config or an input is wrong.
    Usage,
    /// The backend cannot be reached or cannot do what is asked.
    Backend,
    /// Finished, with failed requests.
    FailedRequests,
    /// Nothing was measured.
    NothingMeasured,
    /// A condition of `compare --fail-if` holds.
    Condition,
    /// A run's folder is not as it was written, or its figures do not follow from it.
    Unverified,
    /// Ended by SIGINT; partial results are saved.
    Interrupted,
    /// Ended by SIGTERM; partial results are saved.
    Terminated,
}

impl Exit {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Internal => 1,
            Exit::Usage => 2,
            Exit::Backend => 3,
            Exit::FailedRequests => 4,
            Exit::NothingMeasured => 5,
            Exit::Condition => 6,
            Exit::Unverified => 7,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// The number as the system takes it.
    pub fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

impl From<FaultKind> for Exit {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Usage => Exit::Usage,
            FaultKind::Backend => Exit::Backend,
            FaultKind::NothingMeasured => Exit::NothingMeasured,
            FaultKind::Output | FaultKind::Internal => Exit::Internal,
        }
    }
}

/// An error on its way to the terminal.
#[derive(Debug)]
pub enum CliError {
    /// The config has one or more errors.
    Config(ConfigErrors),
    /// One fault.
    Fault(Fault),
    /// Several faults, reported together.
    Faults(Vec<Fault>),
    /// Ended by a signal before anything was measured.
    Stopped(Exit),
}

impl CliError {
    /// The exit code that belongs to it; of several faults the first one's.
    pub fn exit(&self) -> Exit {
        match self {
            CliError::Config(_) => Exit::Usage,
            CliError::Fault(fault) => fault.kind.into(),
            CliError::Faults(faults) => faults.first().map_or(Exit::Internal, |fault| fault.kind.into()),
            CliError::Stopped(exit) => *exit,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // An error quotes what was typed, which may hold a secret.
            CliError::Config(errors) => {
                let lines: Vec<String> = errors.to_string().lines().map(crate::redact::quoted_line).collect();
                f.write_str(&lines.join("\n"))
            }
            CliError::Fault(fault) => fault.fmt(f),
            CliError::Faults(faults) => {
                let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("\n"))
            }
            CliError::Stopped(_) => f.write_str("stopped before anything was measured"),
        }
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        CliError::Fault(fault)
    }
}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> Self {
        CliError::Config(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_documented_ones() {
        let all = [
            Exit::Ok,
            Exit::Internal,
            Exit::Usage,
            Exit::Backend,
            Exit::FailedRequests,
            Exit::NothingMeasured,
            Exit::Condition,
            Exit::Unverified,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        assert_eq!(all.map(Exit::number), [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]);
    }
}
