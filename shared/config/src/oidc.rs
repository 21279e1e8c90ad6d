//! `dashboard.oidc`: people sign in to the dashboard at an OpenID provider.

use tideline_core::words::{Role, Secret};
use url::Url;

use super::reader::Section;

/// Groups of one role.
const MAX_GROUPS: usize = 100;

/// How people sign in at an OpenID provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// `issuer`: where its `/.well-known/openid-configuration` is.
    pub issuer: Url,
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`; none: a public client, with PKCE alone.
    pub client_secret: Option<Secret>,
    /// `scopes`, beside `openid`; default `profile` and `email`.
    pub scopes: Vec<String>,
    /// `groups_claim`, default `groups`.
    pub groups_claim: String,
    /// `name`: what people see on the button, default the issuer's host.
    pub name: String,
    /// `roles`: groups of `admin`, `operate` and `read`; `*` is everybody.
    pub roles: [(Role, Vec<String>); 3],
}

impl OidcSettings {
    /// The highest role that one of these groups has.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        let has = |wanted: &[String]| wanted.iter().any(|wanted| wanted == "*" || groups.contains(wanted));
        self.roles.iter().find(|(_, wanted)| has(wanted)).map(|(role, _)| *role)
    }

    /// Those of a person's groups that have a role here; the others concern nobody.
    #[must_use]
    pub fn named_of(&self, groups: &[&str]) -> Vec<String> {
        let mut named: Vec<String> = self.roles.iter().flat_map(|(_, named)| named).cloned().collect();
        named.retain(|named| groups.contains(&named.as_str()));
        named.sort();
        named.dedup();
        named
    }
}

/// `dashboard.oidc`, if it is there.
pub(super) fn read_oidc(dashboard: &Section<'_>) -> Option<OidcSettings> {
    let doc = "Sign-in through an OpenID provider: authorization code with PKCE. Register the redirect URI \
               `/sign-in/callback` under `public_url`. API tokens still work.";
    dashboard.optional_section("oidc", doc, |oidc| {
        let issuer = oidc.required_url("issuer", "The issuer, such as `https://login.example.com/realms/main`.");
        let client_id = oidc.required_text("client_id", "The client's id at the provider.");
        let doc = "The client's secret. If not given, the client is public and protected by PKCE alone.";
        let client_secret = oidc.optional_secret("client_secret", doc);
        let doc = "Scopes to request besides `openid` [default: profile, email].";
        let scopes = oidc.texts("scopes", 20, doc);
        let doc = "The claim of the ID token, or of the provider's userinfo, that lists a person's groups.";
        let groups_claim = oidc.optional_text("groups_claim", "groups", doc);
        let name = oidc.optional_text("name", "the issuer's host", "Label of the sign-in button.");
        let roles = oidc.section(
            "roles",
            "Groups of each role. `*` stands for everyone who can sign in.",
            |roles| {
                let doc = "Groups that may do everything, including managing tokens.";
                let admin = roles.texts("admin", MAX_GROUPS, doc);
                let operate = roles.texts("operate", MAX_GROUPS, "Groups that may view and act.");
                let read = roles.texts("read", MAX_GROUPS, "Groups that may view.");
                if admin.is_empty() && operate.is_empty() && read.is_empty() && !roles.is_describing() {
                    roles.fail_here(
                        "gives no group a role, so no one could sign in; list groups under admin, operate or read",
                    );
                }
                [(Role::Admin, admin), (Role::Operate, operate), (Role::Read, read)]
            },
        );
        let issuer = issuer.filter(|issuer| {
            let safe = issuer.scheme() == "https" || is_local(issuer);
            if !safe {
                oidc.fail("issuer", "must be an https address, unless it is one of this machine");
            }
            safe
        })?;
        Some(OidcSettings {
            name: name.unwrap_or_else(|| issuer.host_str().unwrap_or("the provider").to_owned()),
            issuer,
            client_id,
            client_secret,
            scopes: if scopes.is_empty() {
                vec!["profile".to_owned(), "email".to_owned()]
            } else {
                scopes
            },
            groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()),
            roles,
        })
    })?
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use crate::tests::{errors_of, read};

    fn with(lines: &str) -> String {
        format!("public_url: https://tideline.example\ndashboard:\n  oidc:\n    client_id: tideline\n{lines}")
    }

    #[test]
    fn the_highest_role_of_a_persons_groups_counts_and_a_star_is_everybody() {
        let oidc = |roles: &str| {
            let text = with(&format!("    issuer: https://login.example\n    roles: {roles}\n"));
            read(&text).dashboard.oidc.unwrap()
        };
        let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let some = oidc("{ admin: [platform], operate: [sre], read: [staff] }");
        assert_eq!(some.role_of(&groups(&["staff", "sre"])), Some(Role::Operate));
        assert_eq!(some.role_of(&groups(&["platform", "sre"])), Some(Role::Admin));
        assert_eq!(some.role_of(&groups(&["Platform", "", "*"])), None);
        assert_eq!(some.named_of(&["cooks", "staff", "sre", "sre"]), ["sre", "staff"]);
        let all = oidc("{ admin: [platform], read: ['*'] }");
        assert_eq!(all.role_of(&[]), Some(Role::Read));
        assert_eq!(
            (some.name.as_str(), some.groups_claim.as_str()),
            ("login.example", "groups")
        );
        assert_eq!(some.scopes, ["profile", "email"]);
    }

    #[test]
    fn a_provider_is_reached_over_tls_has_roles_and_leads_back_to_an_address() {
        let roles = "    roles: { read: ['*'] }\n";
        for (text, part) in [
            (
                with(&format!("    issuer: http://login.example\n{roles}")),
                "dashboard.oidc.issuer: must be an https address",
            ),
            (
                with("    issuer: https://login.example\n"),
                "dashboard.oidc.roles: gives no group a role",
            ),
            (
                with(&format!("    issuer: https://login.example\n{roles}")).replace("public_url", "# public_url"),
                "public_url: is needed for dashboard.oidc",
            ),
        ] {
            let errors = errors_of(&text);
            assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:?}");
        }
        read(&with(&format!(
            "    issuer: http://127.0.0.1:8080/realms/main\n{roles}"
        )));
    }
}
