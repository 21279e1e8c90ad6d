//! Signing in at an OpenID provider.

mod provider;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tideline_core::clock::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::provider::{Metadata, Provider, part};
use super::tests::{Bench, configured};

async fn bench(issuer: &str) -> Bench {
    listening("127.0.0.1:0", issuer).await
}

async fn listening(listen: &str, issuer: &str) -> Bench {
    let yaml = format!(
        "public_url: http://127.0.0.1:7070\ndashboard:\n  oidc:\n    name: Example\n    issuer: {issuer}\n    client_id: tideline\n    \
         client_secret: hush\n    roles: {{ admin: [platform], operate: [sre] }}\n"
    );
    let settings = tideline_config::parse(&yaml, std::path::Path::new("tideline.yaml"), &|_| None).unwrap();
    configured(listen, Arc::new(settings)).await
}

/// An answer with its head as it is: ids have upper case letters.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Vec<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).collect()
    }

    fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.header("set-cookie");
        let found = cookies.iter().find(|cookie| cookie.starts_with(&format!("{name}=")));
        Some(found?.split(';').next()?.to_owned())
    }
}

async fn ask(bench: &Bench, path: &str, cookie: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", bench.address.port())).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nsec-fetch-site: same-origin\r\ncookie: {cookie}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// What the browser knows after it was sent to the provider.
struct Begun {
    cookie: String,
    query: Vec<(String, String)>,
}

impl Begun {
    fn get(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value)
    }

    async fn finish(&self, bench: &Bench) -> Answer {
        let path = format!("/sign-in/callback?code=c&state={}", self.get("state"));
        ask(bench, &path, &self.cookie).await
    }
}

async fn begin(bench: &Bench) -> Begun {
    let sent = ask(bench, "/sign-in/provider?next=%2Fjobs", "").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let url: url::Url = sent.header("location").remove(0).parse().unwrap();
    assert_eq!(url.path(), "/authorize");
    Begun {
        cookie: sent.cookie("tideline_sign_in").unwrap(),
        query: url.query_pairs().into_owned().collect(),
    }
}

fn is_inside(answer: &Answer) -> bool {
    answer.cookie("tideline_session").is_some()
}

#[tokio::test]
async fn a_person_signs_in_at_the_provider_and_acts_under_their_own_name() {
    let provider = Provider::start().await;
    let bench = bench(&provider.address).await;
    let door = ask(&bench, "/jobs", "").await;
    assert_eq!(door.status, 303, "with a provider nobody is let in without signing in");
    let form = ask(&bench, "/sign-in?next=%2Fjobs", "").await.body;
    assert!(
        form.contains("Sign in with Example") && form.contains("API token"),
        "{form}"
    );
    let link = "href=\"http://127.0.0.1:7070/sign-in/provider?next=%2Fjobs\"";
    assert!(
        form.contains(link),
        "at the address that the provider sends people back to: {form}"
    );

    let begun = begin(&bench).await;
    assert_eq!(begun.get("redirect_uri"), "http://127.0.0.1:7070/sign-in/callback");
    let flow = (
        begun.get("response_type"),
        begun.get("code_challenge_method"),
        begun.get("scope"),
    );
    assert_eq!(flow, ("code", "S256", "openid profile email"));
    *provider.claims.lock() = provider.good(begun.get("nonce"), &["sre", "cooks"]);
    let back = begun.finish(&bench).await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert!(back.body.contains("url=/jobs"), "{}", back.body);
    let form = provider.form.lock().clone();
    let verifier = form.iter().find(|(name, _)| name == "code_verifier").unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.1.as_bytes()));
    assert_eq!(challenge, begun.get("code_challenge"));
    assert_eq!(
        back.cookie("tideline_sign_in").as_deref(),
        Some("tideline_sign_in="),
        "it is over"
    );
    let cookies = back.header("set-cookie");
    assert!(cookies[0].ends_with("HttpOnly; SameSite=Strict"), "{cookies:?}");
    let session = back.cookie("tideline_session").unwrap();
    acts_under_their_own_name(&bench, &session).await;
}

/// Looks, acts, and signs out.
async fn acts_under_their_own_name(bench: &Bench, session: &str) {
    let shown = ask(bench, "/", session).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown.body.contains("ana · operate") && shown.body.contains("Sign out"),
        "{}",
        shown.body
    );
    assert!(
        !shown.body.contains("href=\"/tokens\""),
        "the role of the group decides"
    );
    let headers = format!(
        "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\ncookie: {session}\r\n"
    );
    let paused = bench
        .send("POST", "/sources/platform%20one/pause", &headers, "reason=quiet")
        .await;
    assert_eq!(paused.status, 303);
    let audit = bench.get("/v1/audit").await.json();
    let of = |at: usize| {
        (
            &audit["items"][at]["actor_kind"],
            &audit["items"][at]["actor"],
            &audit["items"][at]["act"],
        )
    };
    assert_eq!(of(0), (&json!("person"), &json!("ana"), &json!("sources.pause")));
    assert_eq!(of(1), (&json!("person"), &json!("ana"), &json!("sessions.sign_in")));
    assert_eq!(
        audit["items"][1]["target"], "42",
        "who that was, whatever they are called later"
    );
    assert_eq!(audit["items"][1]["arguments"]["groups"], json!(["sre"]));
    let out = bench.send("POST", "/sign-out", &headers, "").await;
    assert_eq!(out.status, 303);
    assert_eq!(ask(bench, "/", session).await.status, 303);
}

#[tokio::test]
async fn a_sign_in_that_does_not_fit_opens_nothing_and_says_why() {
    let provider = Provider::start().await;
    let bench = bench(&provider.address).await;
    let begun = begin(&bench).await;
    let good = provider.good(begun.get("nonce"), &["sre"]);
    *provider.claims.lock() = good.clone();
    for (state, cookie) in [
        ("another", begun.cookie.as_str()),
        (begun.get("state"), ""),
        ("", "tideline_sign_in=e30"),
    ] {
        let back = ask(&bench, &format!("/sign-in/callback?code=c&state={state}"), cookie).await;
        assert!(back.status == 401 && !is_inside(&back), "{}", back.head);
        assert!(back.body.contains("started in another browser"), "{}", back.body);
    }
    assert_eq!(provider.count("token"), 0, "the provider is not even asked");
    let now = SystemClock.now().0 / 1_000;
    for (claim, value, why) in [
        ("nonce", json!("another"), "nonce"),
        ("nonce", Value::Null, "nonce"),
        ("aud", json!("somebody-else"), "InvalidAudience"),
        ("iss", json!("http://evil.example"), "InvalidIssuer"),
        ("exp", json!(now - 3_600), "expired"),
        ("exp", Value::Null, "exp"),
        ("nbf", json!(now + 3_600), "not valid yet"),
        ("azp", json!("somebody-else"), "another client"),
        ("sub", json!(""), "subject"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        *provider.claims.lock() = claims;
        let back = begun.finish(&bench).await;
        assert!(back.status == 401 && !is_inside(&back), "{claim}: {}", back.head);
        assert!(
            back.body.contains("cannot be verified") && back.body.contains(why),
            "{claim}: {}",
            back.body
        );
    }
    let denied = format!("/sign-in/callback?error=access_denied&state={}", begun.get("state"));
    let denied = ask(&bench, &denied, &begun.cookie).await;
    assert!(
        denied.status == 401 && denied.body.contains("access_denied"),
        "{}",
        denied.body
    );
    let markup = format!(
        "/sign-in/callback?error=x&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state={}",
        begun.get("state")
    );
    let shown = ask(&bench, &markup, &begun.cookie).await.body;
    assert!(
        shown.contains("&lt;script&gt;alert(1)") && !shown.contains("<script>alert"),
        "{shown}"
    );
}

#[tokio::test]
async fn somebody_without_a_role_stays_outside_and_is_told_whom_to_ask() {
    let provider = Provider::start().await;
    let bench = bench(&provider.address).await;
    let mut without = provider.good("", &[]);
    without.as_object_mut().unwrap().remove("groups");
    for claims in [provider.good("", &["guests"]), without] {
        let begun = begin(&bench).await;
        *provider.claims.lock() = claims;
        provider.claims.lock()["nonce"] = json!(begun.get("nonce"));
        let back = begun.finish(&bench).await;
        assert!(back.status == 403 && !is_inside(&back), "{}", back.head);
        let told = "signed in at Example as ana, but none of your groups has a role here";
        assert!(
            back.body.contains(told) && back.body.contains("dashboard.oidc.roles"),
            "{}",
            back.body
        );
    }
}

#[tokio::test]
async fn groups_may_come_from_userinfo_of_the_same_person_only() {
    let provider = Provider::start().await;
    let bench = bench(&provider.address).await;
    for (subject, status) in [("42", 200), ("43", 401)] {
        let begun = begin(&bench).await;
        let mut claims = provider.good(begun.get("nonce"), &[]);
        claims.as_object_mut().unwrap().remove("groups");
        *provider.claims.lock() = claims;
        *provider.userinfo.lock() = Some(json!({"sub": subject, "groups": "platform"}));
        let back = begun.finish(&bench).await;
        assert_eq!(
            (back.status, is_inside(&back)),
            (status, status == 200),
            "{}",
            back.body
        );
    }
}

#[tokio::test]
async fn a_token_that_the_provider_did_not_sign_opens_nothing() {
    let (provider, other) = (Provider::start().await, Provider::start().await);
    let bench = bench(&provider.address).await;
    let begun = begin(&bench).await;
    let claims = provider.good(begun.get("nonce"), &["platform"]);
    let unsigned = |alg: &str| format!("{}.{}.", part(&json!({"alg": alg, "kid": "k1"})), part(&claims));
    for (name, token) in [
        ("another key of the same name", other.sign(&claims)),
        (
            "a key of another name",
            other.sign_as(&json!({"alg": "ES256", "kid": "k2"}), &claims),
        ),
        ("no name", other.sign_as(&json!({"alg": "ES256"}), &claims)),
        (
            "a key in the header",
            other.sign_as(&json!({"alg": "ES256", "jku": other.address}), &claims),
        ),
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("no signature", unsigned("ES256")),
        ("the client's secret", with_secret(&claims)),
        ("nothing", String::new()),
    ] {
        *provider.token.lock() = Some(token);
        let back = begun.finish(&bench).await;
        assert_eq!(back.status, 401, "{name}: {}", back.body);
        assert!(!is_inside(&back), "{name}");
    }
    assert_eq!(
        provider.count("keys"),
        1,
        "keys that are not known are not asked for again at once"
    );
    assert_eq!((provider.count("metadata"), other.asked.lock().len()), (1, 0));
}

fn with_secret(claims: &Value) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let message = format!("{}.{}", part(&json!({"alg": "HS256", "kid": "k1"})), part(claims));
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn while_the_provider_cannot_be_reached_tokens_still_open_the_dashboard() {
    // Nothing listens there.
    let bench = bench("http://127.0.0.1:9").await;
    let failed = ask(&bench, "/sign-in/provider", "").await;
    assert_eq!(failed.status, 503);
    let told = failed.body.contains("Example cannot be reached") && failed.body.contains("name=\"token\"");
    assert!(told, "{}", failed.body);
}

#[tokio::test]
async fn a_provider_that_is_another_one_or_answers_without_end_or_with_a_redirect_is_not_trusted() {
    for (kind, why) in [
        (Metadata::Foreign, "it identifies itself as https://evil.example"),
        (Metadata::Huge, "too large"),
        (Metadata::Moved, "answered 307"),
    ] {
        let provider = Provider::start().await;
        *provider.metadata.lock() = kind;
        let bench = bench(&provider.address).await;
        for _ in 0..3 {
            let failed = ask(&bench, "/sign-in/provider", "").await;
            assert!(failed.status == 503 && failed.body.contains(why), "{}", failed.body);
        }
        assert_eq!(
            provider.count("metadata"),
            1,
            "a failure is not asked for again at once"
        );
    }
}

#[tokio::test]
async fn a_sign_in_ends_on_a_page_of_ours_with_a_session_that_nobody_knew_before() {
    let provider = Provider::start().await;
    let bench = bench(&provider.address).await;
    let begun = begin(&bench).await;
    *provider.claims.lock() = provider.good(begun.get("nonce"), &["sre"]);
    // Somebody changes where the cookie leads, and plants a session.
    let (name, value) = begun.cookie.split_once('=').unwrap();
    let mut kept: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).unwrap()).unwrap();
    kept["next"] = json!("//evil.example");
    let cookie = format!("{name}={}; tideline_session=planted", part(&kept));
    let path = format!("/sign-in/callback?code=c&state={}", begun.get("state"));
    let back = ask(&bench, &path, &cookie).await;
    assert!(back.status == 200 && back.body.contains("url=/\""), "{}", back.body);
    assert_ne!(
        back.cookie("tideline_session").as_deref(),
        Some("tideline_session=planted")
    );
    assert_eq!(ask(&bench, "/", "tideline_session=planted").await.status, 303);
}

#[tokio::test]
async fn at_an_address_that_others_reach_the_provider_is_the_first_way_in() {
    let provider = Provider::start().await;
    let bench = listening("0.0.0.0:0", &provider.address).await;
    assert_eq!(ask(&bench, "/", "").await.status, 303);
    let form = ask(&bench, "/sign-in", "").await;
    assert!(
        form.status == 200 && form.body.contains("Sign in with Example"),
        "{}",
        form.body
    );
    assert_eq!(
        ask(&bench, "/v1/sources", "").await.status,
        403,
        "the API needs a token as before"
    );
}
