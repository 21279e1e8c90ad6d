//! jq expressions, evaluated where nothing that a source sends can harm the process.
//!
//! [`Expression::compile`] checks an expression once. Constants and plain paths (`.`, `.a.b`) need no jq; everything
//! else is a [`Program`], which an [`Evaluator`] runs in a child process of the same executable. A child has a limit of
//! memory, of stack and of time; it is reused, and killed and replaced when it exceeds one of them. A page of items is
//! one [`Batch`]: one round trip, however many items it has.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tideline_expression::{Evaluator, Expression, Limits};
//!
//! let evaluator = Evaluator::new(Limits::default());
//! let expression = Expression::compile(".action == \"opened\"")?;
//! let values = evaluator.evaluate(&expression, r#"{"action":"opened"}"#).await?;
//! assert_eq!(values, [serde_json::json!(true)]);
//! # Ok(())
//! # }
//! ```
//!
//! # Programs that embed Tideline
//!
//! A child is the program itself, started with one argument that [`serve_if_child`] understands. Call it first in
//! `main`:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     if let Some(code) = tideline_expression::serve_if_child() {
//!         return code;
//!     }
//!     // … the program's own work
//!     std::process::ExitCode::SUCCESS
//! }
//! ```
//!
//! A program that does not call it cannot be its own child. [`Evaluator::new`] then evaluates on threads of the program
//! and logs a warning: time is limited, memory and stack are not, and an endless expression keeps its thread. Or name
//! another program that serves, such as the `tideline` command, with [`Evaluator::with_command`].

mod child;
mod evaluator;
mod expression;
mod in_process;
mod process;
mod program;
mod wire;

pub use child::serve_if_child;
pub use evaluator::{EvaluateError, Evaluator, Limits};
pub use expression::{CompileError, Expression, Path, Program};
pub use wire::{Batch, Call, Input, Outcome, Take};
