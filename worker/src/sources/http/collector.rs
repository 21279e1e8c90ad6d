//! What one walk and one round trip must bring of an answer or item: the paths, the programs, and what is wrong with
//! them.

use std::collections::BTreeMap;

use tideline_expression::{Call, CompileError, Expression, Path, Take};

use super::children::VERSION;
use super::plan::{Problem, Pull};

/// Collects the paths that one walk must find, the programs that one round trip must run, and the problems.
pub(super) struct Collector<'p> {
    /// Place of the resource in the configuration.
    pub(super) at: String,
    /// jq functions that stand in front of every program.
    pub(super) definitions: &'p str,
    pub(super) paths: Vec<Path>,
    pub(super) calls: Vec<Call>,
    pub(super) problems: &'p mut Vec<Problem>,
}

impl Collector<'_> {
    pub(super) fn pull(&mut self, key: &str, text: &str) -> Option<Pull> {
        self.take(key, Take::First, Expression::compile, text)
    }

    pub(super) fn pull_all(&mut self, key: &str, text: &str) -> Option<Pull> {
        self.take(key, Take::All, Expression::compile, text)
    }

    /// One program that makes an object of values, with the version, for each output of `each`.
    pub(super) fn pull_each(
        &mut self,
        each: &str,
        values: &BTreeMap<String, String>,
        version: Option<&str>,
    ) -> Option<Pull> {
        let mut fine = self.compiles("each", each);
        for (name, text) in values {
            fine &= self.compiles(&format!("values.{name}"), text);
        }
        let members = values.iter().map(|(name, text)| format!("\"{name}\": ({text})"));
        let mut members: Vec<String> = members.collect();
        if let Some(version) = version {
            fine &= self.compiles("version", version);
            // Whatever becomes of it, there must be a partition.
            members.push(format!("\"{VERSION}\": ([try ({version}) catch null][0])"));
        }
        let program = format!("({each}) | {{{}}}", members.join(", "));
        if fine { self.pull_all("each", &program) } else { None }
    }

    fn compiles(&mut self, key: &str, text: &str) -> bool {
        let compiled = Expression::compile(&format!("{}\n{text}", self.definitions));
        let wrong = compiled
            .err()
            .map(|why| (format!("{}.{key}", self.at), why.to_string()));
        let fine = wrong.is_none();
        self.problems.extend(wrong);
        fine
    }

    pub(super) fn pull_or_text(&mut self, key: &str, text: &str) -> Option<Pull> {
        self.take(key, Take::First, Expression::compile_or_text, text)
    }

    /// An expression that runs by itself.
    pub(super) fn expression(&mut self, key: &str, text: &str) -> Option<Expression> {
        let compiled = match Expression::compile(text) {
            Ok(Expression::Path(path)) => Ok(Expression::Path(path)),
            _ => Expression::compile(&format!("{}\n{text}", self.definitions)),
        };
        let wrong = |why: CompileError| self.problems.push((format!("{}.{key}", self.at), why.to_string()));
        compiled.map_err(wrong).ok()
    }

    pub(super) fn take(&mut self, key: &str, take: Take, compile: Compile, text: &str) -> Option<Pull> {
        // A plain path or a word needs no functions.
        let mut compiled = compile(text);
        if !self.definitions.is_empty() && !matches!(compiled, Ok(Expression::Path(_) | Expression::Text(_))) {
            compiled = Expression::compile(&format!("{}\n{text}", self.definitions));
        }
        match compiled {
            Ok(Expression::Text(text)) => Some(Pull::Text(text)),
            Ok(Expression::Jq(program)) => {
                self.calls.push(program.call(take));
                Some(Pull::Jq(self.calls.len() - 1))
            }
            Ok(Expression::Path(path)) => {
                self.paths.push(path);
                Some(Pull::Slice(self.paths.len() - 1))
            }
            Err(why) => {
                self.problems.push((format!("{}.{key}", self.at), why.to_string()));
                None
            }
        }
    }
}

/// One of the ways of compiling an expression.
type Compile = fn(&str) -> Result<Expression, CompileError>;
