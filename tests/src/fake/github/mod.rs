//! A fake of GitHub's REST API: repositories with Link headers, files, trees, and tokens of a GitHub App, whose JSON
//! Web Tokens it verifies.

mod app;
mod compare;
mod expected;
mod model;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

pub use self::app::{APP_ID, INSTALLATION, PRIVATE_KEY};
pub use self::model::{Model, ORGANIZATION, Repository};
use super::{FakeApi, FakeRequest, Reply};
use crate::hostile::Fault;
use crate::oracle::Expected;

/// A token that it takes.
pub const TOKEN: &str = "ghp_test0123456789";

/// The fake.
pub struct GitHub {
    model: Mutex<Model>,
    tokens: Mutex<BTreeSet<String>>,
    issued: AtomicU64,
    cycles: AtomicU64,
    changes: AtomicBool,
    /// The credentials lack the permission to read contents.
    contents_forbidden: AtomicBool,
    /// Instead of a token: status, text and seconds of `Retry-After`.
    token_refusal: Mutex<Option<(u16, &'static str, Option<u32>)>>,
}

impl GitHub {
    /// An organization with this many repositories; deterministic for a seed.
    #[must_use]
    pub fn new(seed: u64, repositories: u32) -> Self {
        Self {
            model: Mutex::new(Model::new(seed, repositories)),
            tokens: Mutex::new(BTreeSet::from([TOKEN.to_owned()])),
            issued: AtomicU64::new(0),
            cycles: AtomicU64::new(0),
            changes: AtomicBool::new(false),
            contents_forbidden: AtomicBool::new(false),
            token_refusal: Mutex::new(None),
        }
    }

    /// Whether repositories change at the start of each cycle.
    pub fn set_changes(&self, on: bool) {
        self.changes.store(on, Ordering::SeqCst);
    }

    /// Takes the permission to read contents away, or gives it back.
    pub fn forbid_contents(&self, on: bool) {
        self.contents_forbidden.store(on, Ordering::SeqCst);
    }

    /// Gives no tokens to the App, or gives them again.
    pub fn refuse_tokens(&self, refusal: Option<(u16, &'static str, Option<u32>)>) {
        *self.token_refusal.lock() = refusal;
    }

    /// How many cycles began.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        self.cycles.load(Ordering::SeqCst)
    }

    /// Installation tokens that were given out.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::SeqCst)
    }

    /// Invalidates all issued and configured tokens except this one.
    pub fn only_token(&self, token: &str) {
        *self.tokens.lock() = BTreeSet::from([token.to_owned()]);
    }

    /// Looks at the model or changes it.
    pub fn with_model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.model.lock())
    }

    /// What a catalog must hold now, of a fake at this address, with the default parameters.
    #[must_use]
    pub fn expected(&self) -> Expected {
        expected::entities(&self.model.lock())
    }

    fn list(&self, request: &FakeRequest, wrapped: bool) -> Reply {
        let number = |name: &str, usual: usize| {
            request
                .parameter(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(usual)
        };
        let (page, size) = (number("page", 1), number("per_page", 30).clamp(1, 100));
        if page == 1 {
            self.cycles.fetch_add(1, Ordering::SeqCst);
            if self.changes.load(Ordering::SeqCst) {
                self.model.lock().change();
            }
        }
        let shown = |repository: &Repository| match wrapped {
            true => repository.full(&request.base),
            false => repository.listed(&request.base),
        };
        let all: Vec<Value> = self.model.lock().repositories().map(shown).collect();
        let items: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
        let body = if wrapped {
            json!({ "total_count": all.len(), "repositories": items })
        } else {
            json!(items)
        };
        let reply = Reply::json(200, &body);
        if page * size >= all.len() {
            return reply;
        }
        let mut query: Vec<String> = Vec::new();
        for (name, value) in request.query.iter().filter(|(name, _)| name != "page") {
            query.push(format!("{name}={value}"));
        }
        let next = format!("{}{}?{}&page={}", request.base, request.path, query.join("&"), page + 1);
        reply.with("link", format!("<{next}>; rel=\"next\""))
    }

    fn contents(&self, path: &[&str], request: &FakeRequest) -> Reply {
        let [owner, name, path] = path else { return missing() };
        if self.contents_forbidden.load(Ordering::SeqCst) {
            let refused = error(403, "Resource not accessible by integration");
            return refused.with("x-accepted-github-permissions", "contents=read");
        }
        let model = self.model.lock();
        let Some(repository) = model.find(owner, name) else {
            return missing();
        };
        let of_branch = request
            .parameter("ref")
            .is_none_or(|branch| branch == repository.branch);
        match repository.files.get(*path).filter(|_| of_branch) {
            None => missing(),
            Some(text) if !request.header("accept").is_some_and(|accept| accept.contains("raw")) => {
                Reply::json(200, &described(path, text, &request.base))
            }
            Some(text) => Reply {
                status: 200,
                headers: vec![(
                    "content-type".into(),
                    "application/vnd.github.raw+json; charset=utf-8".into(),
                )],
                body: text.clone().into_bytes(),
            },
        }
    }

    fn tree(&self, owner: &str, name: &str, branch: &str, base: &str) -> Reply {
        let model = self.model.lock();
        let Some(repository) = model.find(owner, name).filter(|repository| repository.branch == branch) else {
            return missing();
        };
        let url = format!("{base}/repos/{owner}/{name}/git");
        let files = repository.files.iter().map(|(path, text)| {
            json!({ "path": path, "mode": "100644", "type": "blob", "sha": format!("{:040x}", text.len()), "size": text.len(), "url": format!("{url}/blobs/0") })
        });
        let tree: Vec<Value> = files.collect();
        Reply::json(
            200,
            &json!({ "sha": "0".repeat(40), "url": url, "truncated": repository.truncated, "tree": tree }),
        )
    }

    fn give_token(&self, request: &FakeRequest) -> Reply {
        if let Err(why) = app::verify(request.header("authorization").unwrap_or_default()) {
            return error(401, &why);
        }
        if let Some((status, why, seconds)) = *self.token_refusal.lock() {
            let refused = error(status, why);
            return match seconds {
                Some(seconds) => refused.with("retry-after", seconds.to_string()),
                None => refused,
            };
        }
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let token = format!("ghs_{number:036}");
        self.tokens.lock().insert(token.clone());
        Reply::json(201, &json!({ "token": token, "expires_at": "2099-01-01T00:00:00Z" }))
    }
}

/// A file, as its metadata.
fn described(path: &str, text: &str, base: &str) -> Value {
    let url = format!("{base}/contents/{path}");
    json!({
        "type": "file", "name": path.rsplit('/').next(), "path": path, "size": text.len(), "sha": format!("{:040x}", text.len()),
        "encoding": "base64", "content": "", "url": url, "git_url": url, "html_url": url, "download_url": url,
        "_links": { "self": url, "git": url, "html": url },
    })
}

fn error(status: u16, message: &str) -> Reply {
    let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string() });
    Reply::json(status, &body)
}

fn missing() -> Reply {
    error(404, "Not Found")
}

impl FakeApi for GitHub {
    fn answer(&self, request: &FakeRequest) -> Reply {
        if request.header("x-github-api-version").is_none() || request.header("user-agent").is_none() {
            return error(400, "the version and the user agent must be given");
        }
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["app", "installations"] => {
                return match app::verify(request.header("authorization").unwrap_or_default()) {
                    Ok(()) => Reply::json(200, &json!([app::installation(&request.base)])),
                    Err(why) => error(401, &why),
                };
            }
            ["app", "installations", _, "access_tokens"] => return self.give_token(request),
            _ => {}
        }
        let token = request
            .header("authorization")
            // GitHub's own clients write the other scheme for tokens that are not JSON Web Tokens.
            .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("token ")));
        if !token.is_some_and(|token| self.tokens.lock().contains(token)) {
            return error(401, "Bad credentials");
        }
        let reply = match parts.as_slice() {
            ["orgs", ORGANIZATION, "repos"] => self.list(request, false),
            ["installation", "repositories"] => self.list(request, true),
            ["repos", owner, name] => {
                let model = self.model.lock();
                let found = model.find(owner, name).map(|repository| repository.full(&request.base));
                found.map_or_else(missing, |repository| Reply::json(200, &repository))
            }
            ["repos", owner, name, "compare", commits] => {
                let model = self.model.lock();
                let found = model.find(owner, name).and_then(|_| model.comparison(commits));
                found.map_or_else(missing, |files| {
                    Reply::json(200, &compare::comparison(&request.base, files))
                })
            }
            ["repos", owner, name, "contents", path] => self.contents(&[owner, name, path], request),
            ["repos", owner, name, "git", "trees", branch] => self.tree(owner, name, branch, &request.base),
            _ => missing(),
        };
        reply
            .with("x-ratelimit-remaining", "4999")
            .with("x-ratelimit-reset", "4102444800")
    }

    fn fault(&self, fault: Fault, _: &FakeRequest) -> Option<Reply> {
        match fault {
            Fault::Internal => Some(error(502, "Server Error")),
            // Both kinds of limits.
            Fault::TooMany(0) => Some(error(403, "You have exceeded a secondary rate limit.").with("retry-after", "1")),
            Fault::TooMany(seconds) => {
                Some(error(429, "API rate limit exceeded").with("retry-after", seconds.to_string()))
            }
            Fault::WrongJson => Some(Reply {
                status: 200,
                headers: Vec::new(),
                body: b"[{\"id\": ".to_vec(),
            }),
            Fault::Cut | Fault::Expired | Fault::Moved => None,
        }
    }

    fn has_etags(&self) -> bool {
        true
    }
}
