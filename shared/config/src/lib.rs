//! Configuration: YAML with `${NAME}` from the environment, read into [`settings`]; every error with file, line, column and
//! key path, all of them at once. Keys are declared once, where they are read (`process.rs`, `source.rs`, `http.rs`), and
//! `docs/configuration.md` comes out of the same declarations. jq expressions are not compiled here, since only workers know
//! jq: [`load_examined`] asks them, while sources and targets are read.

mod auth;
mod effective;
mod error;
mod expand;
mod fields;
pub mod hooks;
mod http;
mod identity;
mod json;
mod locations;
mod lookup;
pub mod oidc;
mod on;
mod pagination;
mod place;
pub mod presets;
mod process;
mod reader;
mod reference;
mod resource;
mod schema;
pub mod secrets;
pub mod settings;
mod signed;
mod source;
pub mod subscriptions;
mod targets;
mod terraform;
mod units;
mod yaml;

use std::path::Path;

use self::hooks::HookSettings;
use self::process::read_settings;
use self::reader::Context;
use self::settings::{Settings, SourceSettings, TargetSettings};
use self::yaml::Problem;

pub use effective::EffectiveKey;
pub use error::{ConfigError, ConfigErrors, Location};
pub use process::check_store_url;
pub use reference::reference;
pub use schema::schema;
pub use source::check_source_name;
pub use units::parse_duration;

/// A longer file is not read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What is asked about while the file is read.
#[derive(Clone, Copy, Debug)]
pub enum Examined<'s> {
    /// A source.
    Source(&'s SourceSettings),
    /// A target.
    Target(&'s TargetSettings),
    /// A hook.
    Hook(&'s HookSettings),
}

/// What else is wrong with it: key path within it, such as `resources[0].items`, and problem.
pub type Examine<'e> = dyn Fn(Examined<'_>) -> Vec<(String, String)> + 'e;

/// Reads a file. `env` gives the variables of the environment.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, ConfigErrors> {
    load_examined(path, env, &|_| Vec::new())
}

/// As [`load`]. What `examine` finds is told with the rest, each at its place. It is asked about sources with errors too, with
/// defaults for what is wrong; what it says of a key that is known to be wrong is left out.
///
/// # Errors
/// As [`load`].
pub fn load_examined(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    examine: &Examine<'_>,
) -> Result<Settings, ConfigErrors> {
    let text = read_file(path).map_err(|message| {
        let problem = Problem {
            at: Location::START,
            path: String::new(),
            message,
        };
        errors(path, vec![problem])
    })?;
    parse_examined(&text, path, env, examine)
}

/// Reads the text of a file named `path`, which need not exist.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, ConfigErrors> {
    parse_examined(text, path, env, &|_| Vec::new())
}

fn parse_examined(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    examine: &Examine<'_>,
) -> Result<Settings, ConfigErrors> {
    let (document, problems) = yaml::parse(text);
    if !problems.is_empty() && document.is_none() {
        return Err(errors(path, problems));
    }
    let document = document.filter(|document| !document.is_null());
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let context = Context::new(document.as_ref(), folder, env, examine);
    let settings = read_settings(&context.root());
    let found = context.into_problems();
    let problems: Vec<Problem> = problems.into_iter().chain(found).collect();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(errors(path, problems))
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if length > MAX_FILE_BYTES {
        return Err(format!("is {length} bytes long; at most {MAX_FILE_BYTES} are read"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

fn errors(file: &Path, mut problems: Vec<Problem>) -> ConfigErrors {
    problems.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
    problems.dedup();
    let problems = problems.into_iter().map(|problem| ConfigError {
        file: file.to_owned(),
        at: problem.at,
        path: problem.path,
        message: problem.message,
    });
    ConfigErrors(problems.collect())
}

#[cfg(test)]
mod on_tests;
#[cfg(test)]
mod target_tests;
#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
