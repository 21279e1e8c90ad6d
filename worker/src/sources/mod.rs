//! The sources: `http` for any JSON API, `files` for a folder, `terraform` for states. [`open`] chooses by the
//! settings.

mod backstage;
pub mod files;
pub mod http;
mod push;
mod redact;
mod secret_names;
mod terraform;
mod text;

use std::fmt;
use std::sync::Arc;

use tideline_config::settings::{SourceKind, SourceSettings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_expression::{Evaluator, Limits};

use crate::source::Source;

/// Settings that cannot work: an expression that is none, a value that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct OpenError {
    /// Name of the source.
    pub source_name: String,
    /// Where in the source's settings, and what is wrong there.
    pub problems: Vec<(String, String)>,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}: ", self.source_name)?;
        for (index, (key, why)) in self.problems.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{key}: {why}")?;
        }
        Ok(())
    }
}

/// The source that the settings describe. Reads nothing yet.
///
/// # Errors
/// Every problem of the settings that compiling them shows.
pub fn open(settings: &SourceSettings) -> Result<Arc<dyn Source>, OpenError> {
    open_with_clock(settings, Arc::new(SystemClock))
}

/// Like [`open_with_clock`]; a source that reads an API shows what it sends and receives to `observer`.
///
/// # Errors
/// As [`open`].
pub fn open_observed(
    settings: &SourceSettings,
    clock: Arc<dyn Clock>,
    observer: http::Observer,
) -> Result<Arc<dyn Source>, OpenError> {
    match &settings.kind {
        SourceKind::Http(http) => {
            match http::HttpSource::new(settings, http, clock, Arc::new(Evaluator::new(Limits::default()))) {
                Ok(source) => Ok(Arc::new(source.observed(observer))),
                Err(problems) => Err(OpenError {
                    source_name: settings.name.clone(),
                    problems,
                }),
            }
        }
        SourceKind::Terraform(terraform) => match terraform::TerraformSource::new(settings, terraform, clock) {
            Ok(source) => Ok(Arc::new(source.observed(observer))),
            Err(problems) => Err(OpenError {
                source_name: settings.name.clone(),
                problems,
            }),
        },
        _ => open_with_clock(settings, clock),
    }
}

/// Like [`open`], with a clock of the caller's.
///
/// # Errors
/// As [`open`].
pub fn open_with_clock(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Source>, OpenError> {
    open_with(settings, clock, &Arc::new(Evaluator::new(Limits::default())))
}

/// Like [`open`], with a clock and with an evaluator of expressions, which sources share.
///
/// # Errors
/// As [`open`].
pub fn open_with(
    settings: &SourceSettings,
    clock: Arc<dyn Clock>,
    evaluator: &Arc<Evaluator>,
) -> Result<Arc<dyn Source>, OpenError> {
    match &settings.kind {
        SourceKind::Push => Ok(Arc::new(push::PushSource)),
        SourceKind::Own => Err(OpenError {
            source_name: settings.name.clone(),
            problems: vec![(
                "type".to_owned(),
                "is written in Rust: the program hands it over".to_owned(),
            )],
        }),
        SourceKind::Http(http) => match http::HttpSource::new(settings, http, clock, Arc::clone(evaluator)) {
            Ok(source) => Ok(Arc::new(source)),
            Err(problems) => Err(OpenError {
                source_name: settings.name.clone(),
                problems,
            }),
        },
        SourceKind::Terraform(terraform) => match terraform::TerraformSource::new(settings, terraform, clock) {
            Ok(source) => Ok(Arc::new(source)),
            Err(problems) => Err(OpenError {
                source_name: settings.name.clone(),
                problems,
            }),
        },
        SourceKind::Files(files) => Ok(Arc::new(files::FilesSource::new(settings, files, clock))),
    }
}
