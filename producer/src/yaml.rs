//! JSON as the YAML that people write. (JSON is YAML already: YAML 1.2, section 1.3.)

use std::fmt::Write as _;

use saphyr::{LoadableYamlNode as _, Yaml, YamlEmitter};

/// Why a text cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It is not JSON.
    #[error("the text is not JSON")]
    Read(#[from] saphyr::ScanError),
    /// It cannot be written.
    #[error("the document cannot be written")]
    Write(#[from] saphyr::EmitError),
    /// It cannot be written.
    #[error("the text cannot be written")]
    Format(#[from] std::fmt::Error),
}

/// A body as a YAML document, without the line break at its end.
///
/// # Errors
/// It is not JSON.
pub fn document(json: &str) -> Result<String, YamlError> {
    let mut text = String::new();
    for document in Yaml::load_from_str(json)? {
        YamlEmitter::new(&mut text).dump(&document)?;
        writeln!(text)?;
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_from_its_yaml_as_it_was() {
        let body = r#"{"kind":"Component","metadata":{"name":"web","on":"yes","version":"1.10"},"spec":{"n":1,"tags":["a","b"]}}"#;
        let text = document(body).unwrap();
        assert!(text.starts_with("---\nkind: Component\n"), "{text}");
        assert_eq!(Yaml::load_from_str(&text).unwrap(), Yaml::load_from_str(body).unwrap());
    }
}
