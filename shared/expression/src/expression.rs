//! Expressions of the configuration, checked when it is read.

use super::program::{self};
use super::wire::{Call, Take};

/// Maximum length of an expression in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Maximum nesting of brackets: the compiler recurses.
const MAX_DEPTH: usize = 100;

/// Member names from the outside in; empty: the whole value.
pub type Path = Vec<String>;

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub(crate) String);

/// A checked expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A text that stands for itself (only where plain texts are allowed).
    Text(String),
    /// A plain path. It needs no jq.
    Path(Path),
    /// Anything else.
    Jq(Program),
}

/// A checked jq program. The variables `$parent` and `$lookup` are known to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(String);

impl Expression {
    /// Checks it.
    ///
    /// # Errors
    /// Says what jq does not understand, and where. `import`, `include` and functions that reach out of the expression
    /// (`env`, `input`, `debug`, `halt`) are not known.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        match plain_path(text) {
            Some(path) => Ok(Self::Path(path)),
            None => Program::compile(text).map(Self::Jq),
        }
    }

    /// Like [`Expression::compile`], but a text of letters, digits, `-` and `_` alone stands for itself.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub fn compile_or_text(text: &str) -> Result<Self, CompileError> {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let quoted = serde_json::from_str::<String>(text).ok();
        match quoted {
            Some(quoted) if !quoted.contains('\\') && !text.contains('\\') => Ok(Self::Text(quoted)),
            _ if plain => Ok(Self::Text(text.to_owned())),
            _ => Self::compile(text),
        }
    }
}

impl Program {
    fn compile(text: &str) -> Result<Self, CompileError> {
        if text.len() > MAX_BYTES {
            return Err(CompileError(format!("is longer than {MAX_BYTES} bytes")));
        }
        let mut depth = 0_usize;
        for c in text.chars() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(CompileError(format!("is nested deeper than {MAX_DEPTH} brackets")));
            }
        }
        program::compile(text).map_err(CompileError)?;
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// To be run in a [`super::Batch`].
    #[must_use]
    pub fn call(&self, take: Take) -> Call {
        Call {
            program: self.0.clone(),
            take,
        }
    }
}

/// The names of a path like `.a.b`; none if it is anything else.
pub(crate) fn plain_path(text: &str) -> Option<Path> {
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

    #[test]
    fn plain_paths_need_no_jq() {
        for (text, path) in [(".", vec![]), (".a", vec!["a"]), (" .a_1.b ", vec!["a_1", "b"])] {
            let path = path.into_iter().map(str::to_owned).collect();
            assert_eq!(Expression::compile(text).unwrap(), Expression::Path(path));
        }
        for text in [".a[]", ".a | .b", "$parent.x", ".[0]", ".a?", ".a-1"] {
            assert!(
                matches!(Expression::compile(text).unwrap(), Expression::Jq(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_without_its_dot_is_recognized() {
        let why = |text: &str| Expression::compile(text).unwrap_err().to_string();
        for (text, hint) in [("data", "`.data`"), ("def a: 1;\ndata.items[]", "`.data.items[]`")] {
            assert!(why(text).ends_with(&format!("; did you mean {hint}?")), "{}", why(text));
        }
        assert!(!why("map(nothing)").contains("mean"), "{}", why("map(nothing)"));
    }

    #[test]
    fn plain_texts_stand_for_themselves() {
        for (text, plain) in [
            ("Component", "Component"),
            ("\"de fault\"", "de fault"),
            ("my-org", "my-org"),
        ] {
            assert_eq!(
                Expression::compile_or_text(text).unwrap(),
                Expression::Text(plain.to_owned())
            );
        }
        let interpolated = Expression::compile_or_text("\"a\\(.b)\"").unwrap();
        assert!(matches!(interpolated, Expression::Jq(_)));
        assert!(matches!(
            Expression::compile_or_text(".a").unwrap(),
            Expression::Path(_)
        ));
    }

    #[test]
    fn a_wrong_expression_says_what_and_where() {
        let error = |text| Expression::compile(text).unwrap_err().to_string();
        assert!(error(".a |").contains("expected"));
        assert!(error("nope(.)").contains("nope"));
        assert!(error("$other").contains("$other"));
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(error(&deep).contains("longer"));
        assert!(error(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).contains("nested"));
    }

    #[test]
    fn nothing_reaches_out_of_an_expression() {
        for text in ["env", "halt", "halt_error", "stderr", "debug", "$ENV", "input"] {
            assert!(Expression::compile(text).is_err(), "{text}");
        }
    }

    #[test]
    fn import_and_include_are_refused_when_the_expression_is_checked() {
        for text in [
            "import \"a\" as a; .",
            "import \"a\" as $a; .",
            "import \"/etc/passwd\" as $a; $a",
            "include \"a\"; .",
        ] {
            let error = Expression::compile(text).unwrap_err().to_string();
            assert!(error.contains("import"), "{text}: {error}");
        }
    }
}
