//! Which files are on a page: a walk in sorted order that enters no folder that lies before the cursor.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::source::{ErrorClass, SourceError};

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Json,
    Lines,
}

/// A file to read.
#[derive(Debug)]
pub(super) struct Listed {
    /// Below the folder, with `/`.
    pub(super) name: String,
    /// Where to open it: inside the folder, links resolved.
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) bytes: u64,
    /// When it last changed, in milliseconds since the Unix epoch.
    pub(super) changed_ms: i64,
}

/// The files of one page.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<Listed>,
    /// More files follow.
    pub(super) more: bool,
    /// Over names, sizes and times of the files.
    pub(super) print: [u8; 32],
}

/// The files after `after`, at most `count`, together at most `bytes` (but at least one).
///
/// # Errors
/// The folder is not there or cannot be read whole: a part of it must not pass for all of it.
pub(super) fn list(folder: &Path, after: Option<&str>, count: usize, bytes: u64) -> Result<Listing, SourceError> {
    let root = folder.canonicalize().map_err(|error| unreadable(folder, &error))?;
    if !root.is_dir() {
        let text = format!("{} is not a folder", folder.display());
        return Err(SourceError::new(ErrorClass::Permanent, text));
    }
    let mut listing = Listing::default();
    let mut hasher = Sha256::new();
    let mut sum: u64 = 0;
    let walk = WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| is_wanted(&root, entry, after)) {
        let entry = entry.map_err(|error| match error.io_error() {
            // Taken away while walking: the next try sees a folder at rest.
            Some(cause) if cause.kind() == ErrorKind::NotFound => {
                let text = "the folder changed while it was listed".to_owned();
                SourceError::new(ErrorClass::Transient { retry_after: None }, text)
            }
            _ => SourceError::new(ErrorClass::Permanent, format!("the folder cannot be listed: {error}")),
        })?;
        let Some(file) = listed(&root, &entry) else {
            continue;
        };
        if !listing.files.is_empty() && (listing.files.len() >= count || sum.saturating_add(file.bytes) > bytes) {
            listing.more = true;
            break;
        }
        sum = sum.saturating_add(file.bytes);
        hasher.update(format!("{}\n{}\n{}\n", file.name, file.bytes, file.changed_ms).as_bytes());
        listing.files.push(file);
    }
    hasher.update([u8::from(listing.more)]);
    listing.print = hasher.finalize().into();
    Ok(listing)
}

fn unreadable(folder: &Path, error: &std::io::Error) -> SourceError {
    let class = match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => ErrorClass::Permanent,
        _ => ErrorClass::Transient { retry_after: None },
    };
    SourceError::new(
        class,
        format!("the folder {} cannot be read: {error}", folder.display()),
    )
}

/// Hidden names are left out, as are files up to the cursor and folders that lie before it.
fn is_wanted(root: &Path, entry: &DirEntry, after: Option<&str>) -> bool {
    if entry.file_name().as_encoded_bytes().starts_with(b".") {
        return false;
    }
    let (Some(after), Ok(relative)) = (after, entry.path().strip_prefix(root)) else {
        return true;
    };
    let after = Path::new(after);
    match compare(relative, after) {
        Ordering::Greater => true,
        Ordering::Equal => false,
        Ordering::Less => entry.file_type().is_dir() && after.starts_with(relative),
    }
}

/// The order of the walk: component by component, by bytes.
fn compare(a: &Path, b: &Path) -> Ordering {
    let names = |path: &Path| -> Vec<Vec<u8>> {
        path.components()
            .map(|component| match component {
                Component::Normal(name) => name.as_encoded_bytes().to_vec(),
                other => other.as_os_str().as_encoded_bytes().to_vec(),
            })
            .collect()
    };
    names(a).cmp(&names(b))
}

fn listed(root: &Path, entry: &DirEntry) -> Option<Listed> {
    let format = format_of(entry.path().extension()?)?;
    let relative = entry.path().strip_prefix(root).ok()?;
    let Some(name) = relative.to_str() else {
        tracing::warn!(file = %relative.display(), "a file whose name is not UTF-8 is left out");
        return None;
    };
    let path = if entry.path_is_symlink() {
        let target = entry.path().canonicalize().ok()?;
        if !target.starts_with(root) {
            tracing::warn!(file = name, "a link that leads out of the folder is left out");
            return None;
        }
        target
    } else {
        entry.path().to_owned()
    };
    let metadata = std::fs::metadata(&path).ok().filter(Metadata::is_file)?;
    Some(Listed {
        name: name.replace(std::path::MAIN_SEPARATOR, "/"),
        path,
        format,
        bytes: metadata.len(),
        changed_ms: changed_ms(&metadata),
    })
}

fn format_of(extension: &OsStr) -> Option<Format> {
    match extension.to_str()?.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Lines),
        _ => None,
    }
}

/// The later of the times of content and inode: a file that was put back with its old time has a new inode time.
fn changed_ms(metadata: &Metadata) -> i64 {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let inode = metadata
            .ctime()
            .saturating_mul(1000)
            .saturating_add(metadata.ctime_nsec() / 1_000_000);
        modified.max(inode)
    }
    #[cfg(not(unix))]
    modified
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, after: Option<&str>, count: usize) -> (Vec<String>, bool) {
        let listing = list(folder, after, count, u64::MAX).unwrap();
        (listing.files.into_iter().map(|file| file.name).collect(), listing.more)
    }

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "a: 1\n").unwrap();
        }
        folder
    }

    #[test]
    fn pages_together_list_every_file_once_in_order() {
        let files = [
            "a.yaml",
            "a/b.json",
            "a/c/d.yml",
            "a-b.ndjson",
            "b.txt",
            "z/y.yaml",
            ".git/x.yaml",
            "z/.x.yaml",
        ];
        let folder = folder_with(&files);
        let (all, more) = names(folder.path(), None, 100);
        assert_eq!(all, ["a/b.json", "a/c/d.yml", "a-b.ndjson", "a.yaml", "z/y.yaml"]);
        assert!(!more);
        for size in 1..=5 {
            let (mut paged, mut after) = (Vec::new(), None::<String>);
            loop {
                let (page, more) = names(folder.path(), after.as_deref(), size);
                after = page.last().cloned();
                paged.extend(page);
                if !more {
                    break;
                }
            }
            assert_eq!(paged, all, "pages of {size}");
        }
    }

    #[test]
    fn a_page_ends_early_when_its_files_are_large() {
        let folder = folder_with(&["a.yaml", "b.yaml", "c.yaml"]);
        let listing = list(folder.path(), None, 100, 10).unwrap();
        assert_eq!((listing.files.len(), listing.more), (2, true));
        let listing = list(folder.path(), None, 100, 1).unwrap();
        assert_eq!((listing.files.len(), listing.more), (1, true));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_out_of_the_folder() {
        let outside = folder_with(&["secret.yaml", "sub/deep.yaml"]);
        let folder = folder_with(&["in.yaml"]);
        let link = |from: PathBuf, to: &str| std::os::unix::fs::symlink(from, folder.path().join(to)).unwrap();
        link(outside.path().join("secret.yaml"), "out.yaml");
        link(outside.path().join("sub"), "sub");
        link(folder.path().join("in.yaml"), "same.yaml");
        link(PathBuf::from("nowhere"), "broken.yaml");
        assert_eq!(names(folder.path(), None, 100).0, ["in.yaml", "same.yaml"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let error = list(&folder.path().join("gone"), None, 10, 10).unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
    }
}
