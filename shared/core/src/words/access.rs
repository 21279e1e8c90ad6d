use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the holder of an API token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Read,
    /// Read, and act on sources, jobs, deliveries and subscriptions.
    Operate,
    /// Write the entities of push sources, and nothing else.
    Push,
    /// Everything, tokens included.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Read, Self::Operate, Self::Push, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }

    /// Whether it includes the role `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operate => matches!(needed, Self::Operate | Self::Read),
            Self::Read | Self::Push => self == needed,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role must be read, operate, push or admin")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(RoleError)
    }
}

/// The kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// The holder of an API token.
    Token,
    /// A user or program of this machine: the command line, or a request to the loopback address where no token exists.
    Local,
    /// Tideline itself: a hook, a schedule.
    System,
    /// A person who signed in at an OpenID provider.
    Person,
}

/// The actor of an act, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Name of the token, of the local user, or of the person.
    pub name: String,
    /// Where the request came from, if it came over the network.
    pub address: Option<String>,
    /// The id of the request (`x-request-id`).
    pub request: Option<String>,
}

impl Actor {
    /// A user of this machine.
    #[must_use]
    pub fn local(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::Local,
            name: name.into(),
            address: None,
            request: None,
        }
    }

    /// A part of Tideline.
    #[must_use]
    pub fn system(name: impl Into<String>) -> Self {
        Self {
            kind: ActorKind::System,
            name: name.into(),
            address: None,
            request: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_allows_what_it_includes_and_nothing_else() {
        let allowed = |role: Role| {
            Role::ALL
                .into_iter()
                .filter(|needed| role.allows(*needed))
                .collect::<Vec<_>>()
        };
        assert_eq!(allowed(Role::Read), [Role::Read]);
        assert_eq!(allowed(Role::Operate), [Role::Read, Role::Operate]);
        assert_eq!(allowed(Role::Push), [Role::Push]);
        assert_eq!(allowed(Role::Admin), Role::ALL);
        assert_eq!("operate".parse(), Ok(Role::Operate));
        assert!("root".parse::<Role>().is_err());
    }
}
