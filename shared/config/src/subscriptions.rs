//! `subscriptions`: how events are sent to those who follow them.

use std::time::Duration;

use super::reader::Section;
use tideline_core::rules::{AddressPolicy, Ladder, parse_network};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Waits after failures: a little more than a day until an event is given up.
const BACKOFF: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(16 * 3_600),
];

/// `subscriptions`.
#[derive(Clone, Debug)]
pub struct SubscriptionSettings {
    /// `allow_http`: URLs without TLS, default false.
    pub allow_http: bool,
    /// `allow_networks`: where subscribers may be, besides public addresses.
    pub addresses: AddressPolicy,
    /// `backoff`: waits after failures; after the last one an event is given up.
    pub backoff: Ladder,
    /// `timeout` of one request, default 10 s.
    pub timeout: Duration,
    /// `switch_off_after`: a URL at which nothing succeeds for so long is not asked any more, default 5 days.
    pub switch_off_after: Duration,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self {
            allow_http: false,
            addresses: AddressPolicy::default(),
            backoff: Ladder::new(BACKOFF.to_vec()),
            timeout: SECONDS(10),
            switch_off_after: 5 * DAY,
        }
    }
}

pub(super) fn read_subscriptions(root: &Section<'_>) -> SubscriptionSettings {
    root.section(
        "subscriptions",
        "How events are sent to the URLs of push subscriptions.",
        |section| {
            let default = SubscriptionSettings::default();
            let doc = "Allow URLs that start with http://, which can be read and modified in transit.";
            let allow_http = section.flag("allow_http", default.allow_http, doc);
            let doc = "Private, loopback or link-local networks that URLs may point to, such as `10.0.0.0/8`. Anyone \
                       who may create subscriptions can reach them.";
            let networks = section.parsed_texts("allow_networks", "list of networks", 100, doc, &|text| {
                parse_network(text).map(|_| text.to_owned())
            });
            let networks = networks.iter().filter_map(|text| parse_network(text).ok());
            let doc = "Waits before an event is sent again. After the last one, the event becomes a dead letter.";
            let backoff = section.durations("backoff", &BACKOFF, Duration::ZERO..=7 * DAY, 20, doc);
            let doc = "How long a request may take.";
            let timeout = section.duration("timeout", default.timeout, SECONDS(1)..=SECONDS(60), doc);
            let doc = "A URL that has not succeeded once for this long is switched off: the subscription is blocked \
                       until someone resumes it.";
            let off = section.duration("switch_off_after", default.switch_off_after, HOUR..=365 * DAY, doc);
            SubscriptionSettings {
                allow_http,
                addresses: AddressPolicy::new(networks.collect()),
                backoff: Ladder::new(backoff),
                timeout,
                switch_off_after: off,
            }
        },
    )
}
