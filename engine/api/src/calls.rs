//! A [`Call`] for each route. Where a list comes in pages, `after` is the `next` of the page
//! before.

use crate::audit::AuditEntry;
use crate::call::Call;
use crate::directive::Directive;
use crate::directive::DirectiveRequest;
use crate::event::Event;
use crate::live::Direction;
use crate::live::Session;
use crate::live::Transcript;
use crate::live::TranscriptsQuery;
use crate::message::Cancelled;
use crate::message::InjectRequest;
use crate::message::InjectResponse;
use crate::overview::Overview;
use crate::page::Page;
use crate::page::ROWS_MAX;
use crate::plugin::Plugin;
use crate::plugin::PluginRequest;
use crate::plugin::TrialRequest;
use crate::project::Project;
use crate::project::ProjectRequest;
use crate::project::SenderDomains;
use crate::session::Jwt;
use crate::session::JwtRequest;
use crate::session::Whoami;
use crate::story::Story;
use crate::suppression::SuppressRequest;
use crate::suppression::SuppressedCount;
use crate::suppression::Suppression;
use crate::template::Findings;
use crate::template::LintRequest;
use crate::template::Template;
use crate::template::TemplateContent;
use crate::template::TemplateVersion;
use crate::token::NewToken;
use crate::token::Token;
use crate::token::TokenRequest;
use crate::view::ViewInfo;
use crate::view::ViewQuery;
use crate::view::Window;
use crate::webhook::DeadLetter;
use crate::webhook::NewWebhook;
use crate::webhook::ReplayRequest;
use crate::webhook::Webhook;
use crate::webhook::WebhookRequest;
use crate::why::Why;

fn get<T>(segments: &[&str]) -> Call<T> {
    Call::new("GET", segments)
}

fn rows<T>(segments: &[&str], after: Option<&str>) -> Call<Page<T>> {
    get(segments).ask("limit", Some(&ROWS_MAX.to_string())).ask("after", after)
}

/// Who one is.
pub fn whoami() -> Call<Whoami> {
    get(&["v1", "whoami"])
}

/// A JWT for a token.
pub fn jwt(request: &JwtRequest) -> Call<Jwt> {
    Call::new("POST", &["v1", "auth", "jwt"]).send(request)
}

/// Projects.
pub fn projects(after: Option<&str>) -> Call<Page<Project>> {
    rows(&["v1", "projects"], after)
}

/// A new project.
pub fn create_project(request: &ProjectRequest) -> Call<Project> {
    Call::new("POST", &["v1", "projects"]).send(request)
}

/// One project.
pub fn project(name: &str) -> Call<Project> {
    get(&["v1", "projects", name])
}

/// The domains that a project may send as.
pub fn senders(project: &str) -> Call<SenderDomains> {
    get(&["v1", "projects", project, "senders"])
}

/// Other domains that a project may send as.
pub fn set_senders(project: &str, domains: &SenderDomains) -> Call<()> {
    Call::new("PUT", &["v1", "projects", project, "senders"]).send(domains)
}

/// Tokens.
pub fn tokens(after: Option<&str>) -> Call<Page<Token>> {
    rows(&["v1", "tokens"], after)
}

/// A new token; its secret is in the answer and nowhere else.
pub fn create_token(request: &TokenRequest) -> Call<NewToken> {
    Call::new("POST", &["v1", "tokens"]).send(request)
}

/// One token.
pub fn token(id: &str) -> Call<Token> {
    get(&["v1", "tokens", id])
}

/// The end of a token.
pub fn revoke_token(id: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "tokens", id])
}

/// The newest versions of templates.
pub fn templates(after: Option<&str>) -> Call<Page<TemplateVersion>> {
    rows(&["v1", "templates"], after)
}

/// The newest version of a template.
pub fn template(name: &str) -> Call<Template> {
    get(&["v1", "templates", name])
}

/// A new version of a template.
pub fn put_template(name: &str, content: &TemplateContent) -> Call<Template> {
    Call::new("PUT", &["v1", "templates", name]).send(content)
}

/// The end of a template.
pub fn remove_template(name: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "templates", name])
}

/// The versions of a template.
pub fn versions(name: &str, after: Option<&str>) -> Call<Page<TemplateVersion>> {
    rows(&["v1", "templates", name, "versions"], after)
}

/// One version of a template.
pub fn version(name: &str, number: u32) -> Call<Template> {
    get(&["v1", "templates", name, "versions", &number.to_string()])
}

/// What may be wrong with a template.
pub fn lint(request: &LintRequest) -> Call<Findings> {
    Call::new("POST", &["v1", "lint"]).send(request)
}

/// A new key for links.
pub fn renew_link_keys() -> Call<()> {
    Call::new("POST", &["v1", "link-keys"])
}

/// Mail to hand in; with a key it is taken once, however often it comes.
pub fn inject(request: &InjectRequest, key: Option<&str>) -> Call<InjectResponse> {
    let call = Call::new("POST", &["v1", "messages"]).send(request);
    match key {
        Some(key) => call.with("idempotency-key", key),
        None => call,
    }
}

/// One mail to take back.
pub fn cancel(message: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "messages", message])
}

/// The mail of a campaign to take back.
pub fn cancel_campaign(campaign: &str) -> Call<Cancelled> {
    Call::new("DELETE", &["v1", "campaigns", campaign, "messages"])
}

/// The mail that has a tag to take back.
pub fn withdraw(tag: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "tags", tag, "messages"])
}

/// What happened, behind this event; of these types, all if there is none.
pub fn events(after: Option<&str>, types: &str) -> Call<Page<Event>> {
    rows(&["v1", "events"], after).ask("type", Some(types).filter(|types| !types.is_empty()))
}

/// What happens from now on: a stream of events; of these types, all if there is none.
pub fn event_stream(types: &str) -> Call<()> {
    let types = Some(types).filter(|types| !types.is_empty());
    get(&["v1", "events", "stream"]).ask("type", types)
}

/// Webhooks.
pub fn webhooks(after: Option<&str>) -> Call<Page<Webhook>> {
    rows(&["v1", "webhooks"], after)
}

/// A new webhook; its secret is in the answer and nowhere else.
pub fn create_webhook(request: &WebhookRequest) -> Call<NewWebhook> {
    Call::new("POST", &["v1", "webhooks"]).send(request)
}

/// One webhook.
pub fn webhook(id: &str) -> Call<Webhook> {
    get(&["v1", "webhooks", id])
}

/// Another address or other types for a webhook.
pub fn change_webhook(id: &str, request: &WebhookRequest) -> Call<Webhook> {
    Call::new("PUT", &["v1", "webhooks", id]).send(request)
}

/// The end of a webhook.
pub fn remove_webhook(id: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "webhooks", id])
}

/// A new secret for a webhook.
pub fn renew_webhook(id: &str) -> Call<NewWebhook> {
    Call::new("POST", &["v1", "webhooks", id, "secret"])
}

/// All events behind a place once more for a webhook.
pub fn replay(id: &str, request: &ReplayRequest) -> Call<()> {
    Call::new("POST", &["v1", "webhooks", id, "replay"]).send(request)
}

/// What a webhook has not taken.
pub fn dead_letters(id: &str, after: Option<&str>) -> Call<Page<DeadLetter>> {
    rows(&["v1", "webhooks", id, "dead-letters"], after)
}

/// One of them once more.
pub fn replay_dead_letter(id: &str, event: &str) -> Call<()> {
    Call::new("POST", &["v1", "webhooks", id, "dead-letters", event, "replay"])
}

/// Who is not written to: of a list, whose mailboxes begin so.
pub fn suppressions(
    after: Option<&str>,
    list: Option<&str>,
    recipient: Option<&str>,
) -> Call<Page<Suppression>> {
    rows(&["v1", "suppressions"], after).ask("list", list).ask("recipient", recipient)
}

/// Whom not to write to any more.
pub fn suppress(request: &SuppressRequest) -> Call<SuppressedCount> {
    Call::new("POST", &["v1", "suppressions"]).send(request)
}

/// Somebody may be written to again.
pub fn lift_suppression(recipient: &str, list: Option<&str>) -> Call<()> {
    Call::new("DELETE", &["v1", "suppressions", recipient]).ask("list", list)
}

/// Plugins.
pub fn plugins(after: Option<&str>) -> Call<Page<Plugin>> {
    rows(&["v1", "plugins"], after)
}

/// A plugin that is to be loaded or not.
pub fn switch_plugin(name: &str, enabled: bool) -> Call<Plugin> {
    Call::new("PUT", &["v1", "plugins", name]).send(&PluginRequest { enabled })
}

/// A version of a plugin for a part of all.
pub fn stage_plugin(name: &str, request: &TrialRequest) -> Call<Plugin> {
    Call::new("PUT", &["v1", "plugins", name, "trial"]).send(request)
}

/// The version that is tried for all.
pub fn promote_plugin(name: &str) -> Call<Plugin> {
    Call::new("POST", &["v1", "plugins", name, "promote"])
}

/// The version from before.
pub fn roll_back_plugin(name: &str) -> Call<Plugin> {
    Call::new("POST", &["v1", "plugins", name, "rollback"])
}

/// The audit log.
pub fn audit(after: Option<&str>) -> Call<Page<AuditEntry>> {
    rows(&["v1", "audit"], after)
}

/// All at a glance.
pub fn overview() -> Call<Overview> {
    get(&["v1", "overview"])
}

/// The same, each second: a stream of events `overview`.
pub fn overview_stream() -> Call<()> {
    get(&["v1", "overview", "stream"])
}

/// The views that there are.
pub fn views() -> Call<Vec<ViewInfo>> {
    get(&["v1", "views"])
}

/// A window on a view.
pub fn view(name: &str, query: &ViewQuery) -> Call<Window> {
    in_sight(get(&["v1", "views", name]), query)
}

/// The same as it changes: a stream of an event `window` and events `diff`.
pub fn view_stream(name: &str, query: &ViewQuery) -> Call<()> {
    in_sight(get(&["v1", "views", name, "stream"]), query)
}

fn in_sight<T>(call: Call<T>, query: &ViewQuery) -> Call<T> {
    call.ask("filter", query.filter.as_deref())
        .ask("sort", query.sort.as_deref())
        .ask("group", query.group.as_deref())
        .ask("offset", query.offset.map(|offset| offset.to_string()).as_deref())
        .ask("limit", query.limit.map(|limit| limit.to_string()).as_deref())
}

/// Why mail waits.
pub fn why(selector: Option<&str>) -> Call<Why> {
    get(&["v1", "why"]).ask("selector", selector)
}

/// What operators have said of waiting mail, the latest first.
pub fn directives(after: Option<&str>) -> Call<Page<Directive>> {
    rows(&["v1", "directives"], after)
}

/// Something to be done with waiting mail.
pub fn direct(request: &DirectiveRequest) -> Call<Directive> {
    Call::new("POST", &["v1", "directives"]).send(request)
}

/// How far a directive has come.
pub fn directive(id: &str) -> Call<Directive> {
    get(&["v1", "directives", id])
}

/// A directive is taken back.
pub fn undo_directive(id: &str) -> Call<Directive> {
    Call::new("DELETE", &["v1", "directives", id])
}

/// The life of a message.
pub fn story(message: &str) -> Call<Story> {
    get(&["v1", "messages", message, "story"])
}

/// Sessions that go on, those of this direction.
pub fn sessions(after: Option<&str>, direction: Option<Direction>) -> Call<Page<Session>> {
    rows(&["v1", "sessions"], after).ask("direction", direction.map(Direction::word))
}

/// The end of a session.
pub fn close_session(session: &str) -> Call<()> {
    Call::new("DELETE", &["v1", "sessions", session])
}

/// What was said in a session.
pub fn transcript(session: &str) -> Call<Transcript> {
    get(&["v1", "sessions", session, "transcript"])
}

/// The same as it is said: a stream of events `line`.
pub fn transcript_stream(session: &str) -> Call<()> {
    get(&["v1", "sessions", session, "transcript", "stream"])
}

/// What was said in sessions that are over, the last first.
pub fn transcripts(query: &TranscriptsQuery) -> Call<Vec<Transcript>> {
    get(&["v1", "transcripts"])
        .ask("direction", query.direction.map(Direction::word))
        .ask("site", query.site.as_deref())
        .ask("source", query.source.as_deref())
        .ask("failed", query.failed.then_some("true"))
}
