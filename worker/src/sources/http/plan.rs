//! The settings of a resource, compiled once: expressions, templates and what a walk over an answer must find.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tideline_config::settings::{
    AnswerFormat, EntityShape, FailIf, HttpSettings, NextUrls, PageEnd, Pagination, Resource,
};
use tideline_expression::{Call, Expression, Path, Take};

use super::checks::{check_resource, is_graphql};
use super::collector::Collector;
use super::derived::{compile_item, compile_lookup};
use super::extract::Wants;
use super::records::{Records, records_at};
use super::template::Template;

/// Raised when the same response would be converted differently, so that remembered responses are read again.
const READING: u32 = 2;

/// The position in the configuration, and the problem there.
pub(super) type Problem = (String, String);

/// How one resource is requested and parsed.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) post: bool,
    pub(super) path: Template,
    pub(super) query: Vec<(String, Template)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Value>,
    pub(super) pagination: Pagination,
    pub(super) end: PageEnd,
    pub(super) next_urls: NextUrls,
    /// Statuses that say that there is nothing to read.
    pub(super) absent: Vec<u16>,
    pub(super) format: AnswerFormat,
    pub(super) items: ItemsAt,
    pub(super) paging: PagingPulls,
    pub(super) shape: Shape,
    /// A second list is read beside it.
    pub(super) has_lookup: bool,
    /// Its partitions may have versions.
    pub(super) has_version: bool,
    /// Computes an address from a response: the document at that address is read instead.
    pub(super) download: Option<Expression>,
    pub(super) children: Vec<ChildPlan>,
    /// Other resources that are read from the root partition; only of the root's plan.
    pub(super) siblings: Vec<String>,
    /// What to extract from a response that is an object.
    pub(super) object_wants: Wants,
    /// What to extract from a response that is an array.
    pub(super) array_wants: Wants,
    /// What to extract from an item.
    pub(super) item_wants: Wants,
    /// Programs that run on an answer.
    pub(super) answer_calls: Vec<Call>,
    /// Programs that run on an item.
    pub(super) item_calls: Vec<Call>,
    /// The values that name an item among those of its resource; none: its entities do not say which item made them.
    pub(super) maker: Option<Vec<(String, Pull)>>,
    /// Digest of everything that determines the conversion of a response: after a change of settings, an unchanged
    /// response must be read again.
    pub(super) salt: [u8; 32],
}

/// Where the items are.
pub(super) enum ItemsAt {
    /// The array that the answer is, or its `.items`.
    Default,
    /// At a path; `each`: the path ends with `[]`, so that the members of an object are the items.
    Path { path: Path, each: bool },
    /// What a program makes of the answer.
    Jq {
        program: usize,
        /// The list that it picks from; none: unknown.
        records: Option<Records>,
    },
}

/// A value to take from an answer or item.
pub(super) enum Pull {
    /// Always this text.
    Text(String),
    /// The slice with this number of the walk.
    Slice(usize),
    /// What the program with this number makes of it.
    Jq(usize),
}

/// Values of an answer that decide the next page, or that it is none.
#[derive(Default)]
pub(super) struct PagingPulls {
    pub(super) fail_if: Option<FailPull>,
    pub(super) last: Option<Pull>,
    pub(super) next: Option<Pull>,
    pub(super) total: Option<Pull>,
    pub(super) total_pages: Option<Pull>,
}

impl PagingPulls {
    /// The keys of what is looked for in the answer beside its items.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            (self.fail_if.is_some(), "fail_if"),
            (self.last.is_some(), "pagination.end.when"),
            (self.next.is_some(), "pagination.next"),
            (self.total.is_some(), "pagination.total"),
            (self.total_pages.is_some(), "pagination.total_pages"),
        ];
        keys.into_iter().filter_map(|(given, key)| given.then_some(key))
    }
}

/// What says that an answer failed.
pub(super) enum FailPull {
    /// The `errors` of a GraphQL answer.
    GraphQl(Pull),
    /// What the configuration says.
    Expression(Pull),
}

/// How items become entities.
pub(super) enum Shape {
    None,
    AsIs,
    Named {
        kind: Pull,
        namespace: Pull,
        name: Pull,
        body: Option<Pull>,
    },
    Shaped(Pull),
    /// None: they are entries of a lookup.
    Entries(Pull),
}

/// A resource below the items of another one.
pub(super) struct ChildPlan {
    pub(super) resource: String,
    pub(super) values: ChildValues,
    /// Of the only partition of an item: its version.
    pub(super) version: Option<Pull>,
}

/// The values that tell the partitions of a child apart.
pub(super) enum ChildValues {
    /// Of the only partition of an item.
    One(Vec<(String, Pull)>),
    /// Each output of a program is an object of the values of a partition.
    Each(Pull),
}

/// Compiles all resources.
///
/// # Errors
/// All problems at once, each with its place, such as `resources[0].items`.
pub(super) fn compile(settings: &HttpSettings, salt: &str) -> Result<Vec<Plan>, Vec<Problem>> {
    let mut problems = Vec::new();
    if let Some(definitions) = &settings.definitions
        && let Err(why) = Expression::compile(&format!("{definitions}\n.[0]"))
    {
        // Whatever uses them would repeat it.
        return Err(vec![("definitions".to_owned(), why.to_string())]);
    }
    if settings.resources.is_empty() {
        problems.push(("resources".to_owned(), "at least one resource is needed".to_owned()));
    }
    let mut plans: Vec<Plan> = (0..settings.resources.len())
        .filter_map(|index| compile_resource(settings, index, salt, &mut problems))
        .collect();
    for index in 0..settings.resources.len() {
        plans.extend(compile_item(settings, index, salt));
        plans.extend(compile_lookup(settings, index, salt, &mut problems));
    }
    if problems.is_empty() { Ok(plans) } else { Err(problems) }
}

/// The values by which an event names an item, where pages show them too: plain paths.
fn maker(resource: &Resource, item: &mut Collector<'_>) -> Option<Vec<(String, Pull)>> {
    let is_path = |text: &String| matches!(Expression::compile(text), Ok(Expression::Path(_)));
    let named = resource.item.is_some() && !resource.item_values.is_empty();
    if !named || !resource.item_values.values().all(is_path) {
        return None;
    }
    let values = resource.item_values.iter().map(|(name, text)| {
        let pull = item.pull(&format!("item_values.{name}"), text)?;
        Some((name.clone(), pull))
    });
    values.collect()
}

pub(super) fn compile_resource(
    settings: &HttpSettings,
    index: usize,
    salt: &str,
    problems: &mut Vec<Problem>,
) -> Option<Plan> {
    let resource = &settings.resources[index];
    let at = format!("resources[{index}]");
    let known = known_values(settings, resource, &at, problems);
    let (path, query) = templates(resource, &known, &at, problems);
    let definitions = settings.definitions.as_deref().unwrap_or_default();
    let mut answer = Collector {
        at: at.clone(),
        definitions,
        paths: Vec::new(),
        calls: Vec::new(),
        problems: &mut *problems,
    };
    let items = items_at(resource, &mut answer);
    let download =
        (resource.download.as_ref()).map_or(Some(None), |text| answer.expression("download", text).map(Some))?;
    let paging = paging_pulls(resource, &mut answer);
    let (answer_paths, answer_calls) = (answer.paths, answer.calls);
    let mut item = Collector {
        at: at.clone(),
        definitions,
        paths: Vec::new(),
        calls: Vec::new(),
        problems: &mut *problems,
    };
    let shape = shape(&resource.entity, &mut item);
    let children = children(settings, &resource.name, &mut item);
    let maker = maker(resource, &mut item);
    let (item_paths, item_calls) = (item.paths, item.calls);
    let (items, paging) = (items?, paging?);
    problems.extend(check_resource(resource, (&items, &paging), &known, &at));
    let default_path = vec!["items".to_owned()];
    let (in_object, in_array) = match &items {
        ItemsAt::Default => (Some(&default_path), Some(Vec::new())),
        ItemsAt::Path { path, .. } => (Some(path), path.is_empty().then(Vec::new)),
        ItemsAt::Jq { .. } => (None, None),
    };
    let is_root = index == 0 && settings.alternatives.is_empty();
    let roots = settings.resources.iter().enumerate();
    Some(Plan {
        name: resource.name.clone(),
        post: resource.post,
        path,
        query,
        headers: headers_of(resource, &at, problems),
        body: resource.body.clone(),
        pagination: resource.pagination.clone(),
        end: resource.end.clone(),
        next_urls: settings.next_urls.clone(),
        absent: resource.absent.clone(),
        format: resource.format,
        paging,
        shape: shape?,
        has_lookup: resource.lookup.is_some(),
        has_version: resource.version.is_some(),
        download,
        children,
        maker,
        siblings: roots
            .filter(|(at, other)| is_root && *at > 0 && other.parent.is_none())
            .map(|(_, other)| other.name.clone())
            .collect(),
        object_wants: Wants::new(in_object, &answer_paths),
        array_wants: Wants::new(in_array.as_ref(), &answer_paths),
        item_wants: Wants::new(None, &item_paths),
        answer_calls,
        item_calls,
        salt: salt_of(settings, resource, index, salt),
        items,
    })
}

fn salt_of(settings: &HttpSettings, resource: &Resource, index: usize, salt: &str) -> [u8; 32] {
    let children: Vec<_> = settings
        .resources
        .iter()
        .filter(|child| child.parent.as_ref() == Some(&resource.name) || (index == 0 && child.parent.is_none()))
        .map(|child| (&child.name, &child.each, &child.parent_values, &child.version))
        .collect();
    let next_urls = &settings.next_urls;
    let text = format!(
        "{salt}\n{} {READING}\n{resource:?}\n{children:?}\n{next_urls:?}\n{:?}",
        env!("CARGO_PKG_VERSION"),
        settings.definitions
    );
    Sha256::digest(text.as_bytes()).into()
}

fn items_at(resource: &Resource, answer: &mut Collector<'_>) -> Option<ItemsAt> {
    let Some(text) = &resource.items else {
        return Some(ItemsAt::Default);
    };
    // `.items[]` over an array means the same as `.items`.
    let (list, each) = match text.trim().strip_suffix("[]").map(str::trim_end) {
        Some(list) if !list.is_empty() => (list, true),
        _ => (text.trim(), false),
    };
    if let Ok(Expression::Path(path)) = Expression::compile(list) {
        return Some(ItemsAt::Path { path, each });
    }
    match answer.take("items", Take::Elements, Expression::compile, text)? {
        Pull::Jq(program) => {
            let records = records_at(text).map(|(path, each)| {
                answer.paths.push(path);
                let slot = answer.paths.len() - 1;
                Records { slot, each }
            });
            Some(ItemsAt::Jq { program, records })
        }
        Pull::Text(_) | Pull::Slice(_) => None,
    }
}

fn paging_pulls(resource: &Resource, answer: &mut Collector<'_>) -> Option<PagingPulls> {
    let mut optional = |key: &str, text: &Option<String>| match text {
        None => Some(None),
        Some(text) => answer.pull(key, text).map(Some),
    };
    let mut pulls = PagingPulls {
        last: optional("pagination.end.when", &resource.end.when)?,
        ..PagingPulls::default()
    };
    pulls.fail_if = match &resource.fail_if {
        FailIf::Expression(text) => optional("fail_if", &Some(text.clone()))?.map(FailPull::Expression),
        FailIf::Default if is_graphql(resource) => {
            optional("fail_if", &Some(".errors".to_owned()))?.map(FailPull::GraphQl)
        }
        FailIf::Default | FailIf::Never => None,
    };
    match &resource.pagination {
        Pagination::Cursor { next, .. } | Pagination::NextUrl { next, .. } => {
            pulls.next = optional("pagination.next", &Some(next.clone()))?;
        }
        Pagination::Page { total_pages, total, .. } => {
            pulls.total_pages = optional("pagination.total_pages", total_pages)?;
            pulls.total = optional("pagination.total", total)?;
        }
        Pagination::Offset { total, .. } => pulls.total = optional("pagination.total", total)?,
        Pagination::None
        | Pagination::NextUrlHeader { .. }
        | Pagination::LinkHeader { .. }
        | Pagination::Header { .. } => {}
    }
    Some(pulls)
}

fn shape(shape: &EntityShape, item: &mut Collector<'_>) -> Option<Shape> {
    Some(match shape {
        EntityShape::None => Shape::None,
        EntityShape::AsIs => Shape::AsIs,
        EntityShape::Shaped(text) => Shape::Shaped(item.pull_all("entity.shape", text)?),
        EntityShape::Named {
            kind,
            namespace,
            name,
            body,
        } => {
            let kind = item.pull_or_text("entity.kind", kind);
            let namespace = item.pull_or_text("entity.namespace", namespace);
            let name = item.pull_or_text("entity.name", name);
            let body = match body {
                None => Some(None),
                Some(body) => item.pull("entity.body", body).map(Some),
            };
            Shape::Named {
                kind: kind?,
                namespace: namespace?,
                name: name?,
                body: body?,
            }
        }
    })
}

fn children(settings: &HttpSettings, parent: &str, item: &mut Collector<'_>) -> Vec<ChildPlan> {
    let mut children = Vec::new();
    for (index, child) in settings.resources.iter().enumerate() {
        if child.parent.as_deref() != Some(parent) || index == 0 {
            continue;
        }
        item.at = format!("resources[{index}]");
        let values = match &child.each {
            None => {
                let values = child.parent_values.iter().filter_map(|(name, text)| {
                    let pull = item.pull(&format!("values.{name}"), text)?;
                    Some((name.clone(), pull))
                });
                ChildValues::One(values.collect())
            }
            Some(each) => match item.pull_each(each, &child.parent_values, child.version.as_deref()) {
                Some(pull) => ChildValues::Each(pull),
                None => continue,
            },
        };
        let version = match (&child.version, &child.each) {
            (Some(version), None) => item.pull("version", version),
            _ => None,
        };
        children.push(ChildPlan {
            resource: child.name.clone(),
            values,
            version,
        });
    }
    children
}

fn headers_of(resource: &Resource, at: &str, problems: &mut Vec<Problem>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &resource.headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => problems.push((format!("{at}.headers.{name}"), "cannot be sent as a header".to_owned())),
        }
    }
    headers
}

fn known_values(
    settings: &HttpSettings,
    resource: &Resource,
    at: &str,
    problems: &mut Vec<Problem>,
) -> BTreeSet<String> {
    values_on_the_way(settings, resource).unwrap_or_else(|(key, why)| {
        problems.push((format!("{at}.{key}"), why));
        BTreeSet::new()
    })
}

fn templates(
    resource: &Resource,
    known: &BTreeSet<String>,
    at: &str,
    problems: &mut Vec<Problem>,
) -> (Template, Vec<(String, Template)>) {
    let mut template = |key: String, text: &str| {
        let template = Template::parse(text);
        for name in template.unknown(known) {
            let why = format!("no parent has a value \"{name}\"; add it to values");
            problems.push((format!("{at}.{key}"), why));
        }
        template
    };
    let path = template("path".to_owned(), &resource.path);
    let query = resource.query.iter();
    let query = query.flat_map(|(name, texts)| texts.iter().map(move |text| (name, text)));
    let query = query
        .map(|(name, text)| (name.clone(), template(format!("query.{name}"), text)))
        .collect();
    if resource.path.contains("://") {
        let why = "a path is joined to base_url and must not name a host".to_owned();
        problems.push((format!("{at}.path"), why));
    }
    (path, query)
}

/// Names of all values that a partition of the resource has.
fn values_on_the_way(settings: &HttpSettings, resource: &Resource) -> Result<BTreeSet<String>, Problem> {
    let mut known = BTreeSet::new();
    let mut at = resource;
    for _ in 0..=settings.resources.len() {
        let Some(parent) = &at.parent else {
            return Ok(known);
        };
        if at.parent_values.is_empty() {
            let why = "a child resource needs at least one value that tells the parents apart".to_owned();
            return Err(("values".to_owned(), why));
        }
        known.extend(at.parent_values.keys().cloned());
        at = settings
            .resources
            .iter()
            .find(|other| other.name == *parent)
            .ok_or_else(|| ("parent".to_owned(), format!("there is no resource \"{parent}\"")))?;
    }
    Err(("parent".to_owned(), "the parents form a circle".to_owned()))
}
