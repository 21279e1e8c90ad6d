//! Names that Backstage takes, made of addresses that it does not: `[A-Za-z0-9]` with single `-`, `_` or `.` between,
//! at most 63 characters. Source: Backstage, "Descriptor Format of Catalog Entities", `metadata.name`.

use sha2::{Digest, Sha256};

/// The longest name.
const MAX_NAME: usize = 63;
/// Hexadecimal digits that tell equal words apart: 48 bits.
const HASH_DIGITS: usize = 12;

/// The name of a workspace's entity: its own where that is a legal name, so that people find it.
pub(super) fn workspace_name(id: &str, name: &str) -> String {
    let legal = slug(name, MAX_NAME);
    if legal == name && !legal.is_empty() {
        legal
    } else {
        hashed(name, &[id])
    }
}

/// The name of a resource's entity. It stays when its workspace is renamed, and is another one in another workspace.
pub(super) fn resource_name(workspace_id: &str, resource: &str, address: &str) -> String {
    hashed(resource, &[workspace_id, address])
}

/// Words for people, and a hash of what makes it unique.
fn hashed(words: &str, parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut hash = hex::encode(hasher.finalize());
    hash.truncate(HASH_DIGITS);
    let words = slug(words, MAX_NAME - HASH_DIGITS - 1);
    if words.is_empty() {
        hash
    } else {
        format!("{words}-{hash}")
    }
}

/// The text as part of a name, at most `most` characters. Empty if no character is left.
pub(super) fn slug(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let mut pending = None;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if let Some(separator) = pending.take().filter(|_| !out.is_empty()) {
                out.push(separator);
            }
            out.push(c.to_ascii_lowercase());
        } else if pending.is_none() {
            pending = Some(if matches!(c, '_' | '.') { c } else { '-' });
        }
        if out.len() >= most {
            break;
        }
    }
    out.truncate(most);
    out.truncate(out.trim_end_matches(['-', '_', '.']).len());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_legal(name: &str) -> bool {
        let separator = |c: u8| matches!(c, b'-' | b'_' | b'.');
        !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || separator(c))
            && !name.starts_with(['-', '_', '.'])
            && !name.ends_with(['-', '_', '.'])
            && !name
                .as_bytes()
                .windows(2)
                .any(|two| separator(two[0]) && separator(two[1]))
    }

    #[test]
    fn a_workspace_keeps_its_name_and_a_resource_shows_what_it_is() {
        assert_eq!(workspace_name("ws-1", "prod-net"), "prod-net");
        assert_ne!(workspace_name("ws-1", "Prod"), workspace_name("ws-2", "Prod"));
        let one = resource_name("ws-1", "aws_vpc.main", "module.net[\"a\"].aws_vpc.main");
        assert!(one.starts_with("aws_vpc.main-"), "{one}");
        assert_eq!(
            one,
            resource_name("ws-1", "aws_vpc.main", "module.net[\"a\"].aws_vpc.main")
        );
        assert_ne!(
            one,
            resource_name("ws-2", "aws_vpc.main", "module.net[\"a\"].aws_vpc.main")
        );
    }

    proptest! {
        #[test]
        fn every_name_is_legal(id in ".{0,20}", text in ".{0,120}", address in ".{0,200}") {
            let (workspace, resource) = (workspace_name(&id, &text), resource_name(&id, &text, &address));
            prop_assert!(is_legal(&workspace), "{}", workspace);
            prop_assert!(is_legal(&resource), "{}", resource);
        }
    }
}
