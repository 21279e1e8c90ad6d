//! `auth`: how requests prove who asks.

use super::reader::Section;
use super::settings::{Auth, GithubAppSettings, PrivateKey, TokenEndpoint};
use tideline_core::words::Secret;

const AUTH_WAYS: [&str; 6] = ["bearer", "basic", "header", "oauth2", "file", "github_app"];

pub(super) fn read_auth(auth: &Section<'_>) -> Auth {
    let ways = [
        auth.optional_secret("bearer", "Bearer token, sent as `Authorization: Bearer`.")
            .map(Auth::Bearer),
        auth.optional_section("basic", "User name and password (RFC 7617).", |basic| Auth::Basic {
            username: basic.required_text("username", "User name."),
            password: basic.required_secret("password", "Password."),
        }),
        auth.optional_section("header", "A custom header.", |header| Auth::Header {
            name: header.required_header("name", "Header name, such as `X-Api-Key`."),
            value: header.required_secret("value", "Header value."),
        }),
        auth.optional_section("oauth2", "OAuth 2.0 client credentials (RFC 6749, 4.4).", read_oauth2)
            .flatten(),
        auth.optional_text(
            "file",
            "not given",
            "File with a bearer token, read again every 30 seconds and after a 401. A relative path counts from this file's folder.",
        )
        .map(|path| Auth::File(auth.context.folder.join(path))),
        auth.optional_section(
            "github_app",
            "A GitHub App. Installation tokens are fetched and renewed as needed.",
            read_github_app,
        )
        .flatten(),
    ];
    let given = AUTH_WAYS.iter().filter(|way| auth.has(way)).count();
    if given != 1 {
        auth.fail_here(format!(
            "must have exactly one of {}, but has {given}",
            AUTH_WAYS.join(", ")
        ));
    }
    ways.into_iter().flatten().next().unwrap_or(Auth::None)
}

fn read_github_app(app: &Section<'_>) -> Option<Auth> {
    let id = app.required_text("id", "The App's id or client id.");
    let doc = "Installation id. Required only if the App has several installations.";
    let installation = app.parsed("installation", "whole number", "the only installation", doc, &|text| {
        let id = text.parse::<u64>().ok().filter(|id| *id > 0);
        id.ok_or_else(|| "must be a whole number greater than 0".to_owned())
    });
    let doc = "File with the App's private key in PEM format. A relative path counts from this file's folder.";
    let file = app.optional_text("private_key_file", "required without `private_key`", doc);
    let doc = "The private key itself, for keys from an environment variable.";
    let text = app.parsed_secret(
        "private_key",
        "secret",
        "required without `private_key_file`",
        doc,
        &|text| {
            // A variable of one line may have `\\n` for its line breaks.
            Ok(text.replace("\\n", "\n"))
        },
    );
    let key = match (file, text) {
        (Some(file), None) => PrivateKey::File(app.context.folder.join(file)),
        (None, Some(text)) => PrivateKey::Text(Secret::new(text)),
        _ => {
            if !app.is_describing() {
                app.fail_here("needs exactly one of private_key_file and private_key");
            }
            return None;
        }
    };
    Some(Auth::GithubApp(GithubAppSettings {
        id,
        installation,
        private_key: key,
    }))
}

fn read_oauth2(oauth2: &Section<'_>) -> Option<Auth> {
    let token_url = oauth2.optional_url("token_url", "The token endpoint. Either this or `issuer`.");
    let doc = "Issuer, such as `https://keycloak.example.com/realms/acme`. Its discovery document \
               (`/.well-known/openid-configuration`) names the token endpoint.";
    let issuer = oauth2.optional_url("issuer", doc);
    match (oauth2.has("token_url"), oauth2.has("issuer")) {
        (false, false) => oauth2.fail("token_url", "is missing; set the token endpoint, or the issuer"),
        (true, true) => oauth2.fail("issuer", "must not be set together with token_url"),
        _ => {}
    }
    let client_id = oauth2.required_text("client_id", "Client id.");
    let client_secret = oauth2.required_secret("client_secret", "Client secret.");
    let scope = oauth2.optional_text("scope", "none", "Requested scopes, separated by spaces.");
    let audience = oauth2.optional_text("audience", "none", "Sent as `audience`, which some servers require.");
    let tokens = token_url.map(TokenEndpoint::Url).or(issuer.map(TokenEndpoint::Issuer));
    tokens.map(|tokens| Auth::ClientCredentials {
        tokens,
        client_id,
        client_secret,
        scope,
        audience,
    })
}
