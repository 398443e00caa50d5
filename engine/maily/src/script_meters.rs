//! What is counted of plugins, as metrics.

use maily_plugins::breaker::State;
use maily_plugins::set::{Plugins, Standing};

use crate::metrics::Exposition;

/// Writes how all plugins fare, and what they count themselves.
pub fn write(plugins: &Plugins, text: &mut Exposition) {
    let standing = plugins.standing();
    if !standing.is_empty() {
        counts(&standing, text);
        states(&standing, text);
    }
    own(plugins, text);
}

fn labels(standing: &Standing) -> [(&'static str, &str); 2] {
    [("plugin", &standing.plugin), ("hook", standing.hook.name())]
}

fn counts(standing: &[Standing], text: &mut Exposition) {
    type Read = fn(&Standing) -> u64;
    let families: [(&str, &str, Read); 4] = [
        ("maily_plugin_calls_total", "Calls of a plugin that ended.", |one| one.counts.calls),
        ("maily_plugin_kept_away_total", "Calls kept away by a breaker.", |one| one.counts.refused),
        ("maily_plugin_waits_total", "Runs that waited for another machine.", |one| {
            one.counts.rounds
        }),
        ("maily_plugin_cache_hits_total", "Answers of a plugin out of its cache.", |one| {
            one.counts.cache_hits
        }),
    ];
    for (name, help, read) in families {
        text.family(name, "counter", help);
        for one in standing {
            text.labelled(name, &labels(one), read(one));
        }
    }
    let (name, help) = ("maily_plugin_errors_total", "Calls of a plugin that failed, by code.");
    text.family(name, "counter", help);
    for one in standing {
        for (code, count) in &one.counts.errors {
            let [plugin, hook] = labels(one);
            text.labelled(name, &[plugin, hook, ("code", code.as_str())], count);
        }
    }
    let (name, help) = ("maily_plugin_seconds_total", "Time that a plugin took.");
    text.family(name, "counter", help);
    for one in standing {
        text.labelled(name, &labels(one), one.counts.micros as f64 / 1e6);
    }
}

fn states(standing: &[Standing], text: &mut Exposition) {
    let (name, help) = ("maily_plugin_breaker", "1 where the breaker of a plugin stands.");
    text.family(name, "gauge", help);
    for one in standing {
        let now = match one.breaker {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open { .. } => "open",
        };
        for state in ["closed", "half_open", "open"] {
            let [plugin, hook] = labels(one);
            text.labelled(name, &[plugin, hook, ("state", state)], u8::from(state == now));
        }
    }
    let (name, help) = ("maily_plugin_tried_percent", "Of a hundred, on how many one is tried.");
    text.family(name, "gauge", help);
    for one in standing {
        if let Some(percent) = one.staged {
            text.labelled(name, &labels(one), percent);
        }
    }
}

/// What plugins count (`count("x")`) and observe (`observe("x", 1.5)`).
fn own(plugins: &Plugins, text: &mut Exposition) {
    let sums = plugins.tally().read();
    if sums.is_empty() {
        return;
    }
    let (name, help) = ("maily_plugin_metric_sum", "What plugins counted or observed, summed up.");
    text.family(name, "gauge", help);
    for ((plugin, metric), sum) in &sums {
        text.labelled(name, &[("plugin", plugin), ("metric", metric)], sum.sum);
    }
    let (name, help) = ("maily_plugin_metric_count", "How often they did.");
    text.family(name, "counter", help);
    for ((plugin, metric), sum) in &sums {
        text.labelled(name, &[("plugin", plugin), ("metric", metric)], sum.count);
    }
}
