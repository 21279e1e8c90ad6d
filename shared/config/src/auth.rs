//! `auth`: how requests prove who asks.

use super::reader::Section;
use super::settings::{Auth, TokenEndpoint};

const AUTH_WAYS: [&str; 4] = ["bearer", "basic", "header", "oauth2"];

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

fn read_oauth2(oauth2: &Section<'_>) -> Option<Auth> {
    let token_url = oauth2.optional_url("token_url", "The token endpoint. Either this or `issuer`.");
    let doc = "Issuer, such as `https://keycloak.example.com/realms/acme`. Its discovery document \
               (`/.well-known/openid-configuration`) names the token endpoint.";
    let issuer = oauth2.optional_url("issuer", doc);
    match (oauth2.has("token_url"), oauth2.has("issuer")) {
        (false, false) => oauth2.fail("token_url", "is missing; give the token endpoint, or the issuer"),
        (true, true) => oauth2.fail("issuer", "must not be given beside token_url"),
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
