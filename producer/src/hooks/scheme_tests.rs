//! Vectors that the providers publish.

use axum::http::{HeaderName, HeaderValue};
use tideline_config::parse;

use super::*;

fn hook(yaml: &str) -> HookSettings {
    let text = format!("hooks: [{yaml}]");
    let mut settings = parse(&text, "t.yaml".as_ref(), &|_| None).unwrap();
    settings.hooks.remove(0)
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

fn verdict(yaml: &str, pairs: &[(&str, &str)], body: &str, now: Timestamp) -> Result<(), Refusal> {
    Verifier::new(&hook(yaml)).verify(&headers(pairs), body.as_bytes(), now)
}

const T0: Timestamp = Timestamp(0);
const GITHUB: &str = "{ name: g, provider: github, secret: \"It's a Secret to Everybody\" }";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

#[test]
fn the_vector_of_githubs_documentation_verifies_and_no_other_body_does() {
    let given = [("X-Hub-Signature-256", GITHUB_SIGNATURE)];
    assert_eq!(verdict(GITHUB, &given, "Hello, World!", T0), Ok(()));
    assert_eq!(verdict(GITHUB, &given, "Hello, World", T0), Err(Refusal::Wrong));
}

#[test]
fn a_missing_an_empty_and_a_short_signature_are_refused_and_crash_nothing() {
    let refused = |value: &str| verdict(GITHUB, &[("x-hub-signature-256", value)], "Hello, World!", T0);
    assert_eq!(verdict(GITHUB, &[], "Hello, World!", T0), Err(Refusal::Missing));
    assert_eq!(refused(""), Err(Refusal::Missing));
    for wrong in [
        "sha256=",
        "sha256=75",
        "sha256=zz",
        "757107ea",
        "sha1=757107ea",
        &GITHUB_SIGNATURE[..70],
    ] {
        assert_eq!(refused(wrong), Err(Refusal::Wrong), "{wrong}");
    }
}

#[test]
fn both_secrets_verify_while_one_is_rotated() {
    let rotated = "{ name: g, provider: github, secret: old, next_secret: \"It's a Secret to Everybody\" }";
    let given = [("x-hub-signature-256", GITHUB_SIGNATURE)];
    assert_eq!(verdict(rotated, &given, "Hello, World!", T0), Ok(()));
}

#[test]
fn terraforms_signature_is_a_sha512_in_hex_and_an_empty_one_counts_as_missing() {
    // RFC 4231, test case 2.
    let terraform = "{ name: t, provider: terraform, secret: Jefe }";
    let fits = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b6\
                36e070a38bce737";
    let given = |value| {
        verdict(
            terraform,
            &[("X-TFE-Notification-Signature", value)],
            "what do ya want for nothing?",
            T0,
        )
    };
    assert_eq!(given(fits), Ok(()));
    assert_eq!(given(""), Err(Refusal::Missing));
    assert_eq!(given(&fits[..64]), Err(Refusal::Wrong));
}

const STANDARD_HOOK: &str = "{ name: s, provider: standard, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }";
const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;

#[test]
fn the_vector_of_standard_webhooks_verifies_within_its_window_only() {
    // https://github.com/standard-webhooks/standard-webhooks, and the tests of its libraries.
    let given = |signature, now| {
        let pairs = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        verdict(STANDARD_HOOK, &pairs, STANDARD_BODY, Timestamp(now))
    };
    let fits = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let at = 1_614_265_330_000;
    assert_eq!(given(fits, at), Ok(()));
    assert_eq!(given(fits, at + 300_000), Ok(()));
    assert_eq!(given(fits, at + 301_000), Err(Refusal::Late));
    assert_eq!(given(fits, at - 301_000), Err(Refusal::Late));
    let several = format!("v1,AAAA v1a,xyz {fits}");
    assert_eq!(given(&several, at), Ok(()));
    assert_eq!(
        given("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", at),
        Err(Refusal::Wrong)
    );
    assert_eq!(given("", at), Err(Refusal::Missing));
}

#[test]
fn a_token_and_a_password_are_compared_whole() {
    let gitlab = "{ name: l, provider: gitlab, secret: s3cret }";
    assert_eq!(verdict(gitlab, &[("X-Gitlab-Token", "s3cret")], "{}", T0), Ok(()));
    for wrong in ["s3cre", "s3crett", "S3cret"] {
        assert_eq!(
            verdict(gitlab, &[("X-Gitlab-Token", wrong)], "{}", T0),
            Err(Refusal::Wrong)
        );
    }
    let azure = "{ name: a, provider: azure-devops, secret: pass }";
    // user:pass, user:word
    assert_eq!(
        verdict(azure, &[("Authorization", "Basic dXNlcjpwYXNz")], "{}", T0),
        Ok(())
    );
    assert_eq!(
        verdict(azure, &[("Authorization", "Basic dXNlcjp3b3Jk")], "{}", T0),
        Err(Refusal::Wrong)
    );
    assert_eq!(verdict(azure, &[], "{}", T0), Err(Refusal::Missing));
    let own = "{ name: o, provider: token, secret: pass, header: X-Key }";
    assert_eq!(verdict(own, &[("x-key", "pass")], "{}", T0), Ok(()));
}

#[test]
fn a_signature_of_ones_own_form_verifies() {
    // RFC 4231, test case 2.
    let own = "{ name: o, provider: hmac, secret: Jefe, header: X-Sig, encoding: base64, prefix: \"v0=\" }";
    let fits = "v0=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    assert_eq!(
        verdict(own, &[("x-sig", fits)], "what do ya want for nothing?", T0),
        Ok(())
    );
    assert_eq!(
        verdict(own, &[("x-sig", &fits[3..])], "what do ya want for nothing?", T0),
        Err(Refusal::Wrong)
    );
}

/// The vector of <https://api.slack.com/authentication/verifying-requests-from-slack>.
#[test]
fn the_vector_of_slacks_documentation_verifies_within_five_minutes_only() {
    let slack = "{ name: s, provider: hmac, secret: 8f742231b10e8888abcd99yyyzzz85a5, header: X-Slack-Signature, prefix: v0=, \
                 signed: \"v0:{header:X-Slack-Request-Timestamp}:{body}\", timestamp: X-Slack-Request-Timestamp }";
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
                trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let given = |moment: &str, now: i64| {
        let pairs = [("x-slack-request-timestamp", moment), ("x-slack-signature", signature)];
        verdict(slack, &pairs, body, Timestamp(now))
    };
    let at = 1_531_420_618_000;
    assert_eq!(given("1531420618", at), Ok(()));
    assert_eq!(given("1531420618", at + 300_000), Ok(()));
    assert_eq!(given("1531420618", at + 301_000), Err(Refusal::Late));
    assert_eq!(given("1531420619", at), Err(Refusal::Wrong), "the time is signed");
    assert_eq!(given("", at), Err(Refusal::Missing));
}

/// As of <https://docs.stripe.com/webhooks#verify-manually>: a list with the time and, while a secret is rotated, two
/// signatures.
#[test]
fn a_signature_in_a_list_with_its_time_verifies() {
    let stripe = "{ name: s, provider: hmac, secret: whsec_test, header: Stripe-Signature, prefix: v1=, \
                  signed: \"{header:Stripe-Signature:t}.{body}\", timestamp: \"Stripe-Signature:t\" }";
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"whsec_test").unwrap();
    mac.update(b"1600000000.{}");
    let fits = hex::encode(mac.finalize().into_bytes());
    let given = |header: String, now: i64| verdict(stripe, &[("stripe-signature", &header)], "{}", Timestamp(now));
    let (at, other) = (1_600_000_000_000, "00".repeat(32));
    assert_eq!(given(format!("t=1600000000,v1={fits},v0={other}"), at), Ok(()));
    assert_eq!(given(format!("t=1600000000,v1={other},v1={fits}"), at), Ok(()));
    assert_eq!(given(format!("t=1600000000,v0={fits}"), at), Err(Refusal::Wrong));
    assert_eq!(given(format!("t=1600000001,v1={fits}"), at), Err(Refusal::Wrong));
    assert_eq!(
        given(format!("t=1600000000,v1={fits}"), at + 301_000),
        Err(Refusal::Late)
    );
    assert_eq!(given(format!("v1={fits}"), at), Err(Refusal::Missing));
}
