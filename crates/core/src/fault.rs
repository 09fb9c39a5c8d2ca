//! What went wrong, in the three parts a reader needs: the object, the cause, the remedy.
//!
//! Refuses to know exit codes and colours: `cli` maps [`FaultKind`] to the one and draws the other.

use std::fmt;

/// What the caller can do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The command line, a config or an input file is wrong; the user changes it.
    Usage,
    /// The backend cannot be reached or cannot do what is asked.
    Backend,
    /// Nothing could be measured.
    NothingMeasured,
    /// Results could not be written.
    Output,
    /// Anything else.
    Internal,
}

/// An error with object, cause and remedy. The texts start in lower case and end without a full stop, since
/// error chains join them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the caller can do.
    pub kind: FaultKind,
    /// The thing it is about, for example `dataset prompts.txt`.
    pub object: String,
    /// What is wrong with it.
    pub cause: String,
    /// What to do; empty where there is no honest advice.
    pub remedy: String,
}

impl Fault {
    /// A fault about `object` for `cause`, without a remedy yet.
    pub fn new(kind: FaultKind, object: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind, object: object.into(), cause: cause.into(), remedy: String::new() }
    }

    /// The same fault with its remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Fault {
    /// `object: cause`, and the remedy on a line of its own, so that it renders last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.cause)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  hint: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_comes_last_and_only_where_there_is_one() {
        let bare = Fault::new(FaultKind::Usage, "dataset a.txt", "has no column `text`");
        assert_eq!(bare.to_string(), "dataset a.txt: has no column `text`");
        let full = bare.remedy("set scenario.text_column_name");
        assert!(full.to_string().ends_with("\n  hint: set scenario.text_column_name"));
    }
}
