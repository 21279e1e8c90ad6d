//! HCP Terraform, as far as the `terraform` source and `hooks register` ask for it: workspaces, current state versions
//! and downloads at signed addresses.

mod model;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{FakeApi, FakeRequest, Reply};
use crate::hostile::Fault;

pub use self::model::{FakeState, FakeWorkspace, Model, SECRET};

/// What the paths of the API begin with.
pub const API: &str = "/api/v2";
/// Where states are downloaded from.
const ARCHIVE: &str = "/_archivist/v1/object/";

/// The API in memory.
pub struct FakeTerraform {
    model: Mutex<Model>,
    /// Downloads of states that were answered.
    pub downloads: AtomicU64,
    /// Requests for a download that had credentials with them.
    pub leaked: AtomicU64,
}

impl FakeTerraform {
    /// An API with these workspaces.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model: Mutex::new(model),
            downloads: AtomicU64::new(0),
            leaked: AtomicU64::new(0),
        }
    }

    /// Looks at the model or changes it.
    pub fn with_model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.model.lock())
    }

    /// Downloads so far.
    #[must_use]
    pub fn downloads(&self) -> u64 {
        self.downloads.load(Ordering::Relaxed)
    }

    fn route(&self, request: &FakeRequest) -> Reply {
        if let Some(ticket) = request.path.strip_prefix(ARCHIVE) {
            return self.download(ticket, request);
        }
        let mut model = self.model.lock();
        if request.header("authorization") != Some(&format!("Bearer {}", model.token)) {
            return error(401, "unauthorized", "");
        }
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["api", "v2", "organizations", organization, "workspaces"])
                if *organization == model.organization =>
            {
                list(&model, request)
            }
            ("GET", ["api", "v2", "workspaces", id]) => match model.shown(id) {
                Some(workspace) => document(&json!({ "data": model.document(workspace) })),
                None => not_found(),
            },
            ("GET", ["api", "v2", "workspaces", id, "current-state-version"]) => model
                .state_version(id, &request.base, ARCHIVE)
                .map_or_else(not_found, |version| document(&json!({ "data": version }))),
            _ => not_found(),
        }
    }

    fn download(&self, ticket: &str, request: &FakeRequest) -> Reply {
        if request.header("authorization").is_some() {
            self.leaked.fetch_add(1, Ordering::Relaxed);
        }
        match self.model.lock().redeem(ticket) {
            Some(text) => {
                self.downloads.fetch_add(1, Ordering::Relaxed);
                Reply {
                    status: 200,
                    headers: vec![("content-type".into(), "application/octet-stream".into())],
                    body: text.into_bytes(),
                }
            }
            None => error(403, "forbidden", "expired"),
        }
    }
}

impl FakeApi for FakeTerraform {
    fn answer(&self, request: &FakeRequest) -> Reply {
        self.route(request)
            .with("x-ratelimit-limit", "30")
            .with("x-ratelimit-remaining", "29")
            .with("x-ratelimit-reset", "1.0")
    }

    fn fault(&self, fault: Fault, _: &FakeRequest) -> Option<Reply> {
        match fault {
            Fault::TooMany(later) => Some(
                error(429, "too many requests", "")
                    .with("x-ratelimit-limit", "30")
                    .with("x-ratelimit-remaining", "0")
                    .with("x-ratelimit-reset", format!("{later}.1")),
            ),
            Fault::Internal => Some(error(500, "internal error", "")),
            Fault::WrongJson | Fault::Cut | Fault::Expired | Fault::Moved => None,
        }
    }
}

fn list(model: &Model, request: &FakeRequest) -> Reply {
    let number = |name: &str, default: usize| {
        let value = request.parameter(name).and_then(|text| text.parse().ok());
        value.unwrap_or(default)
    };
    let (page, size) = (number("page[number]", 1).max(1), number("page[size]", 20).clamp(1, 100));
    let size = size.min(model.max_page_size);
    let wanted = request.parameter("search[wildcard-name]");
    let fits = |name: &str| {
        let Some(pattern) = wanted else { return true };
        let core = pattern.trim_matches('*');
        match (pattern.starts_with('*'), pattern.ends_with('*')) {
            (true, true) => name.contains(core),
            (true, false) => name.ends_with(core),
            (false, true) => name.starts_with(core),
            (false, false) => name == core,
        }
    };
    let mut found: Vec<&FakeWorkspace> = model
        .workspaces
        .values()
        .filter(|it| !it.hidden && fits(&it.name))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let pages = found.len().div_ceil(size).max(1);
    let data: Vec<Value> = found
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|it| model.document(it))
        .collect();
    let next = (page < pages).then_some(page + 1);
    document(&json!({
        "data": data,
        "links": { "self": request.path, "next": next.map(|next| format!("{}{}?page%5Bnumber%5D={next}", request.base, request.path)) },
        "meta": { "pagination": {
            "current-page": page, "page-size": size, "prev-page": (page > 1).then(|| page - 1), "next-page": next,
            "total-pages": pages, "total-count": found.len(),
        } },
    }))
}

fn document(body: &Value) -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type".into(), "application/vnd.api+json".into())],
        body: body.to_string().into_bytes(),
    }
}

fn not_found() -> Reply {
    error(404, "not found", "")
}

fn error(status: u16, title: &str, detail: &str) -> Reply {
    let mut reply =
        document(&json!({ "errors": [{ "status": status.to_string(), "title": title, "detail": detail }] }));
    reply.status = status;
    reply
}
