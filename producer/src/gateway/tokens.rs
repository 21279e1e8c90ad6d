//! Verifies the API tokens of requests. Tokens are cached for a few seconds; wrong tokens are throttled per address.
//! Behind an ingress all clients share an address, so a valid token is accepted even then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{Actor, ActorKind, Fingerprint, Timestamp};
use tideline_store::{Store, TokenRecord};
use tokio::time::Instant;

use crate::api::role::{Principal, SourceScope};
use crate::api::tokens::{hash_of, id_of};
use crate::api::{Code, Problem};

/// How long a token is cached. One that was revoked elsewhere stays usable for this long at most.
const REMEMBER: Duration = Duration::from_secs(5);

/// Maximum number of cached tokens.
const MAX_TOKENS: usize = 1_000;

/// How often the use of a token is recorded.
const NOTE_USE: Duration = Duration::from_secs(60);

/// Number of wrong tokens that an address may send before it has to wait.
const FREE_ATTEMPTS: u32 = 5;

/// Maximum wait of an address.
const MAX_PENALTY: Duration = Duration::from_secs(60);

/// Number of unknown tokens per second that are still looked up for an address that has to wait.
const LOOKUPS: u32 = 50;

/// Maximum number of addresses whose wrong tokens are counted.
const MAX_ADDRESSES: usize = 10_000;

pub(super) struct Tokens {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, Known>>,
    exist: Mutex<Option<(Instant, bool)>>,
    attempts: Mutex<HashMap<IpAddr, Attempts>>,
}

#[derive(Clone)]
struct Known {
    record: Arc<TokenRecord>,
    principal: Principal,
    read_at: Instant,
    noted_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Attempts {
    wrong: u32,
    until: Instant,
    /// Tokens looked up while it has to wait, and the start of their second.
    lookups: u32,
    second: Instant,
}

impl Attempts {
    fn new(now: Instant) -> Self {
        Self {
            wrong: 0,
            until: now,
            lookups: 0,
            second: now,
        }
    }

    fn must_wait(&self, now: Instant) -> bool {
        self.wrong >= FREE_ATTEMPTS && self.until > now
    }

    /// After the first few, each wrong token doubles the wait.
    fn note_wrong(&mut self, now: Instant) {
        if now.duration_since(self.until) > MAX_PENALTY {
            self.wrong = 0;
        }
        self.wrong = self.wrong.saturating_add(1);
        let doublings = self.wrong.saturating_sub(FREE_ATTEMPTS).min(10);
        self.until = now + Duration::from_secs(1 << doublings).min(MAX_PENALTY);
    }

    /// Whether one more unknown token is looked up.
    fn may_look(&mut self, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.lookups, self.second) = (0, now);
        }
        self.lookups = self.lookups.saturating_add(1);
        self.lookups <= LOOKUPS
    }

    fn refusal(&self, now: Instant) -> Problem {
        let wait = self.until.duration_since(now).as_secs() + 1;
        let mut problem = Problem::new(
            Code::TooManyAttempts,
            format!("too many wrong tokens came from this address; wait {wait} s"),
        );
        problem.retry_after = Some(wait);
        problem
    }
}

impl Tokens {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
            exist: Mutex::default(),
            attempts: Mutex::default(),
        }
    }

    /// Whether the store has a token that was not revoked: then every request needs one.
    pub(super) async fn exist(&self) -> Result<bool, Problem> {
        if let Some((read_at, exist)) = *self.exist.lock()
            && read_at.elapsed() < REMEMBER
        {
            return Ok(exist);
        }
        let tokens = self.store.list_tokens().await?;
        let exist = tokens.iter().any(|token| token.revoked_at.is_none());
        *self.exist.lock() = Some((Instant::now(), exist));
        Ok(exist)
    }

    /// Clears the cache: tokens were created or revoked in this process.
    pub(super) fn forget(&self) {
        self.known.lock().clear();
        *self.exist.lock() = None;
    }

    /// Who holds the token.
    pub(super) async fn check(&self, token: &str, address: Option<IpAddr>) -> Result<Principal, Problem> {
        let hash = hash_of(token);
        let Some(id) = id_of(token) else {
            return Err(self.wrong(address));
        };
        let known = match self.fresh(id, hash) {
            Some(known) => known,
            None => {
                if !self.was_right(id, hash) {
                    self.admit(address)?;
                }
                match self.find(id, hash).await? {
                    Some(known) => known,
                    None => return Err(self.wrong(address)),
                }
            }
        };
        usable(&known.record, self.clock.now())?;
        self.note_use(id, &known);
        Ok(known.principal)
    }

    /// The holder of the token with this id and hash, which was accepted before; none: it is no longer valid.
    pub(super) async fn holder(&self, id: &str, hash: Fingerprint) -> Result<Option<Principal>, Problem> {
        let known = match self.fresh(id, hash) {
            Some(known) => Some(known),
            None => self.find(id, hash).await?,
        };
        let Some(known) = known.filter(|known| usable(&known.record, self.clock.now()).is_ok()) else {
            return Ok(None);
        };
        self.note_use(id, &known);
        Ok(Some(known.principal))
    }

    fn fresh(&self, id: &str, hash: Fingerprint) -> Option<Known> {
        let known = self.known.lock().get(id).cloned();
        known.filter(|known| known.read_at.elapsed() < REMEMBER && is_hash_of(&known.record, hash))
    }

    /// Whether it was valid at the last lookup in the store.
    fn was_right(&self, id: &str, hash: Fingerprint) -> bool {
        let known = self.known.lock();
        known.get(id).is_some_and(|known| is_hash_of(&known.record, hash))
    }

    async fn find(&self, id: &str, hash: Fingerprint) -> Result<Option<Known>, Problem> {
        match self.store.find_token(id).await? {
            Some(record) if is_hash_of(&record, hash) => self.remember(record).map(Some),
            _ => Ok(None),
        }
    }

    fn remember(&self, record: TokenRecord) -> Result<Known, Problem> {
        let sources = SourceScope::new(&record.sources).map_err(|detail| {
            tracing::error!(token = record.id, detail, "a stored token has an invalid glob");
            Problem::new(Code::Internal, "a stored token cannot be read")
        })?;
        let actor = Actor {
            kind: ActorKind::Token,
            name: record.name.clone(),
            address: None,
            request: None,
        };
        let principal = Principal {
            actor,
            role: record.role,
            sources,
        };
        let mut tokens = self.known.lock();
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        let id = record.id.clone();
        let known = Known {
            record: Arc::new(record),
            principal,
            read_at: Instant::now(),
            noted_at: tokens.get(&id).and_then(|known| known.noted_at),
        };
        tokens.insert(id, known.clone());
        Ok(known)
    }

    /// At most once a minute, in the background.
    fn note_use(&self, id: &str, known: &Known) {
        if known.noted_at.is_some_and(|noted| noted.elapsed() < NOTE_USE) {
            return;
        }
        if let Some(known) = self.known.lock().get_mut(id) {
            known.noted_at = Some(Instant::now());
        }
        let (store, now, id) = (Arc::clone(&self.store), self.clock.now(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = store.note_token_use(&id, now).await {
                tracing::debug!(error = full_text(&error), "the last use of a token was not recorded");
            }
        });
    }

    /// Refuses an unknown token of an address that has to wait, if too many were already looked up for it.
    fn admit(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(address) = address else { return Ok(()) };
        let now = Instant::now();
        let mut all = self.attempts.lock();
        let Some(attempts) = all.get_mut(&address).filter(|attempts| attempts.must_wait(now)) else {
            return Ok(());
        };
        match attempts.may_look(now) {
            true => Ok(()),
            false => Err(attempts.refusal(now)),
        }
    }

    /// Counts a wrong token, unless its address has to wait.
    fn wrong(&self, address: Option<IpAddr>) -> Problem {
        if let Some(address) = address {
            let now = Instant::now();
            let mut attempts = self.attempts.lock();
            if attempts.len() >= MAX_ADDRESSES {
                attempts.retain(|_, attempts| attempts.until > now);
            }
            if attempts.len() < MAX_ADDRESSES || attempts.contains_key(&address) {
                let entry = attempts.entry(address).or_insert_with(|| Attempts::new(now));
                if entry.must_wait(now) {
                    return entry.refusal(now);
                }
                entry.note_wrong(now);
            }
        }
        Problem::new(Code::Unauthenticated, "the token is unknown")
    }
}

fn is_hash_of(record: &TokenRecord, hash: Fingerprint) -> bool {
    record.hash.0.ct_eq(&hash.0).into()
}

fn usable(token: &TokenRecord, now: Timestamp) -> Result<(), Problem> {
    if let Some(revoked_at) = token.revoked_at {
        let detail = format!("the token {} was revoked at {revoked_at}", token.name);
        return Err(Problem::new(Code::TokenRevoked, detail));
    }
    match token.expires_at {
        Some(expires_at) if expires_at <= now => {
            let detail = format!("the token {} expired at {expires_at}", token.name);
            Err(Problem::new(Code::TokenExpired, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_unknown_tokens_of_an_address_that_waits_are_looked_up_each_second_and_no_more() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now);
        for _ in 0..FREE_ATTEMPTS {
            assert!(!attempts.must_wait(now));
            attempts.note_wrong(now);
        }
        assert!(attempts.must_wait(now));
        assert!((0..LOOKUPS).all(|_| attempts.may_look(now)));
        assert!(!attempts.may_look(now));
        assert!(attempts.may_look(now + Duration::from_secs(1)));
    }
}
