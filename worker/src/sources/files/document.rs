//! Reads a document in the source's folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::read_file;
use crate::source::{Document, ErrorClass, SourceError};

/// The document at a path relative to the folder. Links that lead out of it are not followed.
pub(super) fn read(folder: &Path, path: &Path, max_bytes: u64) -> Result<Document, SourceError> {
    let transient = |text: String| SourceError::new(ErrorClass::Transient { retry_after: None }, text);
    // A missing folder says nothing about its files.
    let root = folder
        .canonicalize()
        .map_err(|error| transient(format!("{} cannot be read: {error}", folder.display())))?;
    let place: PathBuf = match root.join(path).canonicalize() {
        Ok(place) => place,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Document::Missing);
        }
        Err(error) => return Err(transient(format!("{} cannot be read: {error}", path.display()))),
    };
    if !place.starts_with(&root) {
        return Ok(Document::Elsewhere);
    }
    let bytes = read_file(&place, max_bytes).map_err(|why| transient(format!("{} {why}", path.display())))?;
    if bytes.len() as u64 > max_bytes {
        return Ok(Document::TooLong);
    }
    Ok(Document::Found(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_from_the_folder_and_never_from_outside_of_it() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("catalog");
        std::fs::create_dir_all(folder.join("mocks")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(folder.join("mocks/a.yaml"), "a").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), folder.join("link")).unwrap();
        let read = |path: &str| read(&folder, Path::new(path), 10).unwrap();
        assert_eq!(read("mocks/a.yaml"), Document::Found(b"a".to_vec()));
        assert_eq!(read("mocks/b.yaml"), Document::Missing);
        for outside in ["../secret", "link", "/etc/passwd"] {
            assert_eq!(read(outside), Document::Elsewhere, "{outside}");
        }
    }

    #[test]
    fn a_folder_that_is_away_says_nothing_of_its_files() {
        let error = read(Path::new("/nowhere/at/all"), Path::new("a"), 10).unwrap_err();
        assert!(matches!(error.class, ErrorClass::Transient { .. }));
    }
}
