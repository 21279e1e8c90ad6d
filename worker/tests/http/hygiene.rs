//! Redirects, and secrets in what people read.

use serde_json::json;
use tideline_config::settings::{Auth, HttpSettings, Pagination};
use tideline_core::words::Secret;
use tideline_worker::{ErrorClass, Item};

use crate::api::*;

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let other = Api::start(|_| answer(json!(components(0, 1)))).await;
    let target = format!("{}things?sig=abc", other.url);
    let api = Api::start(move |_| status(302, &[("location", &target)], "")).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.auth = Auth::Bearer(Secret::new("hush-hush"));
    let error = first(&open(settings)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(
        error.message.contains("base_url") && !error.message.contains("sig"),
        "{error}"
    );
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_a_few_times() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/things" => status(307, &[("location", "/moved/here")], ""),
        "/moved/here" => {
            assert_eq!(seen.header("authorization"), Some("Bearer hush-hush"));
            answer(json!(components(0, 1)))
        }
        _ => status(302, &[("location", "/loop")], ""),
    })
    .await;
    let mut settings = things(&api.url, Pagination::None);
    settings.auth = Auth::Bearer(Secret::new("hush-hush"));
    assert_eq!(references(&first(&open(settings.clone())).await.unwrap()).len(), 1);
    settings.resources[0].path = "/loop".into();
    let error = first(&open(settings)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(api.count() < 12, "{}", api.count());
    assert!(
        error.message.contains("/loop, which is one redirect too many"),
        "{error}"
    );
}

#[tokio::test]
async fn a_post_is_not_sent_on_as_a_get_without_its_body() {
    for (code, follows) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let api = Api::start(move |seen| match seen.path.as_str() {
            "/things" => status(code, &[("location", "/things/")], ""),
            _ => answer(json!(components(0, 1))),
        })
        .await;
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].post = true;
        settings.resources[0].body = Some(json!({"team": "a"}));
        match first(&open(settings)).await {
            Ok(_) => assert!(follows, "{code}"),
            Err(error) => assert!(
                !follows && error.message.contains("/things/, and a POST"),
                "{code}: {error}"
            ),
        }
        assert_eq!(api.count(), if follows { 2 } else { 1 }, "{code}");
    }
}

#[tokio::test]
async fn xml_is_called_xml() {
    let feed = "<?xml version=\"1.0\"?><feed><entry/></feed>";
    for headers in [&[("content-type", "application/atom+xml")][..], &[]] {
        let headers = headers.to_vec();
        let api = Api::start(move |_| status(200, &headers, feed)).await;
        let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
        assert!(error.message.contains("answered XML, which cannot be read"), "{error}");
    }
}

#[tokio::test]
async fn no_error_and_no_sample_tells_a_secret() {
    const ECHO: &str = "you sent hush-hush to https://me:pw@h/p?sig=zzz with {\"password\": \"letmein\"}";
    for code in [200, 400, 401, 403, 404, 429, 500] {
        let api = Api::start(move |_| status(code, &[], ECHO)).await;
        let mut settings = things(&api.url, Pagination::None);
        settings.auth = Auth::Bearer(Secret::new("hush-hush"));
        settings.headers.insert("x-key".into(), Secret::new("key-key-key"));
        settings.resources[0]
            .query
            .insert("api_key".into(), vec!["in-query".into()]);
        settings.base_url.set_username("me").unwrap();
        settings.base_url.set_password(Some("base-pw")).unwrap();
        let error = first(&open(settings)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in [
            "hush-hush",
            "key-key-key",
            "in-query",
            "base-pw",
            "sig=",
            "me:pw",
            "letmein",
        ] {
            assert!(!text.contains(secret), "{code}: {secret} in {text}");
        }
    }
    let api = Api::start(|_| answer(json!([{"note": "hush-hush", "apiToken": "letmein"}]))).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.auth = Auth::Bearer(Secret::new("hush-hush"));
    let page = first(&open(settings)).await.unwrap();
    let Item::Malformed(item) = &items(&page)[0] else {
        panic!("{page:?}")
    };
    assert!(
        !item.sample.contains("hush-hush") && !item.sample.contains("letmein"),
        "{}",
        item.sample
    );
    assert!(item.sample.contains("[redacted]"), "{}", item.sample);
}

#[tokio::test]
async fn a_cursor_that_repeats_the_credential_is_refused() {
    let api = Api::start(|_| answer(json!({"items": [], "next": "/things?after=1&access_token=hush-hush"}))).await;
    let pagination = Pagination::NextUrl {
        next: ".next".into(),
        size: None,
    };
    let mut settings = things(&api.url, pagination);
    settings.auth = Auth::Bearer(Secret::new("hush-hush"));
    let page = first(&open(settings)).await.unwrap();
    assert_eq!(page.next, None);
    let error = page.failure.unwrap();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(!error.message.contains("hush-hush"), "{error}");
}

/// With a key and an organization from the environment in query and body.
fn with_variables(base_url: &url::Url, pagination: Pagination) -> HttpSettings {
    let mut settings = things(base_url, pagination);
    settings.variables = ["k3y/from=env", "acme-corp"].map(Secret::new).to_vec();
    let resource = &mut settings.resources[0];
    resource.query.insert("api_key".into(), vec!["k3y/from=env".into()]);
    resource.query.insert("filter".into(), vec!["org eq acme-corp".into()]);
    resource.query.insert("sig".into(), vec!["written-here".into()]);
    resource.post = true;
    resource.body = Some(json!({"variables": {"clientSecret": "in-the-body", "login": "of acme-corp"}}));
    settings
}

#[tokio::test]
async fn an_api_that_echoes_query_and_body_makes_no_error_and_no_sample_tell_their_secrets() {
    let echoes = [
        "Cannot POST {path}",
        "{\"error\": \"no route for {path}\"}",
        "you are k3y/from=env of acme-corp",
        "{\"args\": {\"api_key\": [\"k3y/from=env\"], \"sig\": [\"written-here\"]}, \"data\": {body}}",
    ];
    for (code, echo) in [200, 404, 500]
        .into_iter()
        .flat_map(|code| echoes.map(|echo| (code, echo)))
    {
        let api = Api::start(move |seen| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&seen.query)
                .finish();
            let text = echo
                .replace("{path}", &format!("{}?{query}", seen.path))
                .replace("{body}", &seen.body);
            status(code, &[], &text)
        })
        .await;
        let error = first(&open(with_variables(&api.url, Pagination::None)))
            .await
            .unwrap_err();
        let text = format!("{error} {error:?}");
        for secret in ["k3y", "acme-corp", "written-here", "in-the-body"] {
            assert!(!text.contains(secret), "{code}: {secret} in {text}");
        }
        assert!(text.contains("[redacted]"), "{text}");
    }
}

#[tokio::test]
async fn a_cursor_may_hold_what_a_variable_stands_for_but_no_key() {
    let pagination = || Pagination::NextUrl {
        next: ".next".into(),
        size: None,
    };
    let api = Api::start(|_| answer(json!({"items": [], "next": "/orgs/acme-corp/things?after=1"}))).await;
    let page = first(&open(with_variables(&api.url, pagination()))).await.unwrap();
    assert_eq!(page.next, Some(json!("/orgs/acme-corp/things?after=1")));
    let api = Api::start(|_| answer(json!({"items": [], "next": "/things?after=1&k=k3y/from=env"}))).await;
    let page = first(&open(with_variables(&api.url, pagination()))).await.unwrap();
    let error = page.failure.unwrap();
    assert!(error.message.contains("repeats a credential"), "{error}");
}

#[tokio::test]
async fn a_variable_in_a_path_is_shown_in_no_error_and_no_sample() {
    for code in [400, 404, 500, 200] {
        let api = Api::start(move |seen| status(code, &[], &format!("no such thing: {}", seen.path))).await;
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].path = "/hook/pa-th-se-cret/things".into();
        settings.variables = vec![Secret::new("pa-th-se-cret")];
        let error = first(&open(settings)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("pa-th-se-cret"), "{code}: {text}");
    }
}
