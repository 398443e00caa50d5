//! Keys that the configuration knows and this version does not honour yet: refused, never ignored.

use maily_config::config::Config;
use maily_config::config::sending::EgressTls;

/// Refuses a configuration that asks for what is not built yet.
///
/// # Errors
/// All such keys, named.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let asked = [
        ("egress.tls = \"verify\"", config.egress.tls == EgressTls::Verify),
        ("egress.ca_file", config.egress.ca_file.is_some()),
        ("more than one route, or one for a single domain", routes_ask_too_much(config)),
        ("route.tls, route.user and route.password", config.route.iter().any(has_extras)),
    ];
    let asked: Vec<_> = asked.iter().filter(|(_, on)| *on).map(|(key, _)| *key).collect();
    if asked.is_empty() {
        return Ok(());
    }
    anyhow::bail!("this version does not have these yet, take them out: {}", asked.join("; "))
}

fn routes_ask_too_much(config: &Config) -> bool {
    use maily_config::value::RouteDomain;
    config.route.len() > 1 || config.route.iter().any(|route| route.domain != RouteDomain::Any)
}

const fn has_extras(route: &maily_config::config::sending::Route) -> bool {
    route.tls.is_some() || route.user.is_some() || route.password.is_some()
}
