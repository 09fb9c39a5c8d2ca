//! Where a value came from, so that `config show` and every error can say it.
//!
//! Refuses to know what the value means, or how it is shown beyond one line of text.

use std::fmt;
use std::path::PathBuf;

/// The place that set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it; it is the program's default.
    Default,
    /// The configuration file the run was started with, or a base it names.
    File {
        /// The file as it was opened; `built-in:NAME` for one that ships inside the program.
        path: PathBuf,
        /// Line of the key, counted from 1.
        line: usize,
    },
    /// A group file (`backend/vllm.yaml`), or the line of a `defaults:` list that chose it.
    Group {
        /// The group, for example `backend`.
        group: String,
        /// The file as it was opened; `built-in:NAME` for one that ships inside the program.
        path: PathBuf,
        /// Line of the key, counted from 1.
        line: usize,
    },
    /// An environment variable that is bound to the key.
    Environment {
        /// The variable's name.
        var: String,
    },
    /// A `key=value` argument.
    Override {
        /// The argument as typed.
        text: String,
    },
    /// A command-line flag of its own, such as `--endpoint`.
    Flag {
        /// The flag as typed, without its value.
        flag: String,
    },
}

impl Origin {
    /// Whether a file (main or group) set the value.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Group { .. })
    }
}

impl fmt::Display for Origin {
    /// `configs/x.yaml:12`, `environment variable NUM_SAMPLES`, and so on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } | Self::Group { path, line, .. } => {
                write!(f, "{}:{line}", path.display())
            }
            Self::Environment { var } => write!(f, "environment variable {var}"),
            Self::Override { text } => write!(f, "override `{text}`"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}
