//! Which files are on a page: a walk in sorted order that enters no folder that lies before the cursor.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use tideline_core::rules::glob_matches;
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
    /// Why the file cannot be examined, if so. It is still listed, since its entities would be swept otherwise.
    pub(super) unreadable: Option<String>,
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

/// The files after `after` whose names none of the patterns in `exclude` matches, at most `count`, together at most
/// `bytes` (but at least one).
///
/// # Errors
/// The folder is missing, cannot be read in full, or changed meanwhile: a part of it must not pass for the whole.
pub(super) fn list(
    folder: &Path,
    exclude: &[String],
    after: Option<&str>,
    (count, bytes): (usize, u64),
) -> Result<Listing, SourceError> {
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
            Some(cause) if cause.kind() == ErrorKind::NotFound => changed(),
            cause => {
                let class = cause.map_or(ErrorClass::Permanent, class_of);
                SourceError::new(class, format!("the folder cannot be listed: {error}"))
            }
        })?;
        let Some(file) = listed(&root, &entry)? else {
            continue;
        };
        if exclude.iter().any(|pattern| glob_matches(pattern, &file.name)) {
            continue;
        }
        if !listing.files.is_empty() && (listing.files.len() >= count || sum.saturating_add(file.bytes) > bytes) {
            listing.more = true;
            break;
        }
        sum = sum.saturating_add(file.bytes);
        hasher.update(format!("{}\n{}\n{}\n", file.name, file.bytes, file.changed_ms).as_bytes());
        hasher.update([u8::from(file.unreadable.is_some())]);
        listing.files.push(file);
    }
    hasher.update([u8::from(listing.more)]);
    listing.print = hasher.finalize().into();
    Ok(listing)
}

/// A file was removed during the walk: the next try sees a stable folder.
fn changed() -> SourceError {
    let text = "the folder changed while it was listed".to_owned();
    SourceError::new(ErrorClass::Transient { retry_after: None }, text)
}

fn unreadable(folder: &Path, error: &io::Error) -> SourceError {
    let text = format!("the folder {} cannot be read: {error}", folder.display());
    SourceError::new(class_of(error), text)
}

/// A network file system may respond later, while missing permissions need a person.
fn class_of(error: &io::Error) -> ErrorClass {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => ErrorClass::Permanent,
        _ => ErrorClass::Transient { retry_after: None },
    }
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

/// The file of an entry; none if the entry is not a file of the source.
fn listed(root: &Path, entry: &DirEntry) -> Result<Option<Listed>, SourceError> {
    let Some(format) = entry.path().extension().and_then(format_of) else {
        return Ok(None);
    };
    let Ok(relative) = entry.path().strip_prefix(root) else {
        return Ok(None);
    };
    let Some(name) = relative.to_str() else {
        tracing::warn!(file = %relative.display(), "skipping a file whose name is not UTF-8");
        return Ok(None);
    };
    let found = match locate(root, entry, name) {
        Ok(None) => return Ok(None),
        Ok(Some((path, metadata))) => Ok((path, metadata)),
        Err(error) if is_gone(&error) => return Err(changed()),
        Err(error) => Err(error),
    };
    let name = name.replace(std::path::MAIN_SEPARATOR, "/");
    Ok(Some(match found {
        Ok((path, metadata)) => Listed {
            name,
            path,
            format,
            bytes: metadata.len(),
            changed_ms: changed_ms(&metadata),
            unreadable: None,
        },
        Err(error) => Listed {
            name,
            path: entry.path().to_owned(),
            format,
            bytes: 0,
            changed_ms: 0,
            unreadable: Some(format!("cannot be looked at: {error}")),
        },
    }))
}

/// Where to open an entry's file; none if it is not a file, or a link that leads nowhere or out of the folder.
fn locate(root: &Path, entry: &DirEntry, name: &str) -> io::Result<Option<(PathBuf, Metadata)>> {
    if entry.file_type().is_dir() {
        return Ok(None);
    }
    let path = if entry.path_is_symlink() {
        let target = match entry.path().canonicalize() {
            Ok(target) => target,
            // The link is still there: what it points to is not.
            Err(error) if is_gone(&error) => return entry.path().symlink_metadata().map(|_| None),
            Err(error) => return Err(error),
        };
        if !target.starts_with(root) {
            tracing::warn!(file = name, "skipping a link that leads out of the folder");
            return Ok(None);
        }
        target
    } else {
        entry.path().to_owned()
    };
    let metadata = std::fs::metadata(&path)?;
    Ok(metadata.is_file().then_some((path, metadata)))
}

/// There is no such file, or a parent is not a folder.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
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
        let listing = list(folder, &[], after, (count, u64::MAX)).unwrap();
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
        let listing = list(folder.path(), &[], None, (100, 10)).unwrap();
        assert_eq!((listing.files.len(), listing.more), (2, true));
        let listing = list(folder.path(), &[], None, (100, 1)).unwrap();
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

    #[cfg(unix)]
    #[test]
    fn a_link_that_cannot_be_followed_is_listed_as_unreadable_and_not_left_out() {
        let folder = folder_with(&["a.yaml", "c.yaml"]);
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, folder.path().join(to)).unwrap();
        link("circle.yaml", "b.yaml");
        link("b.yaml", "circle.yaml");
        let listing = list(folder.path(), &[], None, (100, u64::MAX)).unwrap();
        let told: Vec<_> = listing
            .files
            .iter()
            .map(|file| (file.name.as_str(), file.unreadable.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("a.yaml", false),
                ("b.yaml", true),
                ("c.yaml", false),
                ("circle.yaml", true)
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn files_of_a_folder_that_may_not_be_entered_are_listed_as_unreadable_and_not_left_out() {
        use std::os::unix::fs::PermissionsExt;

        let folder = folder_with(&["closed/a.yaml", "open/b.yaml"]);
        let closed = folder.path().join("closed");
        let allow = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
        allow(0o400);
        let is_root = std::fs::metadata(closed.join("a.yaml")).is_ok();
        let listing = list(folder.path(), &[], None, (100, u64::MAX));
        allow(0o700);
        let files = listing.unwrap().files;
        assert_eq!(files.len(), 2);
        if is_root {
            println!("root may enter every folder: only the list's length was tested");
            return;
        }
        assert!(files[0].unreadable.is_some() && files[1].unreadable.is_none());
    }

    #[test]
    fn a_file_that_goes_while_it_is_listed_is_an_error_and_not_left_out() {
        let folder = folder_with(&["a.yaml"]);
        let root = folder.path().canonicalize().unwrap();
        let entry = WalkDir::new(&root).min_depth(1).into_iter().next().unwrap().unwrap();
        assert!(listed(&root, &entry).unwrap().is_some());
        std::fs::remove_file(root.join("a.yaml")).unwrap();
        let error = listed(&root, &entry).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient { retry_after: None });
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let error = list(&folder.path().join("gone"), &[], None, (10, 10)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
    }
}
