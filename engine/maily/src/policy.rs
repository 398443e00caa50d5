//! What the configuration says about sending, as the queue understands it.

use std::sync::Arc;

use anyhow::anyhow;

use maily_config::config::Config;
use maily_config::config::sending::InDoubt as ConfiguredInDoubt;
use maily_config::lines::LimitLines;
use maily_config::value::Rate as ConfiguredRate;
use maily_core::queue::policy::InDoubt;
use maily_core::queue::policy::Limits;
use maily_core::queue::policy::Places;
use maily_core::queue::policy::Policy;
use maily_core::queue::policy::Pool;
use maily_core::queue::policy::SourceIndex;
use maily_core::queue::policy::SourceShare;
use maily_core::queue::rate::Rate;
use maily_core::queue::retry::RetryPlan;
use maily_egress::connection::Source;

/// The pool of those that no other pool is for.
const DEFAULT: &str = "default";

/// The policy.
///
/// # Errors
/// `[retry]` does not make a schedule.
pub fn policy(config: &Config) -> anyhow::Result<Policy> {
    let retry = &config.retry;
    let plan = RetryPlan::try_new(retry.delay_min, retry.delay_max, retry.factor, retry.jitter)
        .map_err(|_| anyhow!("[retry] does not make a schedule"))?;
    let limits = Limits {
        connections_initial: config.limits.connections_initial,
        connections_max: config.limits.connections_max,
        message_rate: rate(config.limits.message_rate),
        connection_rate: rate(config.limits.connection_rate),
    };
    let own = config.site.iter().map(|site| {
        let own = Limits {
            connections_max: site.connections_max.unwrap_or(limits.connections_max),
            message_rate: rate(site.message_rate).or(limits.message_rate),
            connection_rate: rate(site.connection_rate).or(limits.connection_rate),
            ..limits
        };
        (site.r#match.to_ascii_lowercase().into(), own)
    });
    let places = config.site.iter().zip(&config.lines.sites);
    let places = places.map(|(site, at)| (site.r#match.to_ascii_lowercase().into(), written(at)));
    let share = |source: &maily_config::config::sending::Source| SourceShare {
        name: source.name.as_str().into(),
        weight: source.weight.unwrap_or(1),
    };
    let mut shares: Vec<_> = config.source.iter().map(share).collect();
    if shares.is_empty() {
        shares.push(SourceShare { name: DEFAULT.into(), weight: 1 });
    }
    Ok(Policy {
        retry: plan,
        in_doubt: match retry.in_doubt {
            ConfiguredInDoubt::Retry => InDoubt::Retry,
            ConfiguredInDoubt::Settle => InDoubt::Settle,
        },
        connections_max: config.egress.connections_max,
        limits,
        sites: own.collect(),
        pools: pools(config, &shares),
        sources: shares,
        places: places.collect(),
        place: written(&config.lines.limits),
        connections_place: config.lines.egress_connections_max.clone(),
    })
}

fn written(at: &LimitLines) -> Places {
    Places {
        connections: at.connections_max.clone(),
        message_rate: at.message_rate.clone(),
        connection_rate: at.connection_rate.clone(),
    }
}

/// The egress sources, in the order of the policy's.
pub fn sources(config: &Config) -> Vec<Arc<Source>> {
    let hostname = &config.node.hostname;
    if config.source.is_empty() {
        let (name, ehlo) = (DEFAULT.into(), hostname.as_str().into());
        return vec![Arc::new(Source { name, address: None, ehlo })];
    }
    let source = |source: &maily_config::config::sending::Source| Source {
        name: source.name.as_str().into(),
        address: source.address,
        ehlo: source.ehlo.as_ref().unwrap_or(hostname).as_str().into(),
    };
    config.source.iter().map(|configured| Arc::new(source(configured))).collect()
}

/// The default pool first.
fn pools(config: &Config, shares: &[SourceShare]) -> Vec<Pool> {
    let index = |name: &String| shares.iter().position(|share| *share.name == **name);
    let pool = |pool: &maily_config::config::sending::Pool| Pool {
        name: pool.name.as_str().into(),
        sources: pool.sources.iter().filter_map(index).map(|n| SourceIndex(n as u16)).collect(),
        tenants: pool.tenants.iter().map(|tenant| tenant.as_str().into()).collect(),
    };
    let mut pools: Vec<_> = config.pool.iter().map(pool).collect();
    pools.sort_by_key(|pool| *pool.name != *DEFAULT);
    if pools.first().is_none_or(|pool| *pool.name != *DEFAULT) {
        let sources = (0..shares.len() as u16).map(SourceIndex).collect();
        pools.insert(0, Pool { name: DEFAULT.into(), sources, tenants: Vec::new() });
    }
    pools
}

fn rate(rate: Option<ConfiguredRate>) -> Option<Rate> {
    rate.and_then(|rate| Rate::new(rate.count, rate.per))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(text: &str) -> Config {
        maily_config::load::parse(text, "test.toml").unwrap()
    }

    #[test]
    fn without_sources_and_pools_there_is_one_of_each() {
        let config = config("");
        let policy = policy(&config).unwrap();
        assert_eq!((policy.sources.len(), policy.pools.len(), sources(&config).len()), (1, 1, 1));
        assert_eq!(policy.pools[0].sources, [SourceIndex(0)]);
    }

    #[test]
    fn pools_weights_rates_and_single_sites_are_honoured() {
        let config = config(
            r#"
            [limits]
            message_rate = "100/s"
            [[site]]
            match = "Example.COM"
            connections_max = 2
            connection_rate = "60/m"
            [retry]
            in_doubt = "settle"
            [[source]]
            name = "a"
            weight = 3
            [[source]]
            name = "b"
            [[pool]]
            name = "marketing"
            sources = ["b"]
            tenants = ["shop"]
            "#,
        );
        let policy = policy(&config).unwrap();
        assert_eq!(policy.in_doubt, InDoubt::Settle);
        assert_eq!(policy.sources[0].weight, 3);
        let pools: Vec<_> = policy.pools.iter().map(|pool| (&*pool.name, &pool.sources)).collect();
        let (all, one) = (vec![SourceIndex(0), SourceIndex(1)], vec![SourceIndex(1)]);
        assert_eq!(pools, [("default", &all), ("marketing", &one)]);
        let own = policy.sites["example.com"];
        assert_eq!((own.connections_max, own.connections_initial), (2, 5));
        assert_eq!(own.message_rate, Rate::new(100, Duration::from_secs(1)));
        assert_eq!(own.connection_rate, Rate::new(1, Duration::from_secs(1)));
        assert_eq!(&*sources(&config)[1].name, "b");
    }
}
