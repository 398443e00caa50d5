//! `maily plugin enable`, `disable`, `stage`, `promote`, `rollback` and `status`: what is asked of
//! the running daemon.

use std::sync::Arc;
use std::time::Duration;

use maily_api::call::Call;
use maily_api::calls;
use maily_api::plugin::{Plugin, PluginHook, TrialRequest};
use maily_config::value;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// A plugin of the running daemon.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Its name.
    name: String,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cp -r plugins/promo plugins/promo@next\n  \
    maily plugin stage promo@next --percent 10 --for 1h\n  maily plugin status promo\n  \
    maily plugin promote promo")]
pub(super) struct Stage {
    /// The plugin and the version: promo@next is the folder beside promo.
    #[arg(value_name = "NAME@VERSION", value_parser = version)]
    version: (String, String),
    /// On how many of a hundred contacts or messages; always the same ones.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    /// How long; until it is promoted or rolled back if not given.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Only this one.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// What is chosen about a plugin.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    Enable,
    Disable,
    Promote,
    RollBack,
}

fn time(text: &str) -> Result<Duration, String> {
    value::parse_duration(text).ok_or_else(|| "write it as 30m or 12h".to_owned())
}

fn version(text: &str) -> Result<(String, String), String> {
    let (name, version) =
        text.split_once('@').ok_or_else(|| format!("name the version, too: {text}@next"))?;
    Ok((name.to_owned(), version.to_owned()))
}

/// Chooses.
pub(super) async fn choose(
    named: &Named,
    choice: Choice,
    clock: Arc<dyn Clock>,
) -> Result<Exit, Failure> {
    let name = &named.name;
    let call = match choice {
        Choice::Enable => calls::switch_plugin(name, true),
        Choice::Disable => calls::switch_plugin(name, false),
        Choice::Promote => calls::promote_plugin(name),
        Choice::RollBack => calls::roll_back_plugin(name),
    };
    ask(&named.serve, call, clock).await
}

/// Tries a version.
pub(super) async fn stage(stage: &Stage, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let (name, version) = &stage.version;
    let request = TrialRequest {
        version: version.clone(),
        percent: stage.percent.into(),
        seconds: stage.time.map(|time| time.as_secs().try_into().unwrap_or(u32::MAX)),
    };
    ask(&stage.serve, calls::stage_plugin(name, &request), clock).await
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn ask(
    serve: &serve::Arguments,
    call: Call<Plugin>,
    clock: Arc<dyn Clock>,
) -> Result<Exit, Failure> {
    let office = Office::find(&serve::read_only(serve)?, &clock).await?;
    println!("{}", head(&office.run(call).await?));
    Ok(Exit::Ok)
}

/// Says how the plugins of the daemon fare.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) async fn status(status: &Status, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&status.serve)?;
    let (mut after, mut found) = (None, Exit::Nothing);
    loop {
        let office = Office::find(&config, &clock).await?;
        let page = office.run(calls::plugins(after.as_deref())).await?;
        for plugin in page.data {
            if status.name.as_ref().is_some_and(|name| *name != plugin.name) {
                continue;
            }
            found = Exit::Ok;
            if status.json {
                let row = serde_json::to_string(&plugin).map_err(anyhow::Error::from)?;
                println!("{row}");
                continue;
            }
            println!("{}", head(&plugin));
            for hook in &plugin.hooks {
                println!("    {}", line(hook));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn head(plugin: &Plugin) -> String {
    let version = plugin.version.as_deref().map(|version| format!("@{version}"));
    let mut text = format!("{}{}", plugin.name, version.as_deref().unwrap_or_default());
    if !plugin.enabled {
        text.push_str(", disabled");
    } else if version.is_none() {
        text.push_str(", not loaded: the daemon's log says why");
    }
    if let Some(trial) = &plugin.trial {
        text.push_str(&format!(", {} tried on {} %", trial.version, trial.percent));
        if let Some(until) = &trial.until {
            text.push_str(&format!(" until {until}"));
        }
    }
    text
}

fn line(hook: &PluginHook) -> String {
    let failed: u64 = hook.errors.values().sum();
    let mean = hook.micros as f64 / (hook.calls + hook.waits).max(1) as f64;
    let mut text = format!(
        "{:14} {}@{} calls {}, failed {failed}, mean {mean:.1} us, slowest {} us",
        hook.hook,
        if hook.tried { "tried" } else { "used" },
        hook.version,
        hook.calls,
        hook.slowest_micros,
    );
    if hook.breaker != "closed" {
        let until = hook.rests_until.as_deref().unwrap_or("it is tried");
        text.push_str(&format!(", rests until {until}"));
    }
    for (code, count) in &hook.errors {
        text.push_str(&format!(", {code} {count}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_in_a_line_and_one_for_each_hook() {
        let text = r#"{"name":"promo","version":"1.0.0","enabled":true,
            "trial":{"version":"next","percent":10,"until":"2026-01-01T00:00:00Z"},
            "hooks":[{"hook":"on_route","version":"1.0.0","tried":false,"priority":50,
            "on_error":"open","breaker":"open","rests_until":"2026-01-01T00:00:30Z","calls":4,
            "kept_away":1,"waits":0,"cache_hits":0,"micros":10,"slowest_micros":5,
            "errors":{"R0101":2}}]}"#;
        let mut plugin: Plugin = serde_json::from_str(text).unwrap();
        assert_eq!(head(&plugin), "promo@1.0.0, next tried on 10 % until 2026-01-01T00:00:00Z");
        assert_eq!(
            line(&plugin.hooks[0]),
            "on_route       used@1.0.0 calls 4, failed 2, mean 2.5 us, slowest 5 us, \
             rests until 2026-01-01T00:00:30Z, R0101 2"
        );
        (plugin.version, plugin.trial) = (None, None);
        assert!(head(&plugin).starts_with("promo, not loaded"));
        plugin.enabled = false;
        assert_eq!(head(&plugin), "promo, disabled");
    }
}
