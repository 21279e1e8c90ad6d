//! The annotation `bcgov/microcks-config-ref` of an API entity: where its `microcks.yaml` is.

use url::Url;

/// The file that the annotation's folder must have.
const FILE: &str = "microcks.yaml";

/// Where a `microcks.yaml` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigReference {
    /// `dir:`: relative to the file that the entity was read from, without `..`.
    Relative(String),
    /// `url:`.
    Absolute(Url),
}

/// What is wrong with the annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{problem}; use dir:<folder beside the entity's file> or url:<http(s) address of a folder>; the folder must \
     contain microcks.yaml"
)]
pub(super) struct AnnotationError {
    problem: String,
}

impl ConfigReference {
    /// Reads the annotation's value.
    ///
    /// # Errors
    /// Neither of the two forms, or a folder outside of the entity's own.
    pub(super) fn parse(value: &str) -> Result<Self, AnnotationError> {
        let wrong = |problem: String| AnnotationError { problem };
        if let Some(folder) = value.strip_prefix("dir:") {
            return relative(folder.trim()).map_err(wrong);
        }
        if let Some(url) = value.strip_prefix("url:") {
            return absolute(url.trim()).map_err(wrong);
        }
        let shown: String = value.chars().take(80).collect();
        Err(wrong(format!("{shown:?} starts with neither dir: nor url:")))
    }
}

fn relative(folder: &str) -> Result<ConfigReference, String> {
    if folder.is_empty() {
        return Err("dir: names no folder".to_owned());
    }
    if folder.starts_with('/') || folder.contains('\\') {
        return Err(format!("dir:{folder} is not relative"));
    }
    if folder.split('/').any(|part| part == "..") {
        return Err(format!("dir:{folder} leads out of the entity's own folder"));
    }
    let parts = folder.split('/').filter(|part| !part.is_empty() && *part != ".");
    let path: Vec<&str> = parts.chain([FILE]).collect();
    Ok(ConfigReference::Relative(path.join("/")))
}

fn absolute(text: &str) -> Result<ConfigReference, String> {
    let mut url = Url::parse(text).map_err(|error| format!("url: is not an address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url: starts with {}:, not with http: or https:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: contains a user name or password, which every reader of the catalog would see".to_owned());
    }
    url.path_segments_mut()
        .map_err(|()| "url: has no path".to_owned())?
        .pop_if_empty()
        .push(FILE);
    Ok(ConfigReference::Absolute(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_lead_to_the_file() {
        let relative = |path: &str| Ok(ConfigReference::Relative(path.to_owned()));
        assert_eq!(ConfigReference::parse("dir:mocks"), relative("mocks/microcks.yaml"));
        assert_eq!(
            ConfigReference::parse("dir:./mocks/pet/"),
            relative("mocks/pet/microcks.yaml")
        );
        assert_eq!(ConfigReference::parse("dir:."), relative("microcks.yaml"));
        for (value, file) in [
            (
                "url:https://git.example/acme/mocks",
                "https://git.example/acme/mocks/microcks.yaml",
            ),
            (
                "url:https://git.example/acme/mocks/?ref=main",
                "https://git.example/acme/mocks/microcks.yaml?ref=main",
            ),
        ] {
            let parsed = ConfigReference::parse(value);
            assert_eq!(parsed, Ok(ConfigReference::Absolute(file.parse().unwrap())), "{value}");
        }
    }

    #[test]
    fn every_other_form_is_told_what_the_accepted_ones_are() {
        for wrong in [
            "./microcks.yaml",
            "dir:",
            "dir:/etc",
            "dir:..",
            "dir:a/../../b",
            "dir:a\\b",
            "url:ftp://host/x",
            "url:nonsense",
            "url:https://me:secret@host/x",
        ] {
            let text = ConfigReference::parse(wrong).unwrap_err().to_string();
            assert!(text.contains("dir:<") && text.contains("url:<"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
