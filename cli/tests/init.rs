//! What `tideline init` writes reads every item of the API, or says that it does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Home, Said, free_address};

/// Items of each API.
const THINGS: u64 = 35;

/// A request: its path and its query.
struct Request {
    path: String,
    query: BTreeMap<String, String>,
}

impl Request {
    fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.query.get(name).map_or(otherwise, |text| text.parse().unwrap())
    }
}

/// Further headers, and the body.
type Answer = (&'static str, String);

/// Serves until the test ends, and returns its address.
fn serve(answer: impl Fn(&Request) -> Option<Answer> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let base = url::Url::parse(&address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4_096];
            let length = stream.read(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let target = text.split_whitespace().nth(1).unwrap_or_default();
            let url = base.join(target).unwrap();
            let request = Request {
                path: url.path().to_owned(),
                query: url.query_pairs().into_owned().collect(),
            };
            let (status, (headers, body)) = match answer(&request) {
                Some(answer) => ("200 OK", answer),
                None => ("404 Not Found", ("", "{}".to_owned())),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
                body.len()
            );
        }
    });
    address
}

/// Serves JSON.
fn serve_json(answer: impl Fn(&Request) -> Option<Value> + Send + 'static) -> String {
    serve(move |request| Some(("", answer(request)?.to_string())))
}

fn things(from: u64, size: u64) -> Vec<Value> {
    let end = THINGS.min(from.saturating_add(size));
    // Two things each have the same name.
    (from.min(end)..end)
        .map(|number| json!({"id": format!("t{number}"), "name": format!("n{}", number / 2)}))
        .collect()
}

fn init(home: &Home, url: &str) -> Said {
    home.run(&["init", url, "--name", "api", "--force"])
}

/// The number of entities that a cycle would read.
fn assert_all_are_read(api: &str, url: &str) {
    let home = Home::empty();
    let said = init(&home, url).with_code(0);
    assert!(!said.err.contains("Warning"), "{api}: {said:?}");
    let config = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    home.run(&["check"]).with_code(0);
    let plan = home.run(&["plan", "api", "--summary", "--json"]).with_code(8).json();
    assert_eq!(plan["entities"], json!(THINGS), "{api}: {plan}\n{config}");
}

#[test]
fn init_reads_all_pages_that_are_counted() {
    let spring = serve_json(|request| {
        let (page, size) = (request.number("page", 0), request.number("size", 20));
        let pages = THINGS.div_ceil(size);
        let body = json!({"content": things(page * size, size), "number": page, "size": size, "first": page == 0,
            "last": page + 1 >= pages, "totalPages": pages, "totalElements": THINGS});
        Some(body)
    });
    for query in ["", "?page=0&size=10", "?page=1&size=10", "?page=2&size=5"] {
        assert_all_are_read("Spring", &format!("{spring}/api/things{query}"));
    }
    let jira = serve_json(|request| {
        let (start, size) = (request.number("startAt", 0), request.number("maxResults", 5));
        let body = json!({"startAt": start, "maxResults": size, "isLast": start + size >= THINGS, "values": things(start, size)});
        Some(body)
    });
    for query in ["", "?maxResults=10", "?startAt=20&maxResults=10"] {
        assert_all_are_read("Jira", &format!("{jira}/things{query}"));
    }
    let offsets = serve_json(|request| {
        let (offset, size) = (request.number("offset", 0), request.number("limit", 5));
        Some(json!({"data": things(offset, size), "total": THINGS}))
    });
    assert_all_are_read("offsets", &format!("{offsets}/things?limit=10&offset=0"));
    let numbers = serve_json(|request| {
        let (page, size) = (request.number("page", 1), request.number("per_page", 5));
        Some(things((page - 1) * size, size).into())
    });
    assert_all_are_read("page numbers", &format!("{numbers}/things?page=1&per_page=10"));
    let scim = serve_json(|request| {
        let (start, size) = (request.number("startIndex", 1), request.number("count", 5));
        let found = things(start - 1, size);
        let body =
            json!({"startIndex": start, "itemsPerPage": found.len(), "totalResults": THINGS, "Resources": found});
        Some(body)
    });
    assert_all_are_read("SCIM", &format!("{scim}/Users?startIndex=1&count=10"));
}

#[test]
fn init_reads_all_pages_that_a_response_names() {
    let stripe = serve_json(|request| {
        let after = request
            .query
            .get("starting_after")
            .map(|id| id[1..].parse::<u64>().unwrap() + 1);
        let (from, size) = (after.unwrap_or(0), request.number("limit", 5));
        Some(json!({"object": "list", "data": things(from, size), "has_more": from + size < THINGS}))
    });
    assert_all_are_read("Stripe", &format!("{stripe}/v1/charges?limit=10"));
    let salesforce = serve_json(|request| {
        let from = request
            .path
            .strip_prefix("/data/query/")
            .map_or(0, |from| from.parse().unwrap());
        let mut body = json!({"totalSize": THINGS, "done": from + 10 >= THINGS, "records": things(from, 10)});
        if from + 10 < THINGS {
            body["nextRecordsUrl"] = json!(format!("/data/query/{}", from + 10));
        }
        Some(body)
    });
    assert_all_are_read("Salesforce", &format!("{salesforce}/data/query?q=SELECT"));
    let gitlab = serve(|request| {
        let page = request.number("page", 1);
        let next = [
            "x-next-page: \r\n",
            "x-next-page: 2\r\n",
            "x-next-page: 3\r\n",
            "x-next-page: 4\r\n",
        ];
        let header = next[usize::try_from(page % 4).unwrap()];
        Some((header, Value::from(things((page - 1) * 10, 10)).to_string()))
    });
    assert_all_are_read("GitLab", &format!("{gitlab}/things?per_page=10"));
    let django = serve_json(|request| {
        let (page, size) = (request.number("page", 1), request.number("page_size", 5));
        let next = (page * size < THINGS).then(|| format!("/api/things/?page={}&page_size={size}", page + 1));
        let body = json!({"count": THINGS, "next": next, "previous": null, "results": things((page - 1) * size, size)});
        (request.path == "/api/things/").then_some(body)
    });
    assert_all_are_read("Django", &format!("{django}/api/things/?page_size=10"));
    let (sender, receiver) = std::sync::mpsc::channel::<String>();
    let confluence = serve_json(move |request| {
        let base = receiver.recv().unwrap();
        let (start, limit) = (request.number("start", 0), request.number("limit", 5));
        let mut links = json!({"base": format!("{base}/wiki"), "context": "/wiki"});
        if start + limit < THINGS {
            links["next"] = json!(format!("/rest/api/content?limit={limit}&start={}", start + limit));
        }
        let body = json!({"results": things(start, limit), "_links": links});
        (request.path == "/wiki/rest/api/content").then_some(body)
    });
    let base = confluence.clone();
    std::thread::spawn(move || while sender.send(base.clone()).is_ok() {});
    assert_all_are_read("Confluence", &format!("{confluence}/wiki/rest/api/content?limit=10"));
}

#[test]
fn init_warns_of_a_response_that_says_that_there_is_more_but_not_how_to_get_it() {
    let api = serve_json(|_| Some(json!({"data": things(0, 5), "total": THINGS, "has_more": true})));
    let home = Home::empty();
    let url = format!("{api}/things");
    let said = init(&home, &url).with_code(0);
    let warning = "The response says that there is more (total 35, has_more: true), but not how to get it: set pagination \
                   before you run this.";
    assert!(said.err.contains(warning), "{said:?}");
    let json = home.run(&["init", &url, "--force", "--json"]).with_code(0).json();
    assert_eq!(json["warnings"], json!([warning]));
    let quiet = home.run(&["-q", "init", &url, "--force"]).with_code(0);
    assert_eq!(quiet.out, "");
    assert!(quiet.err.contains(warning), "{quiet:?}");
}

#[test]
fn init_names_what_it_cannot_read() {
    let api = serve(|request| {
        let answer = match request.path.as_str() {
            "/page" => ("", "<!doctype html><title>Welcome</title>"),
            "/errors" => ("", r#"{"errors": [{"message": "Bad credentials"}], "data": null}"#),
            "/csv" => ("content-type: text/csv\r\n", "id,name\n1,a\n"),
            "/xml" => ("content-type: application/xml\r\n", "<?xml version=\"1.0\"?><things/>"),
            "/rss" => ("", "<?xml version=\"1.0\"?><rss version=\"2.0\"/>"),
            _ => ("", r#"[{"id": 1}]"#),
        };
        Some((answer.0, answer.1.to_owned()))
    });
    let home = Home::empty();
    for (path, says) in [
        ("page", "returned a web page, not JSON"),
        ("errors", "the response is an error, not a list: Bad credentials"),
        ("csv", "returned CSV, which Tideline cannot read"),
        ("xml", "returned XML, which Tideline cannot read"),
        ("rss", "returned RSS, which Tideline cannot read"),
        (
            "things?filter={name}",
            "the configuration for this URL would not be valid",
        ),
    ] {
        let said = init(&home, &format!("{api}/{path}")).with_code(4);
        assert!(
            said.err.contains(says) && !said.err.contains("tideline.yaml"),
            "{said:?}"
        );
        assert!(!home.path("tideline.yaml").exists(), "{path}");
    }
}

#[test]
fn a_name_that_no_source_may_have_is_a_wrong_use_of_init_and_nothing_is_requested() {
    let home = Home::empty();
    let url = format!("http://{}/things", free_address());
    let said = home.run(&["init", &url, "--name", "bad name"]).with_code(2);
    assert!(
        said.err.contains("--name") && said.err.contains("must be 1 to 63 letters"),
        "{said:?}"
    );
}

#[test]
fn an_address_where_nobody_listens_is_named_with_its_port_and_the_cause() {
    let url = format!("http://{}/things", free_address());
    let said = Home::empty().run(&["init", &url]).with_code(4);
    let expected = format!("cannot reach {url}: connection refused");
    assert!(said.err.contains(&expected), "{said:?}");
}
