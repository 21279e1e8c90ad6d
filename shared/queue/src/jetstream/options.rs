//! A [`NatsAddress`] as the client wants it.

use std::path::Path;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use tideline_core::words::{NatsAddress, NatsLogin};

use crate::QueueError;

/// Names the setting. `text` must not hold what the user wrote before an `@`.
pub(super) fn refuse(text: impl std::fmt::Display) -> QueueError {
    QueueError::Config(format!("queue: {text}"))
}

/// The servers to connect to.
pub(super) fn servers(address: &NatsAddress) -> Result<Vec<ServerAddr>, QueueError> {
    let servers = address.servers.iter().cloned().map(ServerAddr::from_url);
    servers
        .collect::<Result<_, _>>()
        .map_err(|_| refuse("a server in the URL cannot be read; expected host or host:port"))
}

/// What the client needs. Reads the files.
pub(super) async fn connect_options(address: &NatsAddress) -> Result<ConnectOptions, QueueError> {
    let mut options = ConnectOptions::new()
        .name("tideline")
        .no_echo()
        .require_tls(address.require_tls)
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(Duration::from_secs(3)))
        .ping_interval(Duration::from_secs(4))
        .reconnect_delay_callback(|attempts| {
            let step = u32::try_from(attempts.min(6)).unwrap_or(6);
            Duration::from_millis(if attempts <= 1 { 0 } else { 25 << step })
        });
    options = match &address.login {
        NatsLogin::None => options,
        NatsLogin::Password { user, password } => options.user_and_password(user.clone(), password.reveal().to_owned()),
        NatsLogin::Token(token) => options.token(token.reveal().to_owned()),
        NatsLogin::CredentialsFile(path) => {
            let text = read("creds", path).await?;
            options
                .credentials(&text)
                .map_err(|_| refuse(format_args!("{} is not a credentials file", path.display())))?
        }
        NatsLogin::SeedFile(path) => {
            let seed = read("nkey", path).await?;
            options.nkey(seed.trim().to_owned())
        }
    };
    if let Some(path) = &address.ca {
        read("ca", path).await?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &address.client_certificate {
        read("cert", certificate).await?;
        read("key", key).await?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

async fn read(option: &str, path: &Path) -> Result<String, QueueError> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| refuse(format_args!("option {option}: cannot read {}: {error}", path.display())))
}
