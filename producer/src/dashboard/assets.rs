//! Style sheet, script and icon, embedded. Their names contain a hash of their content, so that browsers cache them
//! indefinitely and request a new version by its new name.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tideline_core::rules::fingerprint;

use crate::api::{Code, Problem};
use crate::etag::is_known;

/// One file.
pub(super) struct Asset {
    /// With its hash: `/assets/style.0123abcd.css`.
    pub(super) path: String,
    etag: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, text: &'static str) -> Self {
        let hash = fingerprint(text.as_bytes()).to_string();
        let short = hash.get(..12).unwrap_or(&hash);
        Self {
            path: format!("/assets/{name}.{short}.{extension}"),
            etag: format!("\"{short}\""),
            content_type,
            text,
        }
    }
}

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("style.css")));

/// The script.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "script",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("script.js"),
    )
});

/// The icon.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

pub(super) fn router() -> Router {
    Router::new()
        .route("/assets/{file}", get(serve))
        .route("/favicon.ico", get(async || send(&ICON, &HeaderMap::new())))
}

async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("/assets/{file}");
    let mut assets = [&STYLE, &SCRIPT, &ICON].into_iter();
    match assets.find(|asset| asset.path == path) {
        Some(asset) => send(asset, &headers),
        None => Problem::new(Code::NotFound, "").into_response(),
    }
}

fn send(asset: &Asset, headers: &HeaderMap) -> Response {
    let kept = [
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (ETAG, asset.etag.as_str()),
    ];
    if is_known(headers, &asset.etag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, asset.content_type)], asset.text).into_response()
}
