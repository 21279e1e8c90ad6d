//! jq expressions, compiled once. Plain paths (`.`, `.a.b`) are known as such and need no jq; everything else runs in jaq.

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Exn, Vars};
use jaq_json::Val;

use super::extract::Path;

/// Outputs of one expression that are read at most.
pub(super) const MAX_OUTPUTS: usize = 100_000;

/// What is said of an expression that did not come to its end.
const STOPPED: &str = "the expression was stopped";

/// Functions that reach out of the expression: the environment, the log, the process.
const FORBIDDEN: [&str; 7] = [
    "env",
    "halt",
    "halt_error",
    "stderr",
    "stderr_empty",
    "debug",
    "debug_empty",
];

/// A compiled expression.
pub(super) enum Expression {
    /// A text that stands for itself (only where plain texts are allowed).
    Text(String),
    /// A plain path.
    Path(Path),
    /// Anything else.
    Jq(Box<Program>),
}

/// A compiled jq program with the variable `$parent`.
pub(super) struct Program(jaq_core::Filter<JustLut<Val>>);

impl Expression {
    /// Compiles it.
    ///
    /// # Errors
    /// Says what jq does not understand, and where.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        match plain_path(text) {
            Some(path) => Ok(Self::Path(path)),
            None => Ok(Self::Jq(Box::new(Program::compile(text)?))),
        }
    }

    /// As [`Expression::compile`], but a text of letters, digits, `-` and `_` alone stands for itself.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub(super) fn compile_or_text(text: &str) -> Result<Self, String> {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let quoted = serde_json::from_str::<String>(text).ok();
        match quoted {
            Some(quoted) if !quoted.contains('\\') && !text.contains('\\') => Ok(Self::Text(quoted)),
            _ if plain => Ok(Self::Text(text.to_owned())),
            _ => Self::compile(text),
        }
    }

    /// Its path, if it is one.
    #[cfg(test)]
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Whether jq must run.
    #[cfg(test)]
    fn is_jq(&self) -> bool {
        matches!(self, Self::Jq(_))
    }
}

impl Program {
    fn compile(text: &str) -> Result<Self, String> {
        let allowed = |name: &str| !FORBIDDEN.contains(&name);
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs())
            .filter(|def| allowed(def.name));
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs())
            .filter(|fun| allowed(fun.0));
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code: text, path: () })
            .map_err(|errors| load_error(text, &errors))?;
        Compiler::default()
            .with_funs(funs)
            .with_global_vars(["$parent"])
            .compile(modules)
            .map(Self)
            .map_err(|errors| {
                let unknown: Vec<String> = errors
                    .iter()
                    .flat_map(|(_, undefined)| undefined)
                    .map(|(name, what)| format!("unknown {} \"{name}\"", what.as_str()))
                    .collect();
                unknown.join(", ")
            })
    }

    /// Runs it; at most `limit` outputs are read, one more is an error. `go_on` is asked between outputs.
    ///
    /// # Errors
    /// The expression's own error, or that it was stopped.
    pub(super) fn run(
        &self,
        input: Val,
        parent: &Val,
        limit: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<Val>, String> {
        let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([parent.clone()]));
        let mut outputs = Vec::new();
        for output in self.0.id.run((context, input)) {
            if outputs.len() >= limit {
                return Err(format!("the expression makes more than {limit} outputs"));
            }
            if !go_on() {
                return Err(STOPPED.to_owned());
            }
            match output {
                Ok(value) => outputs.push(value),
                Err(exception) => return Err(failure(exception)),
            }
        }
        Ok(outputs)
    }

    /// The first output; none if there is none.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub(super) fn first(&self, input: Val, parent: &Val) -> Result<Option<Val>, String> {
        let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([parent.clone()]));
        match self.0.id.run((context, input)).next() {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(exception)) => Err(failure(exception)),
        }
    }
}

/// In words that need no others: an expression's own error may be any text.
fn failure(exception: Exn<'_, Val>) -> String {
    exception.get_err().map_or_else(
        |_| STOPPED.to_owned(),
        |error| format!("the expression failed: {error}"),
    )
}

fn load_error(text: &str, errors: &jaq_core::load::Errors<&str, ()>) -> String {
    use jaq_core::load::Error;

    let at = |part: &str| {
        let start = (part.as_ptr() as usize)
            .saturating_sub(text.as_ptr() as usize)
            .min(text.len());
        format!(
            "at character {}",
            text.get(..start).map_or(0, |before| before.chars().count()) + 1
        )
    };
    let mut said = Vec::new();
    for (_, error) in errors {
        match error {
            Error::Io(parts) => said.extend(parts.iter().map(|(_, why)| why.clone())),
            Error::Lex(parts) => {
                said.extend(
                    parts
                        .iter()
                        .map(|(expected, part)| format!("expected {} {}", expected.as_str(), at(part))),
                );
            }
            Error::Parse(parts) => {
                said.extend(
                    parts
                        .iter()
                        .map(|(expected, part)| format!("expected {} {}", expected.as_str(), at(part))),
                );
            }
        }
    }
    said.join(", ")
}

/// The names of a path like `.a.b` or `.["a"].b`; none if it is anything else.
fn plain_path(text: &str) -> Option<Path> {
    let text = text.trim();
    if text == "." {
        return Some(Vec::new());
    }
    let mut path = Vec::new();
    for name in text.strip_prefix('.')?.split('.') {
        let mut characters = name.chars();
        let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        path.push(name.to_owned());
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, input: &str) -> Result<Vec<String>, String> {
        let program = Program::compile(text)?;
        let input: Val = serde_json::from_str(input).unwrap();
        let parent: Val = serde_json::from_str(r#"{"org":"acme"}"#).unwrap();
        let outputs = program.run(input, &parent, 10, &|| true)?;
        Ok(outputs.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn plain_paths_need_no_jq() {
        for (text, path) in [(".", vec![]), (".a", vec!["a"]), (" .a_1.b ", vec!["a_1", "b"])] {
            assert_eq!(Expression::compile(text).unwrap().path().unwrap(), &path);
        }
        for text in [".a[]", ".a | .b", "$parent.x", ".[0]", ".a?", ".a-1"] {
            assert!(Expression::compile(text).unwrap().is_jq(), "{text}");
        }
    }

    #[test]
    fn plain_texts_stand_for_themselves() {
        for (text, plain) in [
            ("Component", "Component"),
            ("\"de fault\"", "de fault"),
            ("my-org", "my-org"),
        ] {
            assert!(matches!(Expression::compile_or_text(text).unwrap(), Expression::Text(found) if found == plain));
        }
        assert!(Expression::compile_or_text("\"a\\(.b)\"").unwrap().is_jq());
        assert!(Expression::compile_or_text(".a").unwrap().path().is_some());
    }

    #[test]
    fn the_standard_library_and_the_parent_are_there() {
        assert_eq!(
            run("[.[] | select(. > 1) | tostring + $parent.org]", "[1,2]").unwrap(),
            ["[\"2acme\"]"]
        );
    }

    #[test]
    fn a_wrong_expression_says_what_and_where() {
        assert!(run(".a |", "1").unwrap_err().contains("expected"));
        assert!(run("nope(.)", "1").unwrap_err().contains("nope"));
        assert!(run("$other", "1").unwrap_err().contains("$other"));
    }

    #[test]
    fn nothing_reaches_out_of_an_expression() {
        for text in ["env", "halt", "halt_error", "stderr", "debug", "$ENV", "input"] {
            assert!(run(text, "1").is_err(), "{text}");
        }
    }

    #[test]
    fn endless_output_ends_at_the_limit() {
        assert!(run("repeat(.)", "1").unwrap_err().contains("more than 10"));
    }

    #[test]
    fn an_expression_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Program>();
    }
}
