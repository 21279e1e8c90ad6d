//! The dashboard: everything that `/v1` offers, as pages. It is a client of the API inside the same process: each page
//! calls the same routes with the viewer's principal ([`viewer::Viewer`]), so that roles, limits to sources and the
//! audit log are those of the API. Pages are rendered on the server and work without JavaScript; with it, a stream of
//! server-sent events swaps what has changed ([`live`]). Not here: signing in ([`crate::gateway`]).

mod assets;
mod catalog;
mod caused;
mod changes;
mod chart;
mod checks;
mod configuration;
mod difference;
mod drift;
mod entity;
mod events;
mod export;
mod filters;
mod format;
mod held;
mod history;
mod hook_setup;
mod hooks;
mod jobs;
mod json;
mod live;
mod needs;
mod operations;
mod overview;
mod parts;
mod plan;
mod security;
mod shell;
mod sign_in;
mod source;
mod subscriptions;
mod targets;
mod timeline;
mod tokens;
mod viewer;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::response::Response;

pub(crate) use sign_in::{Door, leave_and_return, page as sign_in_page};
pub(crate) use viewer::SignedIn;

use self::live::Live;
use crate::api::{Api, Problem};

/// Dependencies of the pages.
#[derive(Clone)]
pub(crate) struct Dashboard {
    api: Api,
    live: Arc<Live>,
}

impl Dashboard {
    /// On the API of this process.
    pub(crate) fn new(api: &Api) -> Self {
        Self {
            api: api.clone(),
            live: Arc::new(Live::new(api)),
        }
    }

    /// The pages. Every request needs a [`Principal`](crate::api::Principal) in its extensions.
    pub(crate) fn pages(&self) -> Router {
        let pages = Router::new()
            .merge(overview::router())
            .merge(source::router())
            .merge(plan::router())
            .merge(catalog::router())
            .merge(changes::router())
            .merge(events::router())
            .merge(hooks::router())
            .merge(jobs::router())
            .merge(subscriptions::router())
            .merge(targets::router())
            .merge(operations::router())
            .merge(tokens::router())
            .with_state(self.clone());
        let live = live::router(self.clone(), pages.clone());
        pages.merge(live)
    }
}

/// The page that a browser shows instead of a problem document.
pub(crate) fn problem_page(problem: &Problem) -> Response {
    protected(shell::problem(problem))
}

/// The same response with the headers of everything that a browser shows.
pub(crate) fn protected(mut response: Response) -> Response {
    security::protect(&mut response);
    response
}

/// Style sheet, script and icon, for everybody.
pub(crate) fn assets() -> Router {
    assets::router()
}

/// Headers of all responses to browsers, and the refusal of acts requested by other sites.
pub(crate) fn secured(routes: Router) -> Router {
    routes.layer(security::same_site()).layer(from_fn(security::headers))
}

#[cfg(test)]
mod tests;
