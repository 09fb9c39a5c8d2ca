//! The table of models: its columns, its filters, its order, and what each row asks of a run.
//!
//! Refuses to run anything.

use std::path::Path;

use ai_energy_core::{Fault, FaultKind};
use serde_json::{Map, Value, json};

use super::template;

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    /// Hub id, or a folder.
    pub(super) id: String,
    pub(super) class: String,
    pub(super) task: String,
    pub(super) reasoning_state: String,
    /// 1 is first; rows without one are last.
    pub(super) priority: Option<f64>,
    /// Reasoning parameters of its chat template.
    pub(super) params: Map<String, Value>,
    /// What could not be understood.
    pub(super) notes: Vec<String>,
}

/// Which rows are run: texts are looked for within the cells, whatever their case.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    pub(super) model: Option<String>,
    pub(super) class: Option<String>,
    pub(super) task: Option<String>,
    pub(super) reasoning_state: Option<String>,
}

impl Filters {
    fn keep(&self, model: &Model) -> bool {
        let within = |wanted: &Option<String>, cell: &str| {
            wanted.as_ref().is_none_or(|wanted| cell.to_lowercase().contains(&wanted.to_lowercase()))
        };
        let same = |wanted: &Option<String>, cell: &str| {
            wanted.as_ref().is_none_or(|wanted| cell.trim().eq_ignore_ascii_case(wanted.trim()))
        };
        within(&self.model, &model.id)
            && same(&self.class, &model.class)
            && within(&self.task, &model.task)
            && within(&self.reasoning_state, &model.reasoning_state)
    }
}

impl Model {
    /// Whether the state says that the model reasons: `On`, `On (High)`, `True`; anything else does not.
    pub(super) fn reasons(&self) -> bool {
        let state = self.reasoning_state.trim().to_lowercase();
        let word: String = state.chars().take_while(|c| c.is_alphanumeric()).collect();
        matches!(word.as_str(), "on" | "true" | "yes" | "high" | "medium" | "low" | "enabled")
    }

    /// Most and fewest tokens to generate: a reasoning model may think as long as it likes, any other answers in ten, as
    /// AI Energy Score's batches do.
    pub(super) fn token_limits(&self) -> [u64; 2] {
        if self.reasons() { [8192, 1] } else { [10, 10] }
    }

    /// The keys that the row sets. Parameters also go to a model that is not to reason: that is how it is told so.
    pub(super) fn keys(&self) -> Vec<(String, Value)> {
        let mut keys = vec![("backend.model".to_owned(), json!(self.id))];
        let reasons = self.reasons() || !self.params.is_empty();
        keys.push(("scenario.reasoning".to_owned(), json!(reasons)));
        if !self.params.is_empty() {
            keys.push(("scenario.reasoning_params".to_owned(), json!(self.params)));
        }
        keys
    }

    /// The folder's name: organisation, model and state.
    pub(super) fn slug(&self) -> String {
        let name = format!("{}_{}", self.id.replace('/', "_"), self.reasoning_state);
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
            .collect();
        name.trim_matches(['_', '.']).chars().take(150).collect()
    }
}

/// Column names, with the words that a header is recognised by.
const MODEL: &str = "Models to Add";

/// Reads the table, filters it, and puts it in order of priority; rows of one priority keep theirs.
///
/// # Errors
/// The file cannot be read, has no column `Models to Add`, or holds no model.
pub(super) fn read(path: &Path, filters: &Filters) -> Result<Vec<Model>, Fault> {
    let wrong = |cause: String, remedy: &str| {
        Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy)
    };
    let bytes = std::fs::read(path).map_err(|error| {
        wrong(format!("cannot be read: {error}"), "name a CSV file with a column `Models to Add`")
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header =
        reader.headers().map_err(|error| wrong(format!("is no CSV: {error}"), "save it as CSV"))?.clone();
    let column = |name: &str| {
        header.iter().position(|found| found.trim().to_lowercase().starts_with(&name.to_lowercase()))
    };
    let model = column(MODEL).ok_or_else(|| {
        let found: Vec<&str> = header.iter().collect();
        wrong(
            format!("has no column `{MODEL}`; it has {}", found.join(", ")),
            "give the column of models that name",
        )
    })?;
    let [priority, class, task, state, chat] =
        ["Priority", "Class", "Task", "Reasoning State", "Chat Template"].map(column);
    let mut models = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record =
            record.map_err(|error| wrong(format!("row {}: {error}", number + 2), "mend that row"))?;
        let cell = |column: Option<usize>| {
            column.and_then(|at| record.get(at)).unwrap_or_default().trim().to_owned()
        };
        let id = model_id(&cell(Some(model)));
        if id.is_empty() {
            continue;
        }
        let template = template::parse(&cell(chat));
        let notes = template
            .unknown
            .iter()
            .map(|part| format!("chat template: `{part}` is not understood and left out"));
        models.push(Model {
            id,
            class: cell(class),
            task: cell(task),
            reasoning_state: cell(state),
            priority: cell(priority).parse().ok(),
            params: template.params,
            notes: notes.collect(),
        });
    }
    if models.is_empty() {
        return Err(wrong("names no model".to_owned(), "fill the column `Models to Add`"));
    }
    models.retain(|model| filters.keep(model));
    models
        .sort_by(|a, b| a.priority.unwrap_or(f64::INFINITY).total_cmp(&b.priority.unwrap_or(f64::INFINITY)));
    Ok(models)
}

/// A hub id from an id or the address of its page: organisation and model, whatever follows.
fn model_id(text: &str) -> String {
    let Some((_, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let parts: Vec<&str> = rest.split('/').skip(1).filter(|part| !part.is_empty()).collect();
    parts.into_iter().take(2).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\u{feff}Models to Add,Priority (1=hi),Class,Task,Reasoning State,Chat Template\n\
        https://hub.example/openai/gpt-oss-20b/tree/main?x=1,2,B,text_generation,On (High),reasoning_effort: high\n\
        org/small,1,A,text_generation,Off,\"enable_thinking=False\nN/A (default)\"\n\
        ,1,A,text_generation,Off,\n\
        org/last,,C,summarization,N/A,blue\n";

    fn table(filters: &Filters) -> Vec<Model> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.csv");
        std::fs::write(&path, TABLE).unwrap();
        read(&path, filters).unwrap()
    }

    fn ids(filters: Filters) -> Vec<String> {
        table(&filters).into_iter().map(|model| model.id).collect()
    }

    #[test]
    fn rows_come_by_priority_with_what_they_ask_for() {
        let models = table(&Filters::default());
        let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["org/small", "openai/gpt-oss-20b", "org/last"]);
        let limits: Vec<[u64; 2]> = models.iter().map(Model::token_limits).collect();
        assert_eq!(limits, [[10, 10], [8192, 1], [10, 10]]);
        let key = |model: &Model, key: &str| {
            model.keys().into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
        };
        assert_eq!(key(&models[0], "scenario.reasoning_params"), Some(json!({"enable_thinking": false})));
        assert_eq!(key(&models[0], "scenario.reasoning"), Some(json!(true)), "told to be off");
        assert_eq!(key(&models[2], "scenario.reasoning"), Some(json!(false)));
        assert_eq!(models[1].slug(), "openai_gpt-oss-20b_On__High");
        assert!(models[2].notes[0].contains("`blue`"));
    }

    #[test]
    fn filters_look_within_cells_and_a_class_is_whole() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(ids(Filters { model: some("GPT"), ..Filters::default() }), ["openai/gpt-oss-20b"]);
        assert_eq!(ids(Filters { class: some("c"), ..Filters::default() }), ["org/last"]);
        assert_eq!(ids(Filters { task: some("summ"), ..Filters::default() }), ["org/last"]);
        assert_eq!(
            ids(Filters { reasoning_state: some("on"), ..Filters::default() }),
            ["openai/gpt-oss-20b"]
        );
    }

    #[test]
    fn a_table_without_the_column_is_named_with_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, "model,class\na,b\n").unwrap();
        let error = read(&path, &Filters::default()).unwrap_err().to_string();
        assert!(error.contains("Models to Add") && error.contains("model, class"), "{error}");
    }
}
