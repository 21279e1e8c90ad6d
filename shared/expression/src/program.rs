//! Compiled jq programs, and running them. Only a child, or a thread that stands for one, does this.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Exn, Vars};
use jaq_json::Val;
use serde::de::IgnoredAny;

use super::expression::plain_path;
use super::wire::{Batch, Call, Outcome, Reply, Take};

/// Maximum number of compiled programs that a child caches.
const MAX_KEPT: usize = 1_000;

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

/// A compiled program with the variables `$parent` and `$lookup`.
pub(crate) struct Compiled(jaq_core::Filter<JustLut<Val>>);

/// Compiles a program.
///
/// # Errors
/// Says what jq does not understand, and where.
pub(crate) fn compile(text: &str) -> Result<Compiled, String> {
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
    jaq_core::load::import(&modules, |_| Err(String::new())).map_err(|errors| load_error(text, &errors))?;
    Compiler::default()
        .with_funs(funs)
        .with_global_vars(["$parent", "$lookup"])
        .compile(modules)
        .map(Compiled)
        .map_err(|errors| {
            let unknown: Vec<String> = errors
                .iter()
                .flat_map(|(_, undefined)| undefined)
                .map(|(name, what)| format!("unknown {} \"{name}\"", what.as_str()))
                .collect();
            unknown.join(", ") + &hint(text)
        })
}

/// `data` is an unknown filter, `.data` a path.
fn hint(text: &str) -> String {
    let mut lines = text.lines().rev().map(str::trim);
    // Definitions stand in front.
    let last = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let path = format!(".{last}");
    if is_path(path.trim_end_matches("[]")) {
        format!("; did you mean `{path}`?")
    } else {
        String::new()
    }
}

fn is_path(text: &str) -> bool {
    plain_path(text).is_some_and(|path| !path.is_empty())
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
    let mut messages = Vec::new();
    for (_, error) in errors {
        match error {
            // Only modules are read from files.
            Error::Io(_) => messages.push("import and include are not supported".to_owned()),
            Error::Lex(parts) => messages.extend(
                parts
                    .iter()
                    .map(|(expected, part)| format!("expected {} {}", expected.as_str(), at(part))),
            ),
            Error::Parse(parts) => messages.extend(
                parts
                    .iter()
                    .map(|(expected, part)| format!("expected {} {}", expected.as_str(), at(part))),
            ),
        }
    }
    messages.join(", ")
}

/// Programs by their text, compiled once.
#[derive(Default)]
pub(crate) struct Programs(HashMap<String, Result<Compiled, String>>);

impl Programs {
    /// Runs a whole batch.
    pub(crate) fn run(&mut self, batch: &Batch) -> Reply {
        if self.0.len() + batch.calls.len() > MAX_KEPT {
            self.0.clear();
        }
        for call in &batch.calls {
            if let Entry::Vacant(entry) = self.0.entry(call.program.clone()) {
                let compiled = compile(entry.key());
                entry.insert(compiled);
            }
        }
        let globals = match (read(&batch.parent), read(&batch.lookup)) {
            (Ok(parent), Ok(lookup)) => [parent, lookup],
            (Err(why), _) | (_, Err(why)) => return failed(batch, &why),
        };
        let mut budget = batch.max_bytes;
        let mut done = Vec::with_capacity(batch.inputs.len());
        for input in &batch.inputs {
            let value = read(&input.text);
            let mut outcomes = Vec::with_capacity(input.calls.len());
            for call in &input.calls {
                let outcome = match (batch.calls.get(*call as usize), &value) {
                    (_, Err(why)) => Err(Stop::Failed(why.clone())),
                    (None, _) => Err(Stop::Failed("the batch has no such program".to_owned())),
                    (Some(call), Ok(value)) => match self.0.get(&call.program) {
                        Some(Ok(program)) => program.call(call, value, &globals, batch.max_outputs, &mut budget),
                        Some(Err(why)) => Err(Stop::Failed(why.clone())),
                        None => Err(Stop::Failed("the program is not compiled".to_owned())),
                    },
                };
                match outcome {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(Stop::Failed(why)) => outcomes.push(Outcome::Failed(why)),
                    Err(Stop::TooLarge) => return Reply::TooLarge,
                }
            }
            done.push(outcomes);
        }
        Reply::Done(done)
    }
}

fn failed(batch: &Batch, why: &str) -> Reply {
    let outcomes = |calls: &[u32]| calls.iter().map(|_| Outcome::Failed(why.to_owned())).collect();
    Reply::Done(batch.inputs.iter().map(|input| outcomes(&input.calls)).collect())
}

/// Numbers stay as they are written: jaq's own reader keeps their digits.
fn read(text: &str) -> Result<Val, String> {
    jaq_json::read::parse_single(text.as_bytes()).map_err(|error| format!("not JSON: {error}"))
}

enum Stop {
    Failed(String),
    TooLarge,
}

impl Compiled {
    fn call(
        &self,
        call: &Call,
        input: &Val,
        globals: &[Val; 2],
        max_outputs: u32,
        budget: &mut u64,
    ) -> Result<Outcome, Stop> {
        let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new(globals.clone()));
        let mut outputs = Vec::new();
        for output in self.0.id.run((context, input.clone())) {
            if outputs.len() >= max_outputs as usize {
                let why = format!("the expression returns more than {max_outputs} outputs");
                return Err(Stop::Failed(why));
            }
            outputs.push(output.map_err(|exception| Stop::Failed(failure(exception)))?);
            if call.take == Take::First {
                break;
            }
        }
        match (call.take, outputs.as_slice()) {
            (Take::Elements, [Val::Arr(elements)]) => texts(elements, budget).map(Outcome::Elements),
            _ => texts(&outputs, budget).map(Outcome::Values),
        }
    }
}

/// The values as JSON. jaq knows more than JSON does: numbers that are none, bytes, keys that are not strings.
fn texts(values: &[Val], budget: &mut u64) -> Result<Vec<String>, Stop> {
    let mut texts = Vec::with_capacity(values.len());
    for value in values {
        let text = value.to_string();
        *budget = budget.checked_sub(text.len() as u64).ok_or(Stop::TooLarge)?;
        serde_json::from_str::<IgnoredAny>(&text)
            .map_err(|error| Stop::Failed(format!("the expression returns something that is not JSON: {error}")))?;
        texts.push(text);
    }
    Ok(texts)
}

/// In words that need no others: an expression's own error may be any text.
fn failure(exception: Exn<'_, Val>) -> String {
    exception.get_err().map_or_else(
        |_| "the expression was stopped".to_owned(),
        |error| format!("the expression failed: {error}"),
    )
}
