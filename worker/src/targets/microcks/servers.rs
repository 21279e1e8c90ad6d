//! Names mocks in an API's definition, as servers, in place: lines are added and nothing else is changed. The result is
//! read again and compared with what it should be; a definition that cannot be changed so is left alone.

use saphyr_parser::{Event, Parser};
use serde_json::{Value, json};
use url::Url;

use crate::sources::files::yaml;

/// The parsed form of a definition may be longer than its text, by aliases.
const MAX_GROWTH: u64 = 4;

/// The definition with these addresses: as further `servers` of OpenAPI 3; the first one as `host`, `basePath` and
/// `schemes` of Swagger 2, if it names no host; those of WebSockets as further `servers` of AsyncAPI. None: it is none
/// of these, has nothing to gain, or is written in a way that cannot be changed.
pub(super) fn with_servers(definition: &str, urls: &[String]) -> Option<String> {
    let mut wanted = parse(definition)?;
    let outline = Outline::read(definition)?;
    let is_async = wanted.get("asyncapi").is_some();
    let urls: Vec<&String> = urls.iter().filter(|url| url.starts_with("ws") == is_async).collect();
    let edited = if is_async {
        let new = async_servers(&wanted, &urls)?;
        let servers = wanted.as_object_mut()?.entry("servers").or_insert_with(|| json!({}));
        servers.as_object_mut()?.extend(new.iter().cloned());
        outline.with_members("servers", &new)?
    } else if wanted.get("openapi").is_some() {
        let servers = wanted.as_object_mut()?.entry("servers").or_insert_with(|| json!([]));
        let servers = servers.as_array_mut()?;
        let is_new = |url: &&&String| !servers.iter().any(|server| server["url"] == url.as_str());
        let new: Vec<Value> = urls.iter().filter(is_new).map(|url| json!({ "url": url })).collect();
        if new.is_empty() {
            return None;
        }
        servers.extend(new.iter().cloned());
        outline.with_items("servers", &new)?
    } else if wanted.get("swagger").is_some() && wanted.get("host").is_none() {
        let url: Url = urls.first()?.parse().ok()?;
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut added = vec![("host", json!(authority)), ("basePath", json!(url.path()))];
        if wanted.get("schemes").is_none() {
            added.push(("schemes", json!([url.scheme()])));
        }
        // A base path of the real API is not a path of the mock.
        let text = outline.without("basePath");
        let document = wanted.as_object_mut()?;
        document.extend(added.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Outline::read(&text)?.with_keys(&added)?
    } else {
        return None;
    };
    (parse(&edited)? == wanted && edited != definition).then_some(edited)
}

/// The servers that an AsyncAPI definition gains, by name. None: there are none.
fn async_servers(definition: &Value, urls: &[&String]) -> Option<Vec<(String, Value)>> {
    let is_old = definition["asyncapi"]
        .as_str()
        .is_some_and(|version| version.starts_with("2."));
    let server = |url: &&String| {
        let parsed: Url = url.parse().ok()?;
        let protocol = parsed.scheme();
        let value = if is_old {
            json!({ "url": url, "protocol": protocol })
        } else {
            let host = &parsed[url::Position::BeforeHost..url::Position::AfterPort];
            json!({ "host": host, "pathname": parsed.path(), "protocol": protocol })
        };
        // The version names the mock.
        let version = url.rsplit('/').next().unwrap_or_default();
        let legal = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '-'
            }
        };
        Some((version.chars().map(legal).collect::<String>(), value))
    };
    let is_new = |(name, _): &(String, Value)| definition["servers"].get(name).is_none();
    let new: Vec<(String, Value)> = urls.iter().filter_map(server).filter(is_new).collect();
    (!new.is_empty()).then_some(new)
}

/// The only document of the text, a mapping.
fn parse(text: &str) -> Option<Value> {
    let limit = (text.len() as u64).saturating_mul(MAX_GROWTH).max(1 << 16);
    let mut documents = yaml::documents(text.as_bytes(), limit);
    let document = documents.pop().filter(|_| documents.is_empty())?.ok()?;
    serde_json::from_str(&document).ok().filter(Value::is_object)
}

/// Where the keys of a document's outermost mapping stand. Places are in bytes.
struct Outline<'t> {
    text: &'t str,
    /// Of a mapping in braces: after the brace.
    brace: Option<usize>,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    start: usize,
    list: Option<List>,
    members: Option<Members>,
}

/// A mapping below a key.
struct Members {
    /// Of one in braces: after the brace.
    brace: Option<usize>,
    /// Where the first member stands.
    first: Option<usize>,
}

struct List {
    start: usize,
    /// Of one in brackets: the place of the closing one.
    bracket: Option<usize>,
    is_empty: bool,
}

impl<'t> Outline<'t> {
    /// None: it is not a mapping, or one of another kind.
    fn read(text: &'t str) -> Option<Self> {
        // Places of the parser count characters.
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        let mut outline: Option<Self> = None;
        // In the outermost mapping, keys and values take turns.
        let (mut depth, mut is_key) = (0_usize, true);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.ok()?;
            let at = bytes.get(span.start.index()).copied().unwrap_or(text.len());
            let starts = |what: char| text.get(at..).is_some_and(|rest| rest.starts_with(what));
            match event {
                Event::MappingStart(..) if depth == 0 => {
                    outline = Some(Self {
                        text,
                        brace: starts('{').then_some(at + 1),
                        keys: Vec::new(),
                    });
                    depth = 1;
                }
                Event::Scalar(name, ..) if depth == 1 && is_key => {
                    outline.as_mut()?.keys.push(Key {
                        name: name.into_owned(),
                        start: at,
                        list: None,
                        members: None,
                    });
                    is_key = false;
                }
                Event::Scalar(..) | Event::Alias(_) if depth == 1 => is_key = !is_key,
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    if depth == 1 && is_key {
                        return None;
                    }
                    if depth == 1 && matches!(event, Event::MappingStart(..)) {
                        outline.as_mut()?.keys.last_mut()?.members = Some(Members {
                            brace: starts('{').then_some(at + 1),
                            first: None,
                        });
                    } else if depth == 1 && matches!(event, Event::SequenceStart(..)) {
                        outline.as_mut()?.keys.last_mut()?.list = Some(List {
                            start: at,
                            bracket: None,
                            is_empty: true,
                        });
                    } else if depth == 2 {
                        outline.as_mut()?.has_item(at);
                    }
                    depth += 1;
                }
                Event::Scalar(..) | Event::Alias(_) if depth == 2 => outline.as_mut()?.has_item(at),
                Event::MappingEnd | Event::SequenceEnd => {
                    depth = depth.checked_sub(1)?;
                    if depth == 1 {
                        is_key = true;
                        if let Some(list) = outline.as_mut()?.keys.last_mut()?.list.as_mut() {
                            list.bracket = starts(']').then_some(at);
                        }
                    }
                    if depth == 0 {
                        return outline;
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Something stands within the value of the last key.
    fn has_item(&mut self, at: usize) {
        let Some(key) = self.keys.last_mut() else { return };
        if let Some(list) = &mut key.list {
            list.is_empty = false;
        }
        if let Some(members) = &mut key.members {
            members.first.get_or_insert(at);
        }
    }

    /// With these members at the beginning of the mapping of this key.
    fn with_members(&self, name: &str, added: &[(String, Value)]) -> Option<String> {
        let Some(key) = self.keys.iter().find(|key| key.name == name) else {
            let all: serde_json::Map<String, Value> = added.iter().cloned().collect();
            return self.with_keys(&[(name, Value::Object(all))]);
        };
        let members = key.members.as_ref()?;
        if let Some(brace) = members.brace {
            let added: Vec<String> = added.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let comma = if members.first.is_some() { "," } else { "" };
            return Some(insert(self.text, brace, &format!("{}{comma}", added.join(","))));
        }
        let first = members.first?;
        let indent = self.indent(first)?;
        let added: String = added
            .iter()
            .map(|(key, value)| format!("{indent}{key}: {value}\n"))
            .collect();
        Some(insert(self.text, self.line(first), &added))
    }

    /// With these items at the end of the list of this key.
    fn with_items(&self, name: &str, items: &[Value]) -> Option<String> {
        let Some(place) = self.keys.iter().position(|key| key.name == name) else {
            return self.with_keys(&[(name, json!(items))]);
        };
        let list = self.keys[place].list.as_ref()?;
        if let Some(bracket) = list.bracket {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            let before = self.text[..bracket].trim_end();
            let comma = if list.is_empty || before.ends_with(',') {
                ""
            } else {
                ","
            };
            return Some(insert(self.text, before.len(), &format!("{comma}{}", items.join(","))));
        }
        // A block: its dashes stand in one column, and its end is where the next key begins. One that is not indented
        // begins, for the parser, behind its first dash.
        let is_dash = self.text[list.start..].starts_with('-');
        let first = if is_dash {
            list.start
        } else {
            self.text[..list.start].rfind('-')?
        };
        let indent = self.indent(first)?;
        let items: String = items.iter().map(|item| format!("{indent}- {item}\n")).collect();
        match self.keys.get(place + 1) {
            Some(next) => Some(insert(self.text, self.line(next.start), &items)),
            None => {
                let newline = if self.text.ends_with('\n') { "" } else { "\n" };
                Some(format!("{}{newline}{items}", self.text))
            }
        }
    }

    /// With these keys before the first one.
    fn with_keys(&self, added: &[(&str, Value)]) -> Option<String> {
        if let Some(brace) = self.brace {
            let added: Vec<String> = added.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let comma = if self.keys.is_empty() { "" } else { "," };
            return Some(insert(self.text, brace, &format!("{}{comma}", added.join(","))));
        }
        // Where they are expected: after `info`, before what it describes.
        let first = self.keys.first()?;
        let next = self
            .keys
            .iter()
            .find(|key| matches!(key.name.as_str(), "paths" | "channels"));
        let next = next.unwrap_or(first);
        let indent = self.indent(next.start)?;
        let added: String = added
            .iter()
            .map(|(key, value)| format!("{indent}{key}: {value}\n"))
            .collect();
        Some(insert(self.text, self.line(next.start), &added))
    }

    /// Without this key, if it stands on a line of its own or in front of a comma.
    fn without(&self, name: &str) -> String {
        let Some(place) = self.keys.iter().position(|key| key.name == name) else {
            return self.text.to_owned();
        };
        let start = self.keys[place].start;
        let (from, to) = match (self.brace, self.keys.get(place + 1)) {
            (None, Some(next)) => (self.line(start), self.line(next.start)),
            (None, None) => (self.line(start), self.text.len()),
            (Some(_), Some(next)) => (start, next.start),
            // The last one of braces: the comma before it goes as well.
            (Some(brace), None) => {
                let before = self.text[..start].trim_end().trim_end_matches(',').len().max(brace);
                let end = self.text[start..].find([',', '}', '\n']).map_or(start, |at| start + at);
                (before, end)
            }
        };
        format!("{}{}", &self.text[..from], &self.text[to..])
    }

    /// Where the line of a place begins.
    fn line(&self, place: usize) -> usize {
        self.text[..place].rfind('\n').map_or(0, |at| at + 1)
    }

    /// What stands before a place on its line, if that is nothing but space.
    fn indent(&self, place: usize) -> Option<&'t str> {
        let before = &self.text[self.line(place)..place];
        before.bytes().all(|byte| byte == b' ').then_some(before)
    }
}

fn insert(text: &str, at: usize, what: &str) -> String {
    format!("{}{what}{}", &text[..at], &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const URLS: [&str; 2] = [
        "https://m.example/rest/Pet+Shop/bk-1-a",
        "https://m.example/rest/Pet+Shop/bk-1-b",
    ];

    fn added(definition: &str) -> Option<String> {
        with_servers(definition, &URLS.map(str::to_owned))
    }

    #[test]
    fn mocks_become_further_servers_and_nothing_else_changes() {
        let [a, b] = URLS.map(|url| format!("{{\"url\":\"{url}\"}}"));
        for (before, after) in [
            (
                "# ünïcode\nopenapi: 3.0.3 # a\ninfo:\n  title: x\npaths:\n  /a: {}\n".to_owned(),
                format!("# ünïcode\nopenapi: 3.0.3 # a\ninfo:\n  title: x\nservers: [{a},{b}]\npaths:\n  /a: {{}}\n"),
            ),
            (
                "openapi: 3.0.3\nservers:\n  - url: https://real.example\n    description: |\n      text\n\n# c\npaths: {}\n".to_owned(),
                format!(
                    "openapi: 3.0.3\nservers:\n  - url: https://real.example\n    description: |\n      text\n\n# c\n  - {a}\n  - {b}\npaths: {{}}\n"
                ),
            ),
            (
                "openapi: 3.0.3\npaths: {}\nservers:\n- url: /v1".to_owned(),
                format!("openapi: 3.0.3\npaths: {{}}\nservers:\n- url: /v1\n- {a}\n- {b}\n"),
            ),
            (
                "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"/v1\"} ],\"paths\":{}}".to_owned(),
                format!("{{\"openapi\":\"3.1.0\",\"servers\":[{{\"url\":\"/v1\"}},{a},{b} ],\"paths\":{{}}}}"),
            ),
            (
                "{ \"openapi\":\"3.1.0\" }".to_owned(),
                format!("{{\"servers\":[{a},{b}], \"openapi\":\"3.1.0\" }}"),
            ),
            (
                "openapi: 3.0.0\nservers: []\npaths: {}\n".to_owned(),
                format!("openapi: 3.0.0\nservers: [{a},{b}]\npaths: {{}}\n"),
            ),
        ] {
            let edited = added(&before).unwrap_or_else(|| panic!("{before}"));
            assert_eq!(edited, after);
            assert_eq!(added(&edited), None, "they are there already");
        }
    }

    #[test]
    fn a_swagger_2_definition_gets_the_first_mock_as_its_host_unless_it_has_one() {
        let yaml = "swagger: '2.0'\nbasePath: /v1\ninfo: { title: x }\npaths: {}\n";
        let edited = parse(&added(yaml).unwrap()).unwrap();
        assert_eq!(edited["host"], "m.example");
        assert_eq!(edited["basePath"], "/rest/Pet+Shop/bk-1-a");
        assert_eq!(edited["schemes"], json!(["https"]));
        for json in [
            r#"{"swagger":"2.0","basePath":"/v1","paths":{}}"#,
            r#"{"swagger":"2.0","paths":{},"basePath":"/v1"}"#,
            r#"{"swagger":"2.0","schemes":["http"],"paths":{}}"#,
        ] {
            let edited = parse(&added(json).unwrap_or_else(|| panic!("{json}"))).unwrap();
            assert_eq!(edited["basePath"], "/rest/Pet+Shop/bk-1-a");
        }
        assert_eq!(added("swagger: '2.0'\nhost: api.example.com\npaths: {}\n"), None);
    }

    #[test]
    fn mocks_of_messages_become_further_servers_of_an_asyncapi_definition() {
        let urls = [
            "wss://e.example:9/api/ws/Orders/bk-1-a.b".to_owned(),
            URLS[0].to_owned(),
        ];
        let old = r#"bk-1-a-b: {"protocol":"wss","url":"wss://e.example:9/api/ws/Orders/bk-1-a.b"}"#;
        let new = r#""bk-1-a-b":{"host":"e.example:9","pathname":"/api/ws/Orders/bk-1-a.b","protocol":"wss"}"#;
        for (before, after) in [
            (
                "asyncapi: 2.6.0\ninfo: {}\nservers:\n  # real\n  kafka:\n    url: k:9092\n    protocol: kafka\nchannels: {}\n",
                format!(
                    "asyncapi: 2.6.0\ninfo: {{}}\nservers:\n  # real\n  {old}\n  kafka:\n    url: k:9092\n    protocol: kafka\nchannels: {{}}\n"
                ),
            ),
            (
                "asyncapi: 3.0.0\ninfo: {}\nchannels: {}\n",
                format!("asyncapi: 3.0.0\ninfo: {{}}\nservers: {{{new}}}\nchannels: {{}}\n"),
            ),
            (
                r#"{"asyncapi":"3.0.0","servers":{},"channels":{}}"#,
                format!(r#"{{"asyncapi":"3.0.0","servers":{{{new}}},"channels":{{}}}}"#),
            ),
            (
                r#"{"asyncapi":"3.0.0","servers":{"k":{}},"channels":{}}"#,
                format!(r#"{{"asyncapi":"3.0.0","servers":{{{new},"k":{{}}}},"channels":{{}}}}"#),
            ),
        ] {
            let edited = with_servers(before, &urls).unwrap_or_else(|| panic!("{before}"));
            assert_eq!(edited, after);
            assert_eq!(with_servers(&edited, &urls), None, "they are there already");
        }
        // Requests are not answered at the address of messages, and the other way round.
        assert_eq!(with_servers("openapi: 3.0.0\npaths: {}\n", &urls[..1]), None);
        assert_eq!(with_servers("asyncapi: 3.0.0\nchannels: {}\n", &urls[1..]), None);
    }

    #[test]
    fn what_is_no_openapi_or_cannot_be_changed_in_place_is_left_alone() {
        for text in [
            "",
            "- 1\n",
            "asyncapi: 2.6.0\ninfo: {}\n",
            "asyncapi: 2.6.0\nservers:\nchannels: {}\n",
            "type Query { a: Int }\n",
            "openapi: 3.0.0\nservers:\npaths: {}\n",
            "x: &s []\nopenapi: 3.0.0\nservers: *s\n",
            "openapi: 3.0.0\n---\nopenapi: 3.0.0\n",
            "openapi: [\n",
        ] {
            assert_eq!(added(text), None, "{text:?}");
        }
    }
}
