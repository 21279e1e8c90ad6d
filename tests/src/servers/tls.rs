//! Certificates of our own, for servers that speak TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, chown};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::{Postgres, Restart};

/// A certificate authority. The files go when this is dropped.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as files of PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Authority {
    /// Creates a new one, which no client trusts yet.
    ///
    /// # Errors
    /// No key can be made, or the files cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = tempfile::Builder::new().prefix("tideline-tls-").tempdir()?;
        // A server that is another user reads its certificate here.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let authority = Self { folder, issuer };
        fs::write(authority.root(), authority.issuer.pem())?;
        Ok(authority)
    }

    /// The file that clients that trust this authority refer to.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Signs a certificate of a server or a client with this host name.
    ///
    /// # Errors
    /// The name is none, or the files cannot be written.
    pub fn issue(&self, host: &str) -> Result<Identity> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let path = |ending: &str| self.folder.path().join(format!("{host}.{ending}"));
        let identity = Identity {
            certificate: path("pem"),
            key: path("key"),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        fs::set_permissions(&identity.key, Permissions::from_mode(0o600))?;
        Ok(identity)
    }
}

/// Restarts a server so that it speaks TLS too, with this identity.
///
/// # Errors
/// The server refuses the files, or does not come back.
pub async fn serve_tls(postgres: &Postgres, identity: &Identity) -> Result<()> {
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    let data: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await?;
    // The server reads no key that belongs to somebody else.
    let owner = fs::metadata(Path::new(&data)).context("the data folder of Postgres")?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    chown(&identity.key, Some(user), Some(group)).context("giving the key to Postgres")?;
    for (setting, value) in [
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", identity.certificate.display().to_string()),
        ("ssl_key_file", identity.key.display().to_string()),
    ] {
        let statement = format!("ALTER SYSTEM SET {setting} = '{value}'");
        connection.execute(sqlx::AssertSqlSafe(statement)).await?;
    }
    connection.close().await?;
    postgres.restart(Restart::Fast).await
}
