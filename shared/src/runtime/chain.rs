use std::error::Error;

/// An error with all its causes, from the outermost to the innermost, separated by `: `.
#[must_use]
pub fn full_text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
