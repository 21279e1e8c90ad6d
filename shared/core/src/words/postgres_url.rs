//! The URL of a Postgres store, as far as it can be checked without a connection.

use url::Url;

/// What is wrong with the URL of a Postgres store. Never shows a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PostgresUrlError(String);

impl PostgresUrlError {
    /// The URL cannot be read.
    #[must_use]
    pub fn unreadable(why: &str) -> Self {
        Self(format!(
            "store: the URL cannot be read ({why}); write postgres://user:password@host:5432/database?sslmode=…, with \
             special characters of the password percent-encoded"
        ))
    }
}

/// Reads the URL of a Postgres store. The driver ignores parameters it does not know, so that `sslmod=require` would
/// connect without TLS.
///
/// # Errors
/// Says what is wrong, and shows nothing that may be a part of a password.
pub fn parse_postgres_url(url: &str) -> Result<Url, PostgresUrlError> {
    let parsed = Url::parse(url).map_err(|error| PostgresUrlError::unreadable(&error.to_string()))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(PostgresUrlError::unreadable("the scheme is not postgres"));
    }
    let Some((name, _)) = parsed.query_pairs().find(|(name, _)| !is_parameter(name)) else {
        return Ok(parsed);
    };
    // An `@` this late belongs to a password with a `?` in it, and then the name is a part of the password.
    if parsed.query().is_some_and(|query| query.contains('@')) {
        return Err(PostgresUrlError::unreadable("a parameter is not known"));
    }
    Err(PostgresUrlError(format!(
        "store: parameter {:?} of the URL is not known; there are {}",
        name.chars().take(80).collect::<String>(),
        PARAMETERS.join(", ")
    )))
}

fn is_parameter(name: &str) -> bool {
    let sets_option = name.starts_with("options[") && name.ends_with(']');
    sets_option || PARAMETERS.contains(&name) || POSTGRES_TLS_FILES.contains(&name) || name == "ssl-mode"
}

/// Parameters that the driver knows, without their other names (`parse.rs` of sqlx-postgres 0.9).
const PARAMETERS: [&str; 14] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "options[…]",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Parameters of the URL whose value is the name of a file, or PEM itself.
pub const POSTGRES_TLS_FILES: [&str; 7] = [
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_parameter_is_refused_and_not_ignored() {
        let error = parse_postgres_url("postgres://me:hush@db/x?sslmod=require").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("\"sslmod\"") && text.contains(" sslmode,"), "{text}");
        for unknown in [
            "Sslmode=require",
            "connect_timeout=5",
            "options[x=1",
            "sslmode=require&tls",
        ] {
            assert!(
                parse_postgres_url(&format!("postgres://db/x?{unknown}")).is_err(),
                "{unknown}"
            );
        }
    }

    #[test]
    fn every_parameter_of_the_driver_is_known() {
        let known = "sslmode=require&ssl-mode=require&sslrootcert=a&ssl-root-cert=a&ssl-ca=a&sslcert=a&ssl-cert=a&sslkey=a&\
                     ssl-key=a&statement-cache-capacity=0&host=a&hostaddr=127.0.0.1&port=1&dbname=a&user=a&password=a&\
                     application_name=a&options=-c&options[search_path]=a";
        parse_postgres_url(&format!("postgresql://db/x?{known}")).unwrap();
    }

    #[test]
    fn no_part_of_a_password_is_shown_as_a_parameter() {
        let text = parse_postgres_url("postgres://me:12?hush=x@db/x")
            .unwrap_err()
            .to_string();
        assert!(!text.contains("hush"), "{text}");
    }
}
