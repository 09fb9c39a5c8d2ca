//! Rows on their way from a file to prompts: what is wanted, what was found, and what the user should hear of it.
//!
//! Every file format fills a [`Rows`]; [`assemble`] makes a run's prompts of it. Refuses to know any file format.

use ai_energy_core::{DatasetInfo, Fault, FaultKind, LoadedPrompts, Message, Prompt, Role};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::conversation;
use crate::nearest;
use crate::options::DEFAULT_COLUMN;
use ai_energy_core::draw::Draw;
use std::collections::BTreeMap;

/// How many rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Rows until this many prompts are found.
    First(usize),
    /// Every row.
    All,
}

impl Take {
    /// What has to be read to draw `limit` prompts: everything where they are drawn at random.
    pub(crate) fn for_limit(limit: usize, shuffle_seed: Option<u64>) -> Self {
        if shuffle_seed.is_some() { Self::All } else { Self::First(limit) }
    }

    /// What is still wanted after `found` prompts; `None` where that is enough.
    pub(crate) fn after(self, found: usize) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::First(limit) if found < limit => Some(Self::First(limit - found)),
            Self::First(_) => None,
        }
    }
}

/// What a format is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    /// How error messages call the data, for example `dataset prompts.csv`.
    pub(crate) subject: String,
    /// The column that holds the prompt.
    pub(crate) column: String,
    /// How many rows.
    pub(crate) take: Take,
    /// The line between two prompts of a text file.
    pub(crate) txt_separator: Option<String>,
}

impl Want {
    /// A fault about this data.
    pub(crate) fn fault(&self, cause: impl Into<String>) -> Fault {
        usage(&self.subject, cause)
    }

    /// The column to read out of those there are: the one asked for, or a conversation column where the name was
    /// left at its default.
    pub(crate) fn pick_column<'a>(&self, columns: &[&'a str]) -> Option<&'a str> {
        let find = |name: &str| columns.iter().copied().find(|column| *column == name);
        find(&self.column).or_else(|| {
            let standard = self.column == DEFAULT_COLUMN;
            if standard { find("conversations").or_else(|| find("messages")) } else { None }
        })
    }

    /// The fault for data without the column.
    pub(crate) fn no_column(&self, columns: &[&str]) -> Fault {
        let listed = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        let fault = self.fault(format!("has no column `{}`; it has {listed}", self.column));
        match nearest::nearest(&self.column, columns.iter().copied()) {
            Some(near) => fault.remedy(format!("did you mean `{near}`? set scenario.text_column_name")),
            None => fault.remedy("set scenario.text_column_name to the column that holds the prompts"),
        }
    }
}

/// A fault about something the user named.
pub(crate) fn usage(subject: &str, cause: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Usage, subject, cause)
}

/// What was found, row by row.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The messages of each row; empty where the row holds no prompt.
    pub(crate) cells: Vec<Vec<Message>>,
    /// Rows in the source, where that is known.
    pub(crate) total: Option<usize>,
    /// Cells that held a number or a truth value, now text.
    pub(crate) cast: usize,
    /// Conversations whose answers at the end were left out.
    pub(crate) cut: usize,
}

impl Rows {
    /// Prompts found.
    pub(crate) fn found(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.is_empty()).count()
    }

    /// Adds a row of plain text; blank text is no prompt.
    pub(crate) fn push_text(&mut self, text: Option<String>) {
        self.cells.push(match text {
            Some(content) if !content.trim().is_empty() => vec![Message { role: Role::User, content }],
            _ => Vec::new(),
        });
    }

    /// Adds a row of JSON: a text, a number (as text), or a conversation.
    ///
    /// # Errors
    /// The value can be no prompt. Says why, not where.
    pub(crate) fn push_value(&mut self, value: Option<&Value>) -> Result<(), String> {
        match value {
            None | Some(Value::Null) => self.push_text(None),
            Some(Value::String(text)) => self.push_text(Some(text.clone())),
            Some(Value::Array(turns)) => {
                let conversation = conversation::read(turns)?;
                self.cut += usize::from(conversation.cut);
                let said = conversation.messages.iter().any(|message| !message.content.trim().is_empty());
                self.cells.push(if said { conversation.messages } else { Vec::new() });
            }
            Some(Value::Object(_)) => return Err("holds an object, not a text or a conversation".to_owned()),
            Some(number_or_bool) => {
                self.cast += 1;
                self.push_text(Some(number_or_bool.to_string()));
            }
        }
        Ok(())
    }

    /// Appends the rows of the next file of the same data.
    pub(crate) fn append(&mut self, next: Self) {
        self.total = self.total.zip(next.total).map(|(mine, theirs)| mine + theirs);
        self.cells.extend(next.cells);
        self.cast += next.cast;
        self.cut += next.cut;
    }
}

/// Where prompts came from, for a run's record.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// [`DatasetInfo::name`].
    pub(crate) name: String,
    /// [`DatasetInfo::kind`].
    pub(crate) kind: &'static str,
    /// [`DatasetInfo::revision`].
    pub(crate) revision: Option<String>,
}

/// Makes a run's prompts of the rows found: the first `limit`, or as many drawn with `shuffle_seed`. A prompt keeps
/// its row's number as its index, so that it has one name across runs.
///
/// # Errors
/// No row holds a prompt.
pub(crate) fn assemble(
    origin: Origin,
    rows: Rows,
    limit: usize,
    shuffle_seed: Option<u64>,
) -> Result<LoadedPrompts, Fault> {
    let subject = format!("dataset {}", origin.name);
    let seen = rows.cells.len();
    let (cast, cut) = (rows.cast, rows.cut);
    let mut usable: Vec<(usize, Vec<Message>)> =
        rows.cells.into_iter().enumerate().filter(|(_, cell)| !cell.is_empty()).collect();
    if usable.is_empty() {
        let cause =
            if seen == 0 { "is empty".to_owned() } else { format!("none of its {seen} rows holds a prompt") };
        return Err(
            usage(&subject, cause).remedy("choose another dataset or another scenario.text_column_name")
        );
    }
    let found = usable.len();
    if let Some(seed) = shuffle_seed {
        let mut pool: Vec<_> = usable.into_iter().map(Some).collect();
        usable =
            Draw::new(seed, 0).sample(found, limit).into_iter().filter_map(|at| pool[at].take()).collect();
    }
    usable.truncate(limit);
    let warnings = warnings(&subject, &[seen - found, cast, cut], found, limit);
    let prompts: Vec<Prompt> = usable
        .into_iter()
        .map(|(index, messages)| Prompt {
            index,
            messages,
            target_input_tokens: None,
            target_output_tokens: None,
        })
        .collect();
    let sha256 = fingerprint(&prompts);
    let Origin { name, kind, revision } = origin;
    let info = DatasetInfo { name, kind: kind.to_owned(), revision, sha256, rows: rows.total };
    Ok(LoadedPrompts { prompts, info, warnings, timeline: Vec::new(), follow_ups: BTreeMap::new() })
}

/// What the user should know. `counts` are rows without a prompt, cast cells and cut conversations.
fn warnings(subject: &str, counts: &[usize; 3], found: usize, limit: usize) -> Vec<String> {
    let [empty, cast, cut] = *counts;
    let texts = [
        (empty, format!("{subject}: {empty} row(s) without a prompt were skipped")),
        (cast, format!("{subject}: {cast} cell(s) held a number or a truth value and were taken as text")),
        (cut, format!("{subject}: the answers at the end of {cut} conversation(s) were left out")),
        (
            limit.saturating_sub(found),
            format!("{subject}: {limit} prompts were asked for and it has {found}; none is repeated"),
        ),
    ];
    texts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect()
}

/// SHA-256 over the prompts in order: role, a zero byte, content, a zero byte for each message; in hex.
pub(crate) fn fingerprint(prompts: &[Prompt]) -> String {
    let mut hash = Sha256::new();
    for message in prompts.iter().flat_map(|prompt| &prompt.messages) {
        for part in [message.role.word(), &message.content] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
    }
    hex(&hash.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
