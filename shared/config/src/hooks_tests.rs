use super::super::parse;

fn problem(hook: &str) -> Option<String> {
    let text = format!("hooks: [{hook}]");
    parse(&text, "t.yaml".as_ref(), &|_| None)
        .err()
        .map(|error| error.to_string())
}

#[test]
fn a_hook_cannot_take_the_topics_on_which_tideline_tells_of_itself() {
    for hook in [
        "{ name: sweep, provider: github, secret: s }",
        "{ name: job.x, provider: github, secret: s }",
        "{ name: ci, provider: github, secret: s, topic: source.blocked }",
    ] {
        let problem = problem(hook).unwrap();
        assert!(
            problem.contains("is reserved for Tideline's own events"),
            "{hook}: {problem}"
        );
    }
    assert_eq!(
        problem("{ name: sweeper, provider: github, secret: s, topic: jobs.done }"),
        None
    );
}

#[test]
fn a_hook_that_no_url_reaches_is_refused() {
    for hook in [
        "{ name: .., provider: github, secret: s }",
        "{ name: ci, provider: github, secret: s, path_id: a/b }",
        "{ name: ci, provider: github, secret: s, path_id: .. }",
        "{ name: ci, provider: github, secret: s, path_id: \"a b\" }",
    ] {
        assert!(problem(hook).is_some(), "{hook}");
    }
    assert_eq!(
        problem("{ name: ci.x, provider: github, secret: s, path_id: aB+1_= }"),
        None
    );
}

#[test]
fn a_second_secret_beside_a_stored_one_is_refused_because_it_would_verify_nothing() {
    let problem = problem("{ name: ci, provider: github, stored_secret: true, next_secret: s }").unwrap();
    assert!(
        problem.contains("stored_secret: must not be true together with secret, next_secret"),
        "{problem}"
    );
}

#[test]
fn a_time_that_is_not_signed_is_refused() {
    let hook = |signed: &str| {
        format!("{{ name: s, provider: hmac, secret: s, header: X-Sig, {signed} timestamp: X-Time, tolerance: 1m }}")
    };
    assert!(problem(&hook("")).unwrap().contains("must be a part of signed"));
    assert_eq!(problem(&hook("signed: \"{header:X-Time}.{body}\",")), None);
}

#[test]
fn a_malformed_standard_webhooks_secret_is_refused_and_not_taken_as_a_text() {
    let hook = |secret: &str| problem(&format!("{{ name: s, provider: standard, {secret} }}"));
    for secret in [
        "secret: \"whsec_%%\"",
        "secret: whsec_",
        "secret: whsec_c2hvcnQ=",
        // The last character has bits that belong to no byte.
        "secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
    ] {
        let problem = hook(secret).unwrap();
        assert!(
            problem.contains("hooks[0].secret: must be whsec_ and 24 to 64 bytes in base64"),
            "{secret}: {problem}"
        );
        assert!(!problem.contains("%%"), "{problem}");
    }
    let second = hook("secret: s, next_secret: \"whsec_%%\"").unwrap();
    assert!(second.contains("hooks[0].next_secret: must be whsec_"), "{second}");
    assert_eq!(hook("secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), None);
    assert_eq!(hook("secret: any text"), None);
    // Stripe signs with the whole text.
    assert_eq!(
        problem("{ name: s, provider: hmac, secret: whsec_test, header: X-Sig }"),
        None
    );
}
