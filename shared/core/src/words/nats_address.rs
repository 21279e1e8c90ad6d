//! The setting `queue` taken apart: `nats://[user:password@|token@]host[:port][,host[:port]…][?option=value&…]`, or
//! `tls://` to demand TLS. Options: `creds` (a credentials file), `nkey` (a file with an nkey seed), `ca` (a PEM file
//! with root certificates), `cert` and `key` (PEM files of a client certificate), `prefix` (of subjects and streams,
//! default `tideline`), `replicas` (1 to 5, default 1), `max_bytes` (of the stream, default 64 MiB).

use std::path::PathBuf;

use url::Url;

use super::Secret;

/// Where NATS is, who we are there, and what our stream is like.
#[derive(Clone, Debug)]
pub struct NatsAddress {
    /// Without credentials.
    pub servers: Vec<Url>,
    /// How we log in.
    pub login: NatsLogin,
    /// Whether a server without TLS is refused.
    pub require_tls: bool,
    /// A PEM file with root certificates.
    pub ca: Option<PathBuf>,
    /// PEM files of a client certificate and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Of all subjects and streams.
    pub prefix: String,
    /// Of the stream, 1 to 5.
    pub replicas: usize,
    /// Disk that the stream may take, in bytes.
    pub max_bytes: i64,
}

/// How a client logs in to NATS.
#[derive(Clone, Debug)]
pub enum NatsLogin {
    /// Without credentials.
    None,
    /// With a user name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// With a token.
    Token(Secret),
    /// With a credentials file (JWT and nkey seed).
    CredentialsFile(PathBuf),
    /// With a file that holds an nkey seed.
    SeedFile(PathBuf),
}

/// What is wrong with the setting `queue`. Never shows a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NatsAddressError(String);

/// Names the setting. `text` must not hold what the user wrote before an `@`.
fn refuse(text: impl std::fmt::Display) -> NatsAddressError {
    NatsAddressError(format!("queue: {text}"))
}

impl NatsAddress {
    /// Disk that the stream may take, unless said otherwise, in bytes.
    pub const DEFAULT_MAX_BYTES: i64 = 64 * 1024 * 1024;

    /// Reads the setting `queue`. Error texts never hold a password.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(setting: &str) -> Result<Self, NatsAddressError> {
        let (scheme, rest) = setting
            .split_once("://")
            .ok_or_else(|| refuse("expected in-process, nats://host:port or tls://host:port"))?;
        if !matches!(scheme, "nats" | "tls") {
            return Err(refuse("the URL must start with nats:// or tls://"));
        }
        let (hosts, options) = rest.split_once('?').unwrap_or((rest, ""));
        let mut address = Self {
            servers: Vec::new(),
            login: NatsLogin::None,
            require_tls: scheme == "tls",
            ca: None,
            client_certificate: None,
            prefix: "tideline".into(),
            replicas: 1,
            max_bytes: Self::DEFAULT_MAX_BYTES,
        };
        // A password may not hold `,` or `/` unless it is percent-encoded, as in any URL.
        for host in hosts.trim_end_matches('/').split(',') {
            address.add_server(scheme, host)?;
        }
        address.read_options(options)?;
        Ok(address)
    }

    fn add_server(&mut self, scheme: &str, host: &str) -> Result<(), NatsAddressError> {
        let wrong = || refuse("a server in the URL cannot be read; expected host or host:port");
        let url: Url = format!("{scheme}://{host}").parse().map_err(|_| wrong())?;
        let name = url.host_str().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(refuse(
                "the URL must not have a path; options after the servers start with ?",
            ));
        }
        let decode = |text: &str| {
            url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
                .next()
                .map_or_else(String::new, |(key, _)| key.into_owned())
        };
        match (url.username(), url.password()) {
            ("", None) => {}
            (token, None) => self.login = NatsLogin::Token(Secret::new(decode(&token.replace('=', "%3D")))),
            (user, Some(password)) => {
                self.login = NatsLogin::Password {
                    user: decode(user),
                    password: Secret::new(decode(&password.replace('=', "%3D"))),
                };
            }
        }
        let plain = format!("{scheme}://{name}:{}", url.port().unwrap_or(4222));
        self.servers.push(plain.parse().map_err(|_| wrong())?);
        Ok(())
    }

    fn read_options(&mut self, options: &str) -> Result<(), NatsAddressError> {
        let (mut certificate, mut key) = (None, None);
        for (name, value) in url::form_urlencoded::parse(options.as_bytes()) {
            let value = value.into_owned();
            match name.as_ref() {
                "creds" => self.login = NatsLogin::CredentialsFile(value.into()),
                "nkey" => self.login = NatsLogin::SeedFile(value.into()),
                "ca" => self.ca = Some(value.into()),
                "cert" => certificate = Some(PathBuf::from(value)),
                "key" => key = Some(PathBuf::from(value)),
                "prefix" => self.prefix = check_prefix(value)?,
                "replicas" => self.replicas = in_range("replicas", &value, 1, 5)?,
                "max_bytes" => self.max_bytes = in_range("max_bytes", &value, 1024 * 1024, i64::MAX)?,
                other => {
                    return Err(refuse(format_args!(
                        "option {other:?} is unknown; expected one of creds, nkey, ca, cert, key, prefix, replicas, \
                         max_bytes"
                    )));
                }
            }
        }
        self.client_certificate = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(refuse("options cert and key must be set together")),
        };
        Ok(())
    }
}

fn check_prefix(prefix: String) -> Result<String, NatsAddressError> {
    let fine = (1..=32).contains(&prefix.len())
        && prefix
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    fine.then_some(prefix)
        .ok_or_else(|| refuse("option prefix must be 1 to 32 of a-z, 0-9, - and _"))
}

fn in_range<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    option: &str,
    value: &str,
    least: T,
    most: T,
) -> Result<T, NatsAddressError> {
    value
        .parse()
        .ok()
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| refuse(format_args!("option {option} must be a number from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_everything_is_taken_apart() {
        let address =
            NatsAddress::parse("tls://ann:p%40ss%3D+1@one:4333,two?prefix=t2&replicas=3&ca=/ca.pem&max_bytes=2097152")
                .unwrap();
        let servers: Vec<_> = address
            .servers
            .iter()
            .map(|server| (server.host_str().unwrap().to_owned(), server.port().unwrap()))
            .collect();
        assert_eq!(servers, [("one".to_owned(), 4333), ("two".to_owned(), 4222)]);
        assert!(address.require_tls);
        assert_eq!((address.prefix.as_str(), address.replicas), ("t2", 3));
        let NatsLogin::Password { user, password } = &address.login else {
            panic!("no password")
        };
        assert_eq!((user.as_str(), password.reveal()), ("ann", "p@ss=+1"));
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let address = NatsAddress::parse("nats://s3cr3t%3D@host").unwrap();
        assert!(matches!(address.login, NatsLogin::Token(token) if token.reveal() == "s3cr3t="));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for wrong in [
            "nats://u:hunter2@",
            "nats://u:hunter2@host:port",
            "nats://u:hunter2@host/path",
            "http://u:hunter2@host",
            "nats:u:hunter2@host",
            "nats://u:hunter2@host?colour=red",
            "nats://u:hunter2@host?replicas=9",
            "nats://u:hunter2@host?prefix=A.b",
            "nats://u:hunter2@host?cert=/c",
        ] {
            let text = NatsAddress::parse(wrong).unwrap_err().to_string();
            assert!(text.starts_with("queue: "), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn nothing_about_an_address_prints_the_password() {
        let address = NatsAddress::parse("nats://u:hunter2@host").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}
