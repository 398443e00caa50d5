//! `/v1/plugins`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::plugin::Plugin;
use maily_api::plugin::PluginHook;
use maily_api::plugin::PluginRequest;
use maily_api::plugin::Trial;
use maily_api::plugin::TrialRequest;
use maily_core::clock::Timestamp;
use maily_plugins::breaker;
use maily_plugins::choices::Action;
use maily_plugins::choices::Choices;
use maily_plugins::choices::Unchosen;
use maily_plugins::set::Plugins;
use maily_plugins::set::Standing;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::body::Json;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;

/// The longest time that a trial is given, in seconds: a year.
const TRIAL_SECS_MAX: u32 = 365 * 86_400;

/// List plugins
///
/// By name, each with what was counted since it was loaded. What errors mean: `maily plugin doc`.
#[utoipa::path(
    get,
    path = "/v1/plugins",
    tag = "plugins",
    params(PageQuery),
    responses((status = 200, body = Page<Plugin>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Wanted,
) -> Outcome<Rows<Plugin>> {
    let after = wanted.cursor(|name| Some(name.to_owned()))?;
    let mut rows = rows(&shared.mail()?.plugins);
    rows.retain(|row| after.as_ref().is_none_or(|after| row.name > *after));
    rows.truncate(wanted.looked_for());
    Ok(wanted.page(rows, |row| row.name.clone(), |row| row))
}

/// Load a plugin or do not
///
/// It is kept over restarts. A plugin that the configuration disables stays so.
#[utoipa::path(
    put,
    path = "/v1/plugins/{plugin}",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its name", max_length = 63)),
    request_body = PluginRequest,
    responses(
        (status = 200, body = Plugin),
        (status = 404, description = "there is no such plugin"),
        (status = 409, description = "it cannot be loaded, or the configuration disables it")
    )
)]
pub(crate) async fn switch(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(request): Json<PluginRequest>,
) -> Outcome<Answer<Plugin>> {
    let action = if request.enabled { Action::Enable } else { Action::Disable };
    choose(&shared, name, action).await
}

/// Try a version
///
/// On so many of a hundred contacts or messages, always the same ones. The version lies beside the
/// plugin's folder: `promo@next` is the version `next` of `promo`. It is kept over restarts.
#[utoipa::path(
    put,
    path = "/v1/plugins/{plugin}/trial",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its name", max_length = 63)),
    request_body = TrialRequest,
    responses(
        (status = 200, body = Plugin),
        (status = 404, description = "there is no such plugin"),
        (status = 409, description = "the version cannot be loaded")
    )
)]
pub(crate) async fn stage(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Json(request): Json<TrialRequest>,
) -> Outcome<Answer<Plugin>> {
    if request.seconds.is_some_and(|seconds| seconds == 0 || seconds > TRIAL_SECS_MAX) {
        let detail = format!("it must be from 1 to {TRIAL_SECS_MAX}");
        return Err(Fault::invalid_at("/seconds", "out_of_range", detail));
    }
    let now = shared.parts.clock.now();
    let time = request.seconds.map(|seconds| (now, Duration::from_secs(seconds.into())));
    let percent = u8::try_from(request.percent).unwrap_or(u8::MAX);
    choose(&shared, name, Action::Stage { version: request.version, percent, time }).await
}

/// Use the version that is tried for all
#[utoipa::path(
    post,
    path = "/v1/plugins/{plugin}/promote",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its name", max_length = 63)),
    responses(
        (status = 200, body = Plugin),
        (status = 404, description = "there is no such plugin"),
        (status = 409, description = "no version is tried")
    )
)]
pub(crate) async fn promote(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<Answer<Plugin>> {
    choose(&shared, name, Action::Promote).await
}

/// End a trial, or go back
///
/// If no version is tried, the version is used that was used before the last was promoted.
#[utoipa::path(
    post,
    path = "/v1/plugins/{plugin}/rollback",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its name", max_length = 63)),
    responses(
        (status = 200, body = Plugin),
        (status = 404, description = "there is no such plugin"),
        (status = 409, description = "there is nothing to go back to")
    )
)]
pub(crate) async fn roll_back(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<Answer<Plugin>> {
    choose(&shared, name, Action::RollBack).await
}

async fn choose(shared: &Shared, name: String, action: Action) -> Outcome<Answer<Plugin>> {
    let plugins = Arc::clone(&shared.mail()?.plugins);
    // Scripts are compiled and their cases are run.
    let chosen = tokio::task::spawn_blocking(move || {
        plugins.choose(&name, &action).map_err(|why| {
            // The whole of it, with the line that is wrong, is for the log.
            tracing::warn!(plugin = %name, %why, "what was asked of a plugin is not done");
            refused(&why)
        })?;
        let row = rows(&plugins).into_iter().find(|row| row.name == name);
        Ok(row.unwrap_or_else(|| row_of(&name, &plugins.choices())))
    });
    let row = chosen.await.map_err(|error| Fault::ours(&error))?;
    row.map(|row| Answer(StatusCode::OK, row))
}

fn refused(why: &Unchosen) -> Fault {
    match why {
        Unchosen::Unknown => Fault::not_found(why.to_string()),
        Unchosen::Version | Unchosen::NoVersion(_) => {
            Fault::invalid_at("/version", "unknown", why.to_string())
        }
        Unchosen::Percent => Fault::invalid_at("/percent", "out_of_range", why.to_string()),
        Unchosen::Disk(_) => Fault::ours(why),
        Unchosen::Configured
        | Unchosen::Disabled
        | Unchosen::NotTried
        | Unchosen::NothingBefore
        | Unchosen::Fault(_) => Fault::new(StatusCode::CONFLICT, "not-as-it-is", why.to_string()),
    }
}

/// All plugins that are loaded or were spoken of, by name.
pub(crate) fn rows(plugins: &Plugins) -> Vec<Plugin> {
    let choices = plugins.choices();
    let mut rows: BTreeMap<String, Plugin> =
        choices.names().map(|name| (name.to_owned(), row_of(name, &choices))).collect();
    for standing in plugins.standing() {
        let (name, version) = standing.plugin.split_once('@').unwrap_or((&standing.plugin, ""));
        let row = rows.entry(name.to_owned()).or_insert_with(|| row_of(name, &choices));
        if standing.staged.is_none() {
            row.version = Some(version.to_owned());
        }
        row.hooks.push(hook(&standing, version));
    }
    rows.into_values().collect()
}

fn row_of(name: &str, choices: &Choices) -> Plugin {
    let chosen = choices.of(name);
    let trial = chosen.and_then(|chosen| chosen.trial.as_ref()).map(|trial| Trial {
        version: trial.version.clone(),
        percent: trial.percent,
        until: trial.until.map(|secs| Timestamp::from_secs(secs).to_string()),
    });
    let enabled = chosen.is_none_or(|chosen| !chosen.disabled);
    Plugin { name: name.to_owned(), version: None, enabled, trial, hooks: Vec::new() }
}

fn hook(standing: &Standing, version: &str) -> PluginHook {
    let counts = &standing.counts;
    let (breaker, rests_until) = match standing.breaker {
        breaker::State::Closed => ("closed", None),
        breaker::State::HalfOpen => ("half_open", None),
        breaker::State::Open { until } => ("open", Some(until.to_string())),
    };
    let errors = counts.errors.iter().map(|(code, count)| (code.as_str().to_owned(), *count));
    PluginHook {
        hook: standing.hook.to_string(),
        version: version.to_owned(),
        tried: standing.staged.is_some(),
        priority: standing.priority,
        on_error: standing.on_error.name().to_owned(),
        breaker: breaker.to_owned(),
        rests_until,
        calls: counts.calls,
        kept_away: counts.refused,
        waits: counts.rounds,
        cache_hits: counts.cache_hits,
        micros: counts.micros,
        slowest_micros: counts.slowest_micros,
        errors: errors.collect(),
    }
}
