use std::fmt::Write;

use super::{HostileServer, Paging};

/// What a `tideline.yaml` for a hostile source sets besides the source itself.
#[derive(Clone, Debug)]
pub struct HostileYaml {
    /// `store`.
    pub store: String,
    /// `queue`.
    pub queue: String,
    /// Items per page.
    pub page_size: u32,
    /// `rest`.
    pub rest: String,
    /// `parallel_partitions`.
    pub parallel_partitions: u32,
    /// `removals.confirm_cycles`.
    pub confirm_cycles: u32,
    /// `burst.length`.
    pub burst_length: String,
}

impl Default for HostileYaml {
    /// SQLite in the process' folder, in-process hints, short waits.
    fn default() -> Self {
        Self {
            store: "sqlite://tideline.db".into(),
            queue: "in-process".into(),
            page_size: 10,
            rest: "100ms".into(),
            parallel_partitions: 4,
            confirm_cycles: 1,
            burst_length: "1s".into(),
        }
    }
}

/// Name of the hostile source in every configuration that [`HostileServer::yaml`] makes.
pub const SOURCE: &str = "hostile";

impl HostileServer {
    /// A configuration with this server as the only source, with waits of milliseconds.
    #[must_use]
    pub fn yaml(&self, settings: &HostileYaml) -> String {
        let HostileYaml {
            store,
            queue,
            page_size,
            rest,
            parallel_partitions,
            confirm_cycles,
            burst_length,
        } = settings;
        let url = self.url();
        // Processes that share nothing but a store would all listen at the default address.
        let listen = if queue == "in-process" { "listen: none\n" } else { "" };
        let mut yaml = format!(
            "{listen}store: {store}
queue: {queue}
worker: {{ lease: 1s, poll: 100ms }}
scheduler: {{ poll: 100ms, resend_after: 1s }}
sources:
  - name: {SOURCE}
    type: http
    base_url: {url}
    burst: {{ length: {burst_length}, interval: 0s }}
    rest: {rest}
    backoff: [50ms, 100ms, 200ms, 400ms, 800ms, 1s]
    parallel_partitions: {parallel_partitions}
    removals: {{ reject_above_percent: 90, reject_empty: true, confirm_cycles: {confirm_cycles} }}
    resources:
"
        );
        let pagination = self.shared.config.paging.yaml(*page_size);
        let method = if self.shared.config.paging == Paging::CursorInBody {
            "POST"
        } else {
            "GET"
        };
        for (name, parent, path) in [
            ("orgs", "", "/orgs"),
            (
                "projects",
                "parent: orgs, values: { org: .metadata.name }, ",
                "/orgs/{org}/projects",
            ),
            (
                "components",
                "parent: projects, values: { org: .metadata.namespace, project: .metadata.name }, ",
                "/orgs/{org}/projects/{project}/components",
            ),
        ] {
            let _ = writeln!(
                yaml,
                "      - {{ name: {name}, {parent}method: {method}, path: \"{path}\", items: .items, pagination: {pagination} }}"
            );
        }
        yaml
    }
}

impl Paging {
    fn yaml(self, size: u32) -> String {
        let size = format!("size: {{ parameter: limit, value: {size} }}");
        match self {
            Self::Cursor => format!("{{ type: cursor, next: .next, parameter: cursor, {size} }}"),
            Self::CursorInBody => format!("{{ type: cursor, in: body, next: .next, parameter: cursor, {size} }}"),
            Self::NextUrl => format!("{{ type: next_url, next: .next, {size} }}"),
            Self::LinkHeader => format!("{{ type: link_header, {size}, end: {{ no_link: true }} }}"),
            Self::Header => format!("{{ type: header, header: x-next-cursor, parameter: cursor, {size} }}"),
            Self::Page => format!("{{ type: page, parameter: page, {size}, total: .total }}"),
            Self::Offset => format!("{{ type: offset, parameter: offset, {size}, total: .total }}"),
        }
    }
}
