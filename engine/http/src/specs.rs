//! The views that there are, with their columns.

use maily_api::view::ColumnKind;
use maily_api::view::ColumnKind::Count;
use maily_api::view::ColumnKind::Octets;
use maily_api::view::ColumnKind::Percent;
use maily_api::view::ColumnKind::Rate;
use maily_api::view::ColumnKind::Seconds;
use maily_api::view::ColumnKind::Text;
use maily_api::view::ColumnKind::Time;

use crate::views::ColumnSpec;
use crate::views::ViewSpec;

const fn column(
    name: &'static str,
    title: &'static str,
    kind: ColumnKind,
    rank: u8,
    about: &'static str,
) -> ColumnSpec {
    ColumnSpec { name, title, kind, rank, about }
}

/// Domains with mail.
pub(crate) const QUEUES: ViewSpec = ViewSpec {
    name: "queues",
    about: "domains with mail: how much waits, how old it is, and what holds the most of it",
    columns: &[
        column("domain", "DOMAIN", Text, 0, "the recipients' domain"),
        column("site", "SITE", Text, 6, "the mail hosts that it shares with others"),
        column("waiting", "WAIT", Count, 0, "messages that wait"),
        column("timed", "TIMED", Count, 4, "of these, those that wait for their time"),
        column("held", "HELD", Count, 4, "of these, those that somebody holds back"),
        column("in_flight", "FLY", Count, 5, "messages that are under way"),
        column("m5", "<5m", Count, 7, "messages that wait for less than 5 minutes"),
        column("m10", "10m", Count, 7, "for 5 to 10 minutes"),
        column("m20", "20m", Count, 7, "for 10 to 20 minutes"),
        column("m40", "40m", Count, 7, "for 20 to 40 minutes"),
        column("m80", "80m", Count, 7, "for 40 to 80 minutes"),
        column("m160", "160m", Count, 7, "for 80 to 160 minutes"),
        column("m300", "5h", Count, 7, "for 160 to 300 minutes"),
        column("older", ">5h", Count, 7, "for more than 300 minutes"),
        column("oldest", "OLDEST", Seconds, 3, "for how long the oldest waits"),
        column("cause", "BY", Text, 1, "what holds the most of them"),
    ],
    groups: &["site", "cause"],
    sort: "-waiting",
};

/// Sites with mail.
pub(crate) const SITES: ViewSpec = ViewSpec {
    name: "sites",
    about: "mail hosts with the domains that they serve: how much waits and how fast it goes",
    columns: &[
        column("site", "SITE", Text, 0, "the mail hosts"),
        column("domains", "DOM", Count, 5, "domains with mail that they serve"),
        column("waiting", "WAIT", Count, 0, "messages that wait"),
        column("timed", "TIMED", Count, 5, "of these, those that wait for their time"),
        column("held", "HELD", Count, 5, "of these, those that somebody holds back"),
        column("in_flight", "FLY", Count, 6, "messages that are under way"),
        column("out", "OUT/s", Rate, 2, "delivered in a second, of late"),
        column("defer", "DEF%", Percent, 3, "of a hundred attempts of late, those put off"),
        column("bounce", "BNC%", Percent, 4, "of a hundred attempts of late, those refused"),
        column("connections", "CONN", Count, 4, "connections"),
        column("oldest", "OLDEST", Seconds, 3, "for how long the oldest waits"),
        column("cause", "BY", Text, 1, "what holds the most of them"),
    ],
    groups: &["cause"],
    sort: "-waiting",
};

/// Tenants and mailings with mail.
pub(crate) const STREAMS: ViewSpec = ViewSpec {
    name: "streams",
    about: "tenants and mailings with mail",
    columns: &[
        column("tenant", "TENANT", Text, 0, "whose mail it is"),
        column("campaign", "CAMPAIGN", Text, 0, "which mailing"),
        column("class", "CLASS", Text, 3, "transactional or bulk"),
        column("pool", "POOL", Text, 2, "the pool that it goes by"),
        column("waiting", "WAIT", Count, 0, "messages that wait"),
        column("timed", "TIMED", Count, 4, "of these, those that wait for their time"),
        column("held", "HELD", Count, 4, "of these, those that somebody holds back"),
        column("in_flight", "FLY", Count, 5, "messages that are under way"),
    ],
    groups: &["tenant", "campaign", "class", "pool"],
    sort: "-waiting",
};

/// Egress sources as sites see them.
pub(crate) const SOURCES: ViewSpec = ViewSpec {
    name: "sources",
    about: "egress sources as each site sees them: connections, how many there may be, rests",
    columns: &[
        column("source", "SOURCE", Text, 0, "the egress source"),
        column("site", "SITE", Text, 0, "the mail hosts"),
        column("state", "STATE", Text, 1, "up or resting"),
        column("in_flight", "FLY", Count, 3, "messages that are under way"),
        column("connections", "CONN", Count, 2, "connections"),
        column("window", "MAY", Count, 4, "messages that may be under way"),
        column("until", "UNTIL", Time, 5, "when its rest ends"),
        column("said", "SAID", Text, 6, "what was said when it failed last"),
    ],
    groups: &["source", "site", "state"],
    sort: "-connections",
};

/// Messages that wait. Its columns are the fields of selectors of waiting mail.
pub(crate) const MESSAGES: ViewSpec = ViewSpec {
    name: "messages",
    about: "messages, one for each of their domains; sorted by age, attempts or next",
    columns: &[
        column("id", "MESSAGE", Text, 0, "its id"),
        column("domain", "DOMAIN", Text, 0, "the recipients' domain"),
        column("site", "SITE", Text, 6, "the mail hosts"),
        column("tenant", "TENANT", Text, 5, "whose mail it is"),
        column("campaign", "CAMPAIGN", Text, 4, "which mailing"),
        column("class", "CLASS", Text, 7, "transactional or bulk"),
        column("pool", "POOL", Text, 7, "the pool that it goes by"),
        column("age", "AGE", Seconds, 1, "for how long it has been here"),
        column("attempts", "TRY", Count, 2, "how often it was tried"),
        column("next", "NEXT", Seconds, 3, "how long until it is tried"),
        column("expires", "EXPIRES", Seconds, 6, "how long until it is given up"),
        column("cause", "BY", Text, 1, "what holds it"),
        column("last", "SAID", Text, 5, "what was answered last"),
    ],
    groups: &[],
    sort: "-age",
};

/// Live SMTP sessions.
pub(crate) const SESSIONS: ViewSpec = ViewSpec {
    name: "sessions",
    about: "SMTP sessions in and out that go on",
    columns: &[
        column("session", "SESSION", Text, 3, "its name"),
        column("direction", "DIR", Text, 0, "in or out"),
        column("peer", "PEER", Text, 0, "the other end"),
        column("site", "SITE", Text, 4, "the mail hosts, of sessions out"),
        column("source", "SOURCE", Text, 5, "the egress source, of sessions out"),
        column("phase", "PHASE", Text, 1, "how far it is"),
        column("since", "FOR", Seconds, 1, "for how long it is so far"),
        column("tls", "TLS", Text, 7, "the version and cipher of TLS"),
        column("messages", "MSGS", Count, 2, "messages that were taken"),
        column("octets", "OCTETS", Octets, 6, "octets that the client sent"),
        column("command", "COMMAND", Text, 5, "the last command"),
        column("reply", "REPLY", Text, 6, "the last reply"),
        column("message", "MESSAGE", Text, 7, "the message under way"),
    ],
    groups: &["direction", "site", "source", "phase"],
    sort: "-since",
};

/// Plugins.
pub(crate) const PLUGINS: ViewSpec = ViewSpec {
    name: "plugins",
    about: "plugins, each with its hooks",
    columns: &[
        column("plugin", "PLUGIN", Text, 0, "its name and version"),
        column("hook", "HOOK", Text, 0, "the hook"),
        column("state", "STATE", Text, 1, "closed, open (it rests) or half_open, or disabled"),
        column("calls", "CALLS", Count, 2, "calls that ended"),
        column("micros", "US/CALL", Count, 3, "microseconds of a call"),
        column("slowest", "SLOWEST", Count, 5, "microseconds of the slowest"),
        column("errors", "ERRORS", Count, 2, "calls that failed"),
        column("hits", "HITS", Count, 6, "answers out of the cache"),
        column("on_error", "ON ERROR", Text, 6, "what failure means"),
    ],
    groups: &["plugin", "hook", "state"],
    sort: "plugin",
};

/// Why recipients were not sent to.
pub(crate) const BOUNCES: ViewSpec = ViewSpec {
    name: "bounces",
    about: "why recipients were put off or refused, since the start",
    columns: &[
        column("reason", "REASON", Text, 0, "the reason, as rules name it"),
        column("class", "CLASS", Text, 1, "what it is about"),
        column("permanence", "HOW LONG", Text, 3, "whether the address is dead"),
        column("count", "COUNT", Count, 0, "tries that failed so"),
    ],
    groups: &["class", "permanence"],
    sort: "-count",
};

/// What operators have said of waiting mail.
pub(crate) const JOBS: ViewSpec = ViewSpec {
    name: "jobs",
    about: "what operators have said of waiting mail, and how far it has come",
    columns: &[
        column("id", "ID", Text, 0, "its name"),
        column("verb", "DOES", Text, 0, "what is done"),
        column("selector", "SELECTOR", Text, 0, "with which mail"),
        column("state", "STATE", Text, 1, "how far it has come"),
        column("done", "DONE", Count, 2, "messages with which it is done"),
        column("matched", "OF", Count, 3, "messages that it was about"),
        column("at", "AT", Time, 4, "when it was given"),
        column("until", "UNTIL", Time, 5, "when it ends by itself, or cannot be undone any more"),
        column("author", "BY", Text, 4, "who gave it"),
        column("reason", "WHY", Text, 6, "why"),
    ],
    groups: &["verb", "state", "author"],
    sort: "-at",
};

/// Who changed what.
pub(crate) const AUDIT: ViewSpec = ViewSpec {
    name: "audit",
    about: "who changed what, and who wanted to: the last of it",
    columns: &[
        column("number", "NO", Count, 3, "its number"),
        column("at", "AT", Time, 0, "when"),
        column("actor", "WHO", Text, 0, "who"),
        column("action", "WHAT", Text, 0, "what was asked for"),
        column("object", "OF", Text, 2, "of what"),
        column("status", "STATUS", Count, 1, "what was answered"),
        column("project", "PROJECT", Text, 4, "in which project"),
    ],
    groups: &["actor", "action"],
    sort: "-number",
};

/// Tokens.
pub(crate) const TOKENS: ViewSpec = ViewSpec {
    name: "tokens",
    about: "who may ask by HTTP, without their secrets",
    columns: &[
        column("id", "TOKEN", Text, 0, "its id"),
        column("project", "PROJECT", Text, 1, "the project that it is for; all without"),
        column("role", "ROLE", Text, 0, "what it may do"),
        column("label", "FOR", Text, 2, "what it is for"),
        column("used", "USED", Time, 3, "when it was used last"),
        column("expires", "EXPIRES", Time, 4, "when it ends"),
    ],
    groups: &["project", "role"],
    sort: "id",
};

/// Who is not written to.
pub(crate) const SUPPRESSIONS: ViewSpec = ViewSpec {
    name: "suppressions",
    about: "who is not written to: the first 20,000 by project, list and mailbox",
    columns: &[
        column("mailbox", "MAILBOX", Text, 0, "who"),
        column("project", "PROJECT", Text, 0, "whose mail they are not sent; everybody's without"),
        column("list", "LIST", Text, 2, "of which list; of all of them without"),
        column("reason", "REASON", Text, 1, "why"),
        column("first", "FIRST", Time, 5, "when it was said first"),
        column("last", "LAST", Time, 3, "when it was said last"),
        column("until", "UNTIL", Time, 4, "when it ends by itself"),
        column("message", "MESSAGE", Text, 6, "the message that brought it about"),
    ],
    groups: &["project", "list", "reason"],
    sort: "mailbox",
};

/// All views.
pub(crate) const VIEWS: [ViewSpec; 12] = [
    QUEUES,
    SITES,
    STREAMS,
    SOURCES,
    MESSAGES,
    SESSIONS,
    PLUGINS,
    BOUNCES,
    SUPPRESSIONS,
    JOBS,
    AUDIT,
    TOKENS,
];
