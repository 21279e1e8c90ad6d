//! A fake of OpenChoreo's namespace API: namespaces, what is in them, and cluster-wide kinds, with Kubernetes' continue
//! tokens, which expire as the real ones do (500, for as long as the token is shown).

mod expected;
mod model;
mod older;
mod upgraded;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

pub use self::model::{Model, Size};
pub use self::older::OlderOpenChoreo;
pub use self::upgraded::{Release, UpgradedOpenChoreo};
use super::{FakeApi, FakeRequest, Reply};
use crate::hostile::Fault;
use crate::oracle::Expected;

/// The token that it wants.
pub const TOKEN: &str = "openchoreo-test-token";

/// The fake.
pub struct OpenChoreo {
    model: Mutex<Model>,
    /// Continue tokens that are no longer known.
    expired: Mutex<HashSet<String>>,
    tokens: AtomicU64,
    changes: AtomicBool,
    /// Requests for the first page of namespaces.
    cycles: AtomicU64,
}

impl OpenChoreo {
    /// A control plane of this size; the same for the same seed.
    #[must_use]
    pub fn new(seed: u64, size: Size) -> Self {
        Self {
            model: Mutex::new(Model::new(seed, size)),
            expired: Mutex::default(),
            tokens: AtomicU64::new(0),
            changes: AtomicBool::new(false),
            cycles: AtomicU64::new(0),
        }
    }

    /// Whether objects change at the start of each cycle.
    pub fn set_changes(&self, on: bool) {
        self.changes.store(on, Ordering::SeqCst);
    }

    /// How many cycles began.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.cycles.load(Ordering::SeqCst)
    }

    /// Looks at the model or changes it.
    pub fn with_model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.model.lock())
    }

    /// What a catalog must hold now.
    #[must_use]
    pub fn expected(&self) -> Expected {
        expected::entities(&self.model.lock())
    }

    fn list(&self, list: Option<Vec<Value>>, request: &FakeRequest) -> Reply {
        let Some(items) = list else {
            return error(404, "NOT_FOUND", "not found");
        };
        let limit = request
            .parameter("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(20);
        if !(1..=100).contains(&limit) {
            return error(400, "BAD_REQUEST", "limit must be from 1 to 100");
        }
        let after = match request.parameter("cursor") {
            None => None,
            Some(cursor) if self.expired.lock().contains(cursor) => return internal(),
            Some(cursor) => match read_token(cursor) {
                Some(name) => Some(name),
                None => return error(400, "BAD_REQUEST", "invalid cursor"),
            },
        };
        let behind = |item: &&Value| after.as_deref().is_none_or(|after| name_of(item) > after);
        let mut rest: Vec<&Value> = items.iter().filter(behind).collect();
        let remaining = rest.len().saturating_sub(limit);
        rest.truncate(limit);
        let mut pagination = json!({});
        if remaining > 0
            && let Some(last) = rest.last()
        {
            let number = self.tokens.fetch_add(1, Ordering::Relaxed);
            pagination = json!({
                "nextCursor": STANDARD.encode(json!({ "c": name_of(last), "s": number }).to_string()),
                "remainingCount": remaining,
            });
        }
        Reply::json(200, &json!({ "items": rest, "pagination": pagination }))
    }

    fn one(item: Option<Value>) -> Reply {
        item.map_or_else(|| error(404, "NOT_FOUND", "not found"), |item| Reply::json(200, &item))
    }
}

fn name_of(item: &Value) -> &str {
    item["metadata"]["name"].as_str().unwrap_or_default()
}

fn read_token(cursor: &str) -> Option<String> {
    let token: Value = serde_json::from_slice(&STANDARD.decode(cursor).ok()?).ok()?;
    Some(token["c"].as_str()?.to_owned())
}

fn error(status: u16, code: &str, text: &str) -> Reply {
    Reply::json(status, &json!({ "error": text, "code": code }))
}

fn internal() -> Reply {
    error(500, "INTERNAL_ERROR", "Internal server error")
}

impl FakeApi for OpenChoreo {
    fn answer(&self, request: &FakeRequest) -> Reply {
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return error(401, "UNAUTHORIZED", "missing or invalid token");
        }
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        if parts == ["api", "v1", "namespaces"] && request.parameter("cursor").is_none() {
            self.cycles.fetch_add(1, Ordering::SeqCst);
            if self.changes.load(Ordering::SeqCst) {
                self.model.lock().change();
            }
        }
        let model = self.model.lock();
        match parts.as_slice() {
            ["api", "v1", "namespaces"] => self.list(Some(model.namespaces()), request),
            ["api", "v1", "namespaces", name] => {
                Self::one(model.namespaces().into_iter().find(|item| name_of(item) == *name))
            }
            ["api", "v1", "namespaces", namespace, kind] => {
                if model.is_forbidden(namespace) {
                    return error(404, "NOT_FOUND", "not found");
                }
                let component = request.parameter("component");
                let mut objects = model.list(namespace, kind);
                if let (Some(objects), Some(component)) = (&mut objects, component) {
                    objects.retain(|object| object["spec"]["owner"]["componentName"] == component);
                }
                self.list(objects, request)
            }
            ["api", "v1", "namespaces", namespace, kind, name] => {
                let list = model.list(namespace, kind).unwrap_or_default();
                Self::one(list.into_iter().find(|item| name_of(item) == *name))
            }
            ["api", "v1", kind] => self.list(model.cluster(kind), request),
            ["api", "v1", kind, name] => {
                let list = model.cluster(kind).unwrap_or_default();
                Self::one(list.into_iter().find(|item| name_of(item) == *name))
            }
            _ => error(404, "NOT_FOUND", "no such path"),
        }
    }

    fn fault(&self, fault: Fault, request: &FakeRequest) -> Option<Reply> {
        match fault {
            Fault::Internal => Some(internal()),
            Fault::TooMany(seconds) => {
                Some(error(429, "INTERNAL_ERROR", "too many requests").with("retry-after", seconds.to_string()))
            }
            Fault::Expired => {
                self.expired.lock().insert(request.parameter("cursor")?.to_owned());
                Some(internal())
            }
            Fault::WrongJson => Some(Reply {
                status: 200,
                headers: Vec::new(),
                body: b"{\"items\": [{\"meta".to_vec(),
            }),
            Fault::Cut | Fault::Moved => None,
        }
    }
}
