//! The tokens that `tideline login` keeps: one per server, in a file of the user that others cannot read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tideline_core::words::Secret;

use crate::context::environment;
use crate::exit::{Code, Failure};

/// Tokens by server.
pub(crate) struct Credentials {
    path: PathBuf,
    kept: Kept,
}

#[derive(Default, Deserialize, Serialize)]
struct Kept {
    #[serde(default)]
    servers: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    token: String,
}

impl Credentials {
    /// Those of this user; none if nothing was kept yet.
    ///
    /// # Errors
    /// Others can read the file, or it is broken.
    pub(crate) fn load() -> anyhow::Result<Self> {
        Self::load_from(folder()?.join("credentials.json"))
    }

    fn load_from(path: PathBuf) -> anyhow::Result<Self> {
        let kept = match fs::read(&path) {
            Ok(text) => {
                refuse_if_others_read(&path)?;
                serde_json::from_slice(&text).map_err(|error| broken(&path, &error.to_string()))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(broken(&path, &error.to_string()).into()),
        };
        Ok(Self { path, kept })
    }

    /// The token of a server.
    pub(crate) fn token(&self, server: &str) -> Option<Secret> {
        let entry = self.kept.servers.get(server)?;
        Some(Secret::new(entry.token.clone()))
    }

    /// Keeps a token, in place of the server's one before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn keep(&mut self, server: &str, token: &Secret) -> anyhow::Result<()> {
        let token = token.reveal().to_owned();
        self.kept.servers.insert(server.to_owned(), Entry { token });
        self.write()
    }

    /// Forgets the token of a server; whether there was one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn forget(&mut self, server: &str) -> anyhow::Result<bool> {
        if self.kept.servers.remove(server).is_none() {
            return Ok(false);
        }
        self.write()?;
        Ok(true)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new file and renames it over the old one, so that no reader sees half of it.
    fn write(&self) -> anyhow::Result<()> {
        let say = || format!("write {}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(say)?;
        // Only its user can read a temporary file, and what replaces the old one keeps that.
        let written = (|| -> std::io::Result<()> {
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec_pretty(&self.kept)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        })();
        written.with_context(say)
    }
}

/// `$XDG_CONFIG_HOME/tideline`, or where the system keeps such things.
fn folder() -> anyhow::Result<PathBuf> {
    let folder_of = |name: &str| environment(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let base = folder_of("XDG_CONFIG_HOME")
        .or_else(|| folder_of("APPDATA"))
        .or_else(|| folder_of("HOME").map(|home| home.join(".config")));
    let missing = || {
        Failure::new(
            Code::Config,
            "no folder to store tokens in: set HOME or XDG_CONFIG_HOME, or use TIDELINE_TOKEN",
        )
    };
    Ok(base.ok_or_else(missing)?.join("tideline"))
}

fn broken(path: &Path, why: &str) -> Failure {
    let path = path.display();
    Failure::new(
        Code::Config,
        format!("{path} cannot be read ({why}); remove it and run `tideline login` again"),
    )
}

#[cfg(unix)]
fn refuse_if_others_read(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let text = format!(
        "other users can read the tokens in {path}: run `chmod 600 {path}`, and revoke the tokens if \
         necessary"
    );
    Err(Failure::new(Code::Config, text).into())
}

#[cfg(not(unix))]
fn refuse_if_others_read(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_kept_token_is_for_its_user_and_its_server_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tideline").join("credentials.json");
        let mut credentials = Credentials::load_from(path.clone()).unwrap();
        credentials.keep("https://a", &Secret::new("tdl_1_x")).unwrap();
        credentials.keep("https://b", &Secret::new("tdl_2_y")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut credentials = Credentials::load_from(path.clone()).unwrap();
        assert_eq!(credentials.token("https://b").unwrap().reveal(), "tdl_2_y");
        assert!(credentials.token("https://c").is_none());
        assert!(credentials.forget("https://b").unwrap() && !credentials.forget("https://b").unwrap());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let why = Credentials::load_from(path).err().unwrap().to_string();
        assert!(why.contains("chmod 600") && !why.contains("tdl_1"), "{why}");
    }
}
