//! Principals, and the roles that routes need.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use globset::{Glob, GlobSet, GlobSetBuilder};
use tideline_core::words::{Actor, Role};

use super::problem::{Code, Problem};

/// The client of a request: the authentication layer puts it into the request's extensions, and routes consult it.
#[derive(Clone, Debug)]
pub struct Principal {
    /// For the audit log.
    pub actor: Actor,
    /// What it may do.
    pub role: Role,
    /// The sources it may access.
    pub sources: SourceScope,
}

impl Principal {
    /// A user of this machine, who may do everything: the command line beside its own store.
    #[must_use]
    pub fn local(name: impl Into<String>) -> Self {
        Self {
            actor: Actor::local(name),
            role: Role::Admin,
            sources: SourceScope::All,
        }
    }

    /// The same principal in this request.
    #[must_use]
    pub fn in_request(mut self, address: Option<String>, request: Option<String>) -> Self {
        self.actor.address = address;
        self.actor.request = request;
        self
    }

    /// Whether it may see and act on the source of this name.
    #[must_use]
    pub fn covers(&self, source: &str) -> bool {
        self.sources.covers(source)
    }

    /// Refuses a request that needs another role.
    ///
    /// # Errors
    /// `forbidden`, which names the role that is needed.
    pub fn require(&self, needed: Role) -> Result<(), Problem> {
        if self.role.allows(needed) {
            return Ok(());
        }
        let detail = format!("this needs the role {needed}; the token has the role {}", self.role);
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// Refuses a request that concerns more than the sources of a limited token.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_all_sources(&self) -> Result<(), Problem> {
        match self.sources {
            SourceScope::All => Ok(()),
            SourceScope::Only { .. } => Err(Problem::new(
                Code::Forbidden,
                "the token is limited to certain sources, but this concerns the whole store",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal.ok_or_else(|| Problem::new(Code::Unauthenticated, "a bearer token is needed"))
    }
}

/// The sources a token may see and act on.
#[derive(Clone, Debug)]
pub enum SourceScope {
    /// All of them.
    All,
    /// Those whose name matches one of the globs.
    Only {
        /// As they were given.
        globs: Vec<String>,
        /// The same, compiled.
        compiled: GlobSet,
    },
}

impl SourceScope {
    /// From the globs of a token; none at all: every source.
    ///
    /// # Errors
    /// The invalid glob, and why.
    pub fn new(globs: &[String]) -> Result<Self, String> {
        if globs.is_empty() {
            return Ok(Self::All);
        }
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            builder.add(Glob::new(glob).map_err(|error| format!("`{glob}` is not a glob: {}", error.kind()))?);
        }
        let compiled = builder.build().map_err(|error| error.to_string())?;
        Ok(Self::Only {
            globs: globs.to_vec(),
            compiled,
        })
    }

    /// Whether the source of this name is among them.
    #[must_use]
    pub fn covers(&self, source: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only { compiled, .. } => compiled.is_match(source),
        }
    }
}

/// The role a route needs, as a type.
pub trait Needs: Send + Sync + 'static {
    /// The role.
    const ROLE: Role;
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Needs for $name {
            const ROLE: Role = Role::$name;
        }
    };
}

role!(
    /// For routes that read.
    Read
);
role!(
    /// For routes that act.
    Operate
);
role!(
    /// For routes that write entities.
    Push
);
role!(
    /// For routes that concern tokens and hooks.
    Admin
);

/// Maximum length of `Idempotency-Key`.
pub(super) const MAX_KEY: usize = 255;

/// Maximum length of `Tideline-Reason`, in characters.
pub(super) const MAX_REASON: usize = 500;

/// The principal of a request, which has the role `R`, with the options of its act. A handler that takes this is not
/// reached by requests without the role.
#[derive(Clone, Debug)]
pub struct By<R> {
    /// Who asks.
    pub principal: Principal,
    /// `Idempotency-Key`: the same act with the same key is done once.
    pub idempotency_key: Option<String>,
    /// `If-Match`: the act is done only if the record is as one of these ETags says.
    pub if_match: Option<Vec<String>>,
    /// `Tideline-Reason`: why, for the audit log. Percent-encoded UTF-8.
    pub reason: Option<String>,
    role: PhantomData<R>,
}

impl<R> By<R> {
    /// Refuses `If-Match` for an act whose record has no version.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn refuse_if_match(&self) -> Result<(), Problem> {
        match self.if_match {
            None => Ok(()),
            Some(_) => Err(Problem::new(
                Code::InvalidRequest,
                "this act does not accept If-Match: its record has no ETag",
            )),
        }
    }

    /// Finds a source that the principal may see.
    ///
    /// # Errors
    /// `unknown_source`, as for a source that does not exist.
    pub fn cover(&self, source: &str) -> Result<(), Problem> {
        if self.principal.covers(source) {
            Ok(())
        } else {
            Err(Problem::unknown_source(source, &[]))
        }
    }
}

impl<S: Sync, R: Needs> FromRequestParts<S> for By<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require(R::ROLE)?;
        let idempotency_key = header(parts, "idempotency-key")?;
        if let Some(key) = &idempotency_key
            && (key.is_empty() || key.len() > MAX_KEY)
        {
            let detail = format!("Idempotency-Key takes 1 to {MAX_KEY} characters");
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let if_match = header(parts, IF_MATCH.as_str())?.filter(|tag| tag != "*");
        let if_match = if_match.map(|tags| strong_tags(&tags)).transpose()?;
        Ok(Self {
            principal,
            idempotency_key,
            if_match,
            reason: reason(parts)?,
            role: PhantomData,
        })
    }
}

/// The tags of `If-Match`, without their quotes. Weak ones never match (RFC 9110 section 13.1.1). A single tag may come
/// without quotes.
fn strong_tags(text: &str) -> Result<Vec<String>, Problem> {
    let wrong = || {
        let detail = "If-Match takes ETags in quotes, divided by commas";
        Problem::new(Code::InvalidRequest, detail)
    };
    if !text.is_empty() && !text.contains(['"', ',']) {
        return Ok(vec![text.to_owned()]);
    }
    let (mut tags, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start();
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (tag, after) = quoted
            .strip_prefix('"')
            .and_then(|quoted| quoted.split_once('"'))
            .ok_or_else(wrong)?;
        if !weak {
            tags.push(tag.to_owned());
        }
        match after.trim_start().strip_prefix(',') {
            Some(more) => rest = more,
            None if after.trim().is_empty() => return Ok(tags),
            None => return Err(wrong()),
        }
    }
}

fn reason(parts: &Parts) -> Result<Option<String>, Problem> {
    let given = header(parts, "tideline-reason")?.filter(|given| !given.is_empty());
    let reason = given.map(|given| {
        if !is_percent_encoded(&given) {
            return None;
        }
        let decoded = percent_encoding::percent_decode_str(&given).decode_utf8();
        decoded.map(|reason| reason.into_owned()).ok()
    });
    match reason {
        None => Ok(None),
        Some(Some(reason)) if reason.chars().count() <= MAX_REASON => Ok(Some(reason)),
        Some(_) => Err(Problem::new(
            Code::InvalidRequest,
            format!("Tideline-Reason must be percent-encoded UTF-8, at most {MAX_REASON} characters"),
        )),
    }
}

/// Whether two hexadecimal digits follow each `%`.
fn is_percent_encoded(text: &str) -> bool {
    let is_byte = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(is_byte)
}

fn header(parts: &Parts, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(_) => Err(Problem::new(
            Code::InvalidRequest,
            format!("the header {name} takes visible ASCII characters"),
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn any_strong_tag_of_a_list_may_match_and_a_weak_one_never_does() {
        for (text, tags) in [
            ("\"a\"", vec!["a"]),
            ("a", vec!["a"]),
            ("\"a\", \"b,c\" ,\"d\"", vec!["a", "b,c", "d"]),
            ("W/\"a\", \"b\"", vec!["b"]),
            ("W/\"a\"", vec![]),
        ] {
            assert_eq!(strong_tags(text).unwrap(), tags, "{text}");
        }
        for wrong in ["", "\"a", "\"a\" \"b\"", "\"a\",", "a, b"] {
            assert!(strong_tags(wrong).is_err(), "{wrong}");
        }
    }
}
