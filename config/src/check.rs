//! What must hold between the values of a configuration. Reads nothing but the configuration.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::config::receiving::ListenerTls;
use crate::config::sending::EgressTls;

/// RFC 5321 4.5.3.1.8: the recipients that every server takes.
const RECIPIENTS_LEAST: u32 = 100;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The keys to point at, such as `dkim.0.key`: the first that is set.
    pub keys: Vec<String>,
    /// What does not hold.
    pub text: String,
}

/// All that does not hold.
pub(crate) fn check(config: &Config) -> Vec<Fault> {
    let mut faults = Faults(Vec::new());
    listeners(config, &mut faults);
    relaying(config, &mut faults);
    users(config, &mut faults);
    receiving(config, &mut faults);
    bounds(config, &mut faults);
    retry(config, &mut faults);
    sources_and_routes(config, &mut faults);
    pools(config, &mut faults);
    signing(config, &mut faults);
    serving(config, &mut faults);
    faults.0
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, keys: &[&str], text: impl Into<String>) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.0.push(Fault { keys, text: text.into() });
    }

    /// Two entries of a list must not have the same name.
    fn unique(&mut self, list: &str, key: &str, names: impl Iterator<Item = String>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if name.is_empty() {
                self.add(&[&format!("{list}.{index}.{key}")], format!("{list}: {key} is empty"));
            } else if !seen.insert(name.clone()) {
                let text = format!("there are two [[{list}]] with the {key} `{name}`");
                self.add(&[&format!("{list}.{index}.{key}")], text);
            }
        }
    }
}

fn listeners(config: &Config, faults: &mut Faults) {
    if config.listener.is_empty() {
        faults.add(&["listener"], "there must be at least one [[listener]]");
    }
    let addresses = config.listener.iter().map(|listener| listener.address.to_string());
    faults.unique("listener", "address", addresses);
    match (&config.tls.certificate, &config.tls.key) {
        (Some(_), None) => faults.add(&["tls.certificate"], "tls.certificate needs tls.key too"),
        (None, Some(_)) => faults.add(&["tls.key"], "tls.key needs tls.certificate too"),
        (Some(_), Some(_)) => {}
        (None, None) => {
            for (index, listener) in config.listener.iter().enumerate() {
                if listener.tls != ListenerTls::None {
                    let key = format!("listener.{index}.tls");
                    let text = "a listener with TLS needs tls.certificate and tls.key";
                    faults.add(&[&key], text);
                }
            }
        }
    }
}

fn relaying(config: &Config, faults: &mut Faults) {
    for network in config.smtp.relay_networks.iter().filter(|network| network.prefix_len() == 0) {
        let text = format!(
            "smtp.relay_networks must not hold {network}: anyone could send mail to anyone \
             through this daemon (an open relay)"
        );
        faults.add(&["smtp.relay_networks"], text);
    }
}

fn users(config: &Config, faults: &mut Faults) {
    faults.unique("user", "name", config.user.iter().map(|user| user.name.clone()));
    for (index, user) in config.user.iter().enumerate() {
        let name = format!("user.{index}.name");
        match (&user.password_hash, &user.password) {
            (None, None) => {
                let text = format!("user `{}` needs password_hash or password", user.name);
                faults.add(&[&name], text);
            }
            (Some(_), Some(_)) => {
                let text = format!("user `{}` has both password_hash and password", user.name);
                faults.add(&[&name], text);
            }
            _ => {}
        }
    }
}

/// What each message or session may take, against what the standards and each other ask.
fn receiving(config: &Config, faults: &mut Faults) {
    let smtp = &config.smtp;
    if smtp.recipients_max < RECIPIENTS_LEAST {
        let text =
            format!("smtp.recipients_max must be at least {RECIPIENTS_LEAST} (RFC 5321 4.5.3.1.8)");
        faults.add(&["smtp.recipients_max"], text);
    }
    if smtp.receiving_size < smtp.message_size.saturating_mul(2) {
        let text = "smtp.receiving_size must be at least twice smtp.message_size";
        faults.add(&["smtp.receiving_size", "smtp.message_size"], text);
    }
}

/// Limits of 0 would stop all mail without a word.
fn bounds(config: &Config, faults: &mut Faults) {
    let smtp = &config.smtp;
    let bounds = [
        ("spool.segment_size", config.spool.segment_size),
        ("spool.waiting_max", config.spool.waiting_max),
        ("events.segment_size", config.events.segment_size),
        ("smtp.message_size", smtp.message_size),
        ("smtp.transactions_max", smtp.transactions_max.into()),
        ("smtp.sessions_max", smtp.sessions_max.into()),
        ("smtp.sessions_per_address_max", smtp.sessions_per_address_max.into()),
        ("smtp.auth_failures_max", smtp.auth_failures_max.into()),
        ("http.connections_max", config.http.connections_max.into()),
        ("http.connections_per_address_max", config.http.connections_per_address_max.into()),
        ("egress.port", config.egress.port.into()),
        ("egress.connections_max", config.egress.connections_max.into()),
        ("limits.connections_max", config.limits.connections_max.into()),
        ("limits.connections_initial", config.limits.connections_initial.into()),
    ];
    for (key, _) in bounds.iter().filter(|(_, bound)| *bound == 0) {
        faults.add(&[key], format!("{key} must not be 0"));
    }
    let times = [
        ("smtp.idle_timeout", smtp.idle_timeout),
        ("smtp.data_timeout", smtp.data_timeout),
        ("dns.timeout", config.dns.timeout),
        ("egress.connect_timeout", config.egress.connect_timeout),
        ("egress.reply_timeout", config.egress.reply_timeout),
        ("retry.delay_min", config.retry.delay_min),
    ];
    for (key, _) in times.iter().filter(|(_, time)| time.is_zero()) {
        faults.add(&[key], format!("{key} must not be 0"));
    }
    if config.limits.connections_initial > config.limits.connections_max {
        faults.add(
            &["limits.connections_initial", "limits.connections_max"],
            "limits.connections_initial must not be above limits.connections_max",
        );
    }
    for (index, site) in config.site.iter().enumerate() {
        if site.connections_max == Some(0) {
            let key = format!("site.{index}.connections_max");
            faults.add(&[&key], "site: connections_max must not be 0");
        }
    }
}

fn retry(config: &Config, faults: &mut Faults) {
    let retry = &config.retry;
    if retry.delay_min > retry.delay_max {
        faults.add(
            &["retry.delay_min", "retry.delay_max"],
            "retry.delay_min must not be above retry.delay_max",
        );
    }
    if retry.delay_max >= retry.expire_after {
        faults.add(
            &["retry.delay_max", "retry.expire_after"],
            "retry.delay_max must be below retry.expire_after",
        );
    }
    if !(1.0..=1_000.0).contains(&retry.factor) {
        faults.add(&["retry.factor"], "retry.factor must be from 1 to 1000");
    }
    if !(0.0..=1.0).contains(&retry.jitter) {
        faults.add(&["retry.jitter"], "retry.jitter must be from 0 to 1");
    }
}

fn sources_and_routes(config: &Config, faults: &mut Faults) {
    faults.unique("source", "name", config.source.iter().map(|source| source.name.clone()));
    faults.unique("site", "match", config.site.iter().map(|site| site.r#match.clone()));
    let domains = config.route.iter().map(|route| route.domain.to_string());
    faults.unique("route", "domain", domains);
    for (index, route) in config.route.iter().enumerate() {
        if route.host.0.is_empty() && route.tls.is_none() {
            let keys = [format!("route.{index}.host"), format!("route.{index}")];
            let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
            faults.add(&keys, "a [[route]] needs a host, or tls");
        }
        if route.host.0.is_empty() && route.user.is_some() {
            let user = format!("route.{index}.user");
            faults.add(&[&user], "a route with a user needs a host: a password is for one's own");
        }
        if route.user.is_some()
            && route.tls == Some(EgressTls::Off)
            && route.host.0.iter().any(|hop| !hop.is_loopback())
        {
            let tls = format!("route.{index}.tls");
            faults.add(&[&tls], "a password is sent under TLS only, or to a host on this machine");
        }
        if route.port == Some(0) {
            faults.add(&[&format!("route.{index}.port")], "a route's port must not be 0");
        }
        if route.user.is_some() != route.password.is_some() {
            let user = format!("route.{index}.user");
            let password = format!("route.{index}.password");
            faults.add(&[&user, &password], "a route needs both user and password, or neither");
        }
    }
}

fn pools(config: &Config, faults: &mut Faults) {
    for (index, _) in config.source.iter().enumerate().filter(|(_, s)| s.weight == Some(0)) {
        faults.add(&[&format!("source.{index}.weight")], "a source's weight must not be 0");
    }
    faults.unique("pool", "name", config.pool.iter().map(|pool| pool.name.clone()));
    let mut tenants = BTreeSet::new();
    for (index, pool) in config.pool.iter().enumerate() {
        let (sources, members) = (format!("pool.{index}.sources"), &pool.sources);
        if members.is_empty() {
            faults.add(&[&sources], format!("pool `{}` needs sources", pool.name));
        }
        let known = |name: &String| config.source.iter().any(|source| source.name == *name);
        for name in members.iter().filter(|name| !known(name)) {
            faults.add(&[&sources], format!("there is no [[source]] with the name `{name}`"));
        }
        for name in members.iter().filter(|name| members.iter().filter(|n| n == name).count() > 1) {
            faults.add(&[&sources], format!("pool `{}` names `{name}` twice", pool.name));
        }
        for tenant in pool.tenants.iter().filter(|tenant| !tenants.insert(*tenant)) {
            let key = format!("pool.{index}.tenants");
            faults.add(&[&key], format!("the tenant `{tenant}` is named in a pool already"));
        }
    }
}

fn signing(config: &Config, faults: &mut Faults) {
    let names = config.dkim.iter().map(|dkim| match dkim.selector.as_str() {
        "" => String::new(),
        selector => format!("{selector}._domainkey.{}", dkim.domain),
    });
    faults.unique("dkim", "selector", names);
    for (index, dkim) in config.dkim.iter().enumerate() {
        if dkim.key.as_os_str().is_empty() {
            faults.add(&[&format!("dkim.{index}.key")], "a [[dkim]] needs a key");
        }
    }
}

/// A token must not be sent in clear over a network, and no two sockets share an address.
fn serving(config: &Config, faults: &mut Faults) {
    let (public, api) = (&config.http.public, &config.http.api);
    for (table, certificate, key) in [
        ("http.public", &public.certificate, &public.key),
        ("http.api", &api.certificate, &api.key),
    ] {
        if certificate.is_some() != key.is_some() {
            let keys = [format!("{table}.certificate"), format!("{table}.key")];
            let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
            faults.add(&keys, format!("{table} needs both certificate and key, or neither"));
        }
    }
    let bounces = &config.bounces;
    let ours = [
        ("bounces.domain", bounces.domain.is_some()),
        ("bounces.complaints_mailbox", bounces.complaints_mailbox.is_some()),
    ];
    for (key, set) in ours {
        if set && public.base_url.is_none() {
            let text = format!("{key} needs http.public.base_url, whose keys sign what comes back");
            faults.add(&[key], text);
        }
    }
    if api.certificate.is_none() && api.listen.is_some_and(|at| !at.ip().is_loopback()) {
        let text = "http.api.listen must be a loopback address, or have certificate and key: \
                    tokens are not sent in clear";
        faults.add(&["http.api.listen"], text);
    }
    let mut taken: Vec<_> = config.listener.iter().map(|listener| listener.address).collect();
    taken.extend(config.ops.listen);
    for (key, listen) in [("http.public.listen", public.listen), ("http.api.listen", api.listen)] {
        let Some(listen) = listen.filter(|listen| listen.port() != 0) else { continue };
        if taken.contains(&listen) {
            faults.add(&[key], format!("{listen} is another listener's already"));
        }
        taken.push(listen);
    }
}
