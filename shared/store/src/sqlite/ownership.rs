use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::writer::FileIdentity;
use crate::StoreError;

/// The right to run roles on a database file: a locked file beside it, and one for the file whatever its name. The
/// locks end with the process, however it ends; the file's content only serves the message to the next process.
#[derive(Debug)]
pub(super) struct Ownership {
    _file: File,
    /// Held, not read.
    inode_lock: Option<File>,
}

impl Ownership {
    /// Takes it for this process. `command` is shown to a second process that tries, also through a symbolic link.
    pub(super) fn take(database: &Path, command: &str) -> Result<Self, StoreError> {
        let path = lock_path(&std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()));
        let unusable = |error: std::io::Error| {
            StoreError::Config(format!(
                "cannot use the lock file {}: {error}; check the permissions of its folder",
                path.display()
            ))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = Read::by_ref(&mut file).take(500).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder };
                return Err(StoreError::Config(format!(
                    "{} is in use by {holder}; stop that process or use another store for this one",
                    database.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        file.set_len(0).map_err(unusable)?;
        file.write_all(format!("process {} ({command})\n", std::process::id()).as_bytes())
            .map_err(unusable)?;
        Ok(Self {
            _file: file,
            inode_lock: None,
        })
    }

    /// Also guards against a process that opens the file through a hard link, as far as possible: the lock is in the
    /// folder for temporary files. (Not on the file itself: SQLite's own locks would go with it when it is closed.)
    pub(super) fn extend_to(&mut self, file: FileIdentity, database: &Path) -> Result<(), StoreError> {
        let name = format!("tideline-{:x}-{:x}.lock", file.device, file.inode);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(std::env::temp_dir().join(name));
        // Another user's leftover, or no such folder.
        let Ok(lock) = lock else { return Ok(()) };
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(StoreError::Config(format!(
                "{} is in use by another process under another name (a hard link); stop that process or use another \
                 store for this one",
                database.display()
            )));
        }
        self.inode_lock = Some(lock);
        Ok(())
    }
}

/// `tideline.db` → `tideline.db.lock`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
