//! Configuration: files, groups, environment and command line, layered into one tree that holds to a schema.
//!
//! Exists so that every value a run uses can be traced to the line that set it, and so that a misspelt key is an
//! error with a name and a place instead of a silent default. Refuses to know any key: the program gives a JSON
//! schema, its defaults and the environment variables that it binds.
//!
//! # Order
//!
//! Later layers win; maps merge key by key, everything else is replaced whole.
//!
//! 1. the program's defaults,
//! 2. files named by the `defaults:` list, in its order; the main file stands where `_self_` does, or last,
//! 3. groups chosen on the command line that no list names,
//! 4. bound environment variables,
//! 5. `a.b=c` arguments,
//! 6. flags.
//!
//! Layering is figment's work. Interpolations (`${VAR:-x}`, `${oc.env:VAR,x}`, `${a.b}`) are replaced in what comes
//! out of it, then the tree is held to the schema, and all faults are reported together.
//!
//! # Formats
//!
//! YAML, TOML and JSON, told by the extension. YAML words mean what OmegaConf makes of them (`yes`, `off`, `1e-3`), except
//! those that could mean two numbers (`010`), which stay text.
//!
//! ```
//! # fn main() -> Result<(), ai_energy_config::ConfigErrors> {
//! use ai_energy_config::{Loader, Origin};
//! use serde_json::json;
//!
//! let schema = json!({
//!     "type": "object",
//!     "additionalProperties": false,
//!     "properties": {"samples": {"type": "integer", "minimum": 1}}
//! });
//! let loaded = Loader::new(json!({"samples": 10}), schema.clone())
//!     .overrides(vec!["samples=3".to_owned()])
//!     .load::<serde_json::Value>()?;
//! assert_eq!(loaded.tree, json!({"samples": 3}));
//! assert_eq!(loaded.origins["samples"], Origin::Override { text: "samples=3".to_owned() });
//!
//! let wrong = Loader::new(json!({"samples": 10}), schema).overrides(vec!["sample=3".to_owned()]);
//! let errors = wrong.load::<serde_json::Value>().map(|_| ()).unwrap_err().to_string();
//! assert_eq!(errors, "override `sample=3`: key `sample`: unknown key\n  hint: did you mean `samples`?");
//! # Ok(())
//! # }
//! ```

mod check;
mod compose;
mod describe;
mod entry;
mod error;
mod flow;
mod format;
mod interpolate;
mod kinds;
mod layers;
mod loader;
mod locate;
mod node;
mod origin;
mod overrides;
mod scalar;
mod schema;
mod shape;

pub use error::{ConfigError, ConfigErrors};
pub use loader::{Loaded, Loader};
pub use locate::{Available, Embedded};
pub use origin::Origin;
