//! Whether a name is that of a secret: `db_password`, `primaryConnectionString`, `STORAGE-KEY`. Names are compared by
//! their words, so that no spelling makes a difference.
//!
//! What a name refers to, or is about, is not a secret, however close its name is to that of one: `key_name`, `key_id`,
//! `kms_key_arn`, `public_key`, `auth_type`, `author`, `pinned`.

/// A name is that of a secret if its words, run together, contain one of these.
const PARTS: [&str; 37] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "authorization",
    "connectionstring",
    "connstr",
    "kubeconfig",
    "keystore",
    "pkcs12",
    "webhookurl",
    "webhookuri",
    "databaseurl",
    "databaseuri",
    "dburl",
    "dburi",
    "dbpass",
    "authkey",
    "authheader",
    "apikey",
    "privatekey",
    "accesskey",
    "clientkey",
    "sshkey",
    "signingkey",
    "encryptionkey",
    "accountkey",
    "sharedkey",
    "primarykey",
    "secondarykey",
    "storagekey",
    "masterkey",
    "certificatekey",
    "keypem",
];

/// Or if one of its words is one of these.
const WORDS: [&str; 9] = ["pwd", "pw", "psk", "dsn", "otp", "pem", "pfx", "bearer", "creds"];

/// Or if its last word, except for a number, is one of these: `db_pass`, but not `pass_through`.
const LAST_WORDS: [&str; 3] = ["pass", "auth", "pin"];

/// Or if its last word ends with one of these (`rootpass`, `basicauth`) …
const ENDINGS: [&str; 2] = ["pass", "auth"];
/// … except for these.
const OTHER_WORDS: [&str; 8] = [
    "bypass",
    "compass",
    "encompass",
    "oauth",
    "overpass",
    "surpass",
    "trespass",
    "underpass",
];

/// Whether a name sounds like that of a secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    let words = words(name);
    let together = words.concat();
    let last = words
        .iter()
        .rev()
        .find(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    PARTS.iter().any(|part| together.contains(part))
        || words.iter().any(|word| WORDS.contains(&word.as_str()))
        || last.is_some_and(|word| LAST_WORDS.contains(&word.as_str()) || ends_like_a_secret(word))
}

fn ends_like_a_secret(word: &str) -> bool {
    ENDINGS.iter().any(|ending| word.ends_with(ending)) && !OTHER_WORDS.contains(&word)
}

/// The words of a name, in lower case: it is divided at signs, at digits, and where its case changes (`primaryKey`,
/// `SSHKey`).
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = Kind::Sign;
    let mut signs = name.chars().peekable();
    while let Some(c) = signs.next() {
        let kind = Kind::of(c);
        let next_is_lower = signs.peek().is_some_and(|next| Kind::of(*next) == Kind::Lower);
        let goes_on = match (before, kind) {
            (Kind::Upper, Kind::Lower) => true,
            (Kind::Upper, Kind::Upper) => !next_is_lower,
            (before, kind) => before == kind,
        };
        if !goes_on {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| kind != Kind::Sign) {
            word.extend(c.to_lowercase());
        }
        before = kind;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
    Sign,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            c if c.is_uppercase() => Self::Upper,
            c if c.is_alphabetic() => Self::Lower,
            c if c.is_numeric() => Self::Digit,
            _ => Self::Sign,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Names of secrets, as words.
    pub(in crate::sources) const SECRETS: [&str; 35] = [
        "db creds",
        "connection string",
        "primary connection string",
        "account key",
        "primary key",
        "client key",
        "ssh key",
        "signing key",
        "encryption key",
        "shared key",
        "storage key",
        "master key",
        "certificate key",
        "db pass",
        "root pw",
        "psk",
        "dsn",
        "database url",
        "bearer",
        "otp",
        "pem",
        "pfx",
        "keystore",
        "webhook url",
        "auth",
        "pin",
        "db password 2",
        "api key",
        "private key pem",
        "client secret",
        "kube config",
        "registry auth",
        "rootpass",
        "basicauth",
        "db rootpass 2",
    ];

    /// A name of these words in snake case, kebab case, camel case, Pascal case, capitals, with dots.
    pub(in crate::sources) fn spellings(name: &str) -> Vec<String> {
        let words: Vec<&str> = name.split(' ').collect();
        let title = |word: &str| format!("{}{}", word[..1].to_uppercase(), &word[1..]);
        let pascal: String = words.iter().map(|word| title(word)).collect();
        vec![
            words.join("_"),
            words.join("-"),
            words.join("."),
            words.join("_").to_uppercase(),
            format!("{}{}", pascal[..1].to_lowercase(), &pascal[1..]),
            pascal,
        ]
    }

    #[test]
    fn a_name_is_divided_at_signs_digits_and_changes_of_case() {
        for (name, expected) in [
            ("primaryConnectionString", "primary connection string"),
            ("SSHKey", "ssh key"),
            ("DB_PASS2", "db pass 2"),
            ("a.b-c/d", "a b c d"),
            ("--", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn a_secret_is_known_by_its_name_in_every_spelling() {
        for name in SECRETS {
            for spelling in spellings(name) {
                assert!(sounds_secret(&spelling), "{spelling}");
            }
        }
    }

    #[test]
    fn what_only_resembles_the_name_of_a_secret_is_none() {
        for name in [
            "key name",
            "key id",
            "key",
            "kms key arn",
            "kms key id",
            "public key",
            "hash key",
            "author",
            "authority",
            "auth type",
            "pinned",
            "pass through",
            "bypass",
            "compass",
            "url",
            "environment",
            "monkey",
            "spin",
            "oauth",
            "passport",
        ] {
            for spelling in spellings(name) {
                assert!(!sounds_secret(&spelling), "{spelling}");
            }
        }
    }
}
