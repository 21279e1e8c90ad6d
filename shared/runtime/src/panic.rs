use std::any::Any;

/// What a panic said, if it said a text.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(panics: impl FnOnce() + std::panic::UnwindSafe) -> String {
        panic_text(std::panic::catch_unwind(panics).unwrap_err().as_ref()).to_owned()
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        assert_eq!(said(|| panic!("plain")), "plain");
        assert_eq!(said(|| panic!("with {}", 1)), "with 1");
        assert_eq!(said(|| std::panic::panic_any(7)), "without a message");
    }
}
