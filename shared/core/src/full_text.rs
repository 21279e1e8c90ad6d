use std::error::Error;

/// An error with all its causes, from the outermost to the innermost, separated by `: `. A cause that an error outside
/// of it has told already is not told again.
#[must_use]
pub fn full_text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Failure {
        text: &'static str,
        #[source]
        source: Option<Box<Failure>>,
    }

    fn failure(text: &'static str, source: Option<Failure>) -> Failure {
        let source = source.map(Box::new);
        Failure { text, source }
    }

    #[test]
    fn every_cause_is_told_once() {
        let innermost = failure("no route", Some(failure("os error 113", None)));
        let chain = failure("cannot connect: no route", Some(innermost));
        assert_eq!(full_text(&chain), "cannot connect: no route: os error 113");
    }
}
