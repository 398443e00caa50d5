//! The table of routes: what each needs, whether it is written into the audit log, and how much it
//! takes. A request that fits no row is refused; a test holds the table against the description.

use maily_registry::permission::Permission;

/// What whoever asks must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody.
    Nothing,
    /// Somebody who proved who they are.
    Somebody,
    /// Somebody with this permission.
    May(Permission),
    /// The same, and not bound to one project.
    MayEverywhere(Permission),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method; HEAD goes with GET.
    pub method: &'static str,
    /// The path, with `{names}` for what varies.
    pub path: &'static str,
    /// What whoever asks must be.
    pub needs: Needs,
    /// Whether each call is written into the audit log, also one that is refused.
    pub recorded: bool,
    /// The most octets of the body.
    pub body_octets_max: usize,
}

/// The most octets of a body that hands in mail: attachments in base64, or 10,000 recipients.
pub const MAIL_BODY_OCTETS_MAX: usize = 40 << 20;
/// The most octets of a body that names or changes a thing.
pub const SMALL_OCTETS_MAX: usize = 64 << 10;
/// The most octets of a body with a template: what it says, and as much again for its escapes.
pub const TEMPLATE_BODY_OCTETS_MAX: usize = 2 << 20;

const fn read(path: &'static str, needs: Needs) -> Route {
    Route { method: "GET", path, needs, recorded: false, body_octets_max: 0 }
}

const fn change(
    method: &'static str,
    path: &'static str,
    needs: Needs,
    body_octets_max: usize,
) -> Route {
    Route { method, path, needs, recorded: true, body_octets_max }
}

use Needs::*;
use Permission::*;

/// All routes of the API.
pub const ROUTES: &[Route] = &[
    read("/openapi.json", Nothing),
    read("/docs", Nothing),
    read("/v1/whoami", Somebody),
    change("POST", "/v1/auth/jwt", Somebody, SMALL_OCTETS_MAX),
    read("/v1/projects", May(ReadProjects)),
    change("POST", "/v1/projects", MayEverywhere(WriteProjects), SMALL_OCTETS_MAX),
    read("/v1/projects/{project}", May(ReadProjects)),
    read("/v1/projects/{project}/senders", May(ReadProjects)),
    change(
        "PUT",
        "/v1/projects/{project}/senders",
        MayEverywhere(WriteProjects),
        TEMPLATE_BODY_OCTETS_MAX,
    ),
    read("/v1/tokens", May(ReadTokens)),
    change("POST", "/v1/tokens", May(WriteTokens), SMALL_OCTETS_MAX),
    read("/v1/tokens/{token}", May(ReadTokens)),
    change("DELETE", "/v1/tokens/{token}", May(WriteTokens), 0),
    read("/v1/templates", May(ReadTemplates)),
    read("/v1/templates/{template}", May(ReadTemplates)),
    change("PUT", "/v1/templates/{template}", May(WriteTemplates), TEMPLATE_BODY_OCTETS_MAX),
    change("DELETE", "/v1/templates/{template}", May(WriteTemplates), 0),
    read("/v1/templates/{template}/versions", May(ReadTemplates)),
    read("/v1/templates/{template}/versions/{version}", May(ReadTemplates)),
    Route {
        method: "POST",
        path: "/v1/lint",
        needs: May(ReadTemplates),
        recorded: false,
        body_octets_max: TEMPLATE_BODY_OCTETS_MAX,
    },
    change("POST", "/v1/link-keys", MayEverywhere(WriteProjects), 0),
    change("POST", "/v1/messages", May(SendMessages), MAIL_BODY_OCTETS_MAX),
    change("DELETE", "/v1/messages/{message}", May(CancelMessages), 0),
    change("DELETE", "/v1/campaigns/{campaign}/messages", May(CancelMessages), 0),
    change("DELETE", "/v1/tags/{tag}/messages", May(CancelMessages), 0),
    read("/v1/events", May(ReadEvents)),
    read("/v1/events/stream", May(ReadEvents)),
    read("/v1/webhooks", May(ReadWebhooks)),
    change("POST", "/v1/webhooks", May(WriteWebhooks), SMALL_OCTETS_MAX),
    read("/v1/webhooks/{webhook}", May(ReadWebhooks)),
    change("PUT", "/v1/webhooks/{webhook}", May(WriteWebhooks), SMALL_OCTETS_MAX),
    change("DELETE", "/v1/webhooks/{webhook}", May(WriteWebhooks), 0),
    change("POST", "/v1/webhooks/{webhook}/secret", May(WriteWebhooks), 0),
    change("POST", "/v1/webhooks/{webhook}/replay", May(WriteWebhooks), SMALL_OCTETS_MAX),
    read("/v1/webhooks/{webhook}/dead-letters", May(ReadWebhooks)),
    change("POST", "/v1/webhooks/{webhook}/dead-letters/{event}/replay", May(WriteWebhooks), 0),
    read("/v1/suppressions", May(ReadSuppressions)),
    change("POST", "/v1/suppressions", May(WriteSuppressions), TEMPLATE_BODY_OCTETS_MAX),
    change("DELETE", "/v1/suppressions/{recipient}", May(WriteSuppressions), 0),
    read("/v1/plugins", MayEverywhere(ReadPlugins)),
    change("PUT", "/v1/plugins/{plugin}", MayEverywhere(WritePlugins), SMALL_OCTETS_MAX),
    change("PUT", "/v1/plugins/{plugin}/trial", MayEverywhere(WritePlugins), SMALL_OCTETS_MAX),
    change("POST", "/v1/plugins/{plugin}/promote", MayEverywhere(WritePlugins), 0),
    change("POST", "/v1/plugins/{plugin}/rollback", MayEverywhere(WritePlugins), 0),
    read("/v1/sessions", MayEverywhere(ReadQueue)),
    change("DELETE", "/v1/sessions/{session}", MayEverywhere(WriteQueue), 0),
    read("/v1/sessions/{session}/transcript", MayEverywhere(ReadQueue)),
    read("/v1/sessions/{session}/transcript/stream", MayEverywhere(ReadQueue)),
    read("/v1/transcripts", MayEverywhere(ReadQueue)),
    read("/v1/audit", May(ReadAudit)),
    read("/v1/messages/{message}/story", MayEverywhere(ReadQueue)),
    read("/v1/why", MayEverywhere(ReadQueue)),
    read("/v1/overview", MayEverywhere(ReadQueue)),
    read("/v1/overview/stream", MayEverywhere(ReadQueue)),
    read("/v1/views", MayEverywhere(ReadQueue)),
    read("/v1/views/{view}", MayEverywhere(ReadQueue)),
    read("/v1/views/{view}/stream", MayEverywhere(ReadQueue)),
    read("/v1/directives", MayEverywhere(ReadQueue)),
    change("POST", "/v1/directives", MayEverywhere(WriteQueue), SMALL_OCTETS_MAX),
    read("/v1/directives/{directive}", MayEverywhere(ReadQueue)),
    change("DELETE", "/v1/directives/{directive}", MayEverywhere(WriteQueue), 0),
];

/// What a method and a path lead to.
pub(crate) enum Found {
    /// This route, and its place in the table.
    Route(usize, &'static Route),
    /// The path is there, for these methods.
    Methods(String),
}

/// Looks for a route; `path` is one of the table's.
pub(crate) fn find(method: &str, path: &str) -> Found {
    let method = if method == "HEAD" { "GET" } else { method };
    let here = || ROUTES.iter().enumerate().filter(|(_, route)| route.path == path);
    if let Some((place, route)) = here().find(|(_, route)| route.method == method) {
        return Found::Route(place, route);
    }
    let mut methods: Vec<_> = here().map(|(_, route)| route.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    Found::Methods(methods.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_method_and_path() {
        assert!(matches!(find("HEAD", "/docs"), Found::Route(1, _)));
        let Found::Methods(methods) = find("PATCH", "/v1/templates/{template}") else { panic!() };
        assert_eq!(methods, "GET, PUT, DELETE, HEAD");
        let Found::Methods(methods) = find("GET", "/nowhere") else { panic!() };
        assert_eq!(methods, "");
    }

    #[test]
    fn whatever_changes_something_is_recorded() {
        for route in ROUTES {
            // What only judges what it is sent changes nothing.
            let changes = route.method != "GET" && route.path != "/v1/lint";
            assert_eq!(route.recorded, changes, "{} {}", route.method, route.path);
        }
    }
}
