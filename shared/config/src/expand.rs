//! `${NAME}` from the environment, in single values after the YAML was read, so that a variable can never change the
//! structure of the file.

/// A text with its variables filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Names of the variables in it.
    pub(super) variables: Vec<String>,
}

/// Fills in `${NAME}`; `$${` stands for `${` itself.
///
/// # Errors
/// Each says what is wrong; none holds a value.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut variables = Vec::new();
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            wrong.push("`${` has no `}`; write `$${` for the two characters themselves".to_owned());
            rest = "";
            break;
        };
        rest = tail;
        if !is_name(name) {
            wrong.push(format!(
                "`${{{name}}}` does not name an environment variable; write `$${{` for the two characters themselves"
            ));
            continue;
        }
        match env(name) {
            Some(value) => out.push_str(&value),
            None => wrong.push(format!("the environment variable {name} is not set")),
        }
        variables.push(name.to_owned());
    }
    out.push_str(rest);
    if wrong.is_empty() {
        Ok(Expanded { text: out, variables })
    } else {
        Err(wrong)
    }
}

/// As POSIX has it: letters, digits and `_`, not a digit first.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "HOST").then(|| "h${NOT_READ}".to_owned())
    }

    #[test]
    fn variables_are_filled_in_once_and_an_escape_stays_text() {
        let expanded = expand("a ${HOST} $${HOST} $x {y} $", &env).unwrap();
        assert_eq!(expanded.text, "a h${NOT_READ} ${HOST} $x {y} $");
        assert_eq!(expanded.variables, ["HOST"]);
    }

    #[test]
    fn every_problem_is_told() {
        assert_eq!(
            expand("${A}${HOST}${1b}${B", &env).unwrap_err(),
            [
                "the environment variable A is not set",
                "`${1b}` does not name an environment variable; write `$${` for the two characters themselves",
                "`${` has no `}`; write `$${` for the two characters themselves",
            ]
        );
    }
}
