//! Certificates: whether they fit their keys, name this host, and hold for a while.

use std::path::Path;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use maily_config::config::Config;
use maily_config::config::receiving::Tls;
use maily_core::clock::Timestamp;

use crate::certificate;
use crate::doctor::{Finding, Level};

const ABOUT: &str = "certificate";
/// From here on somebody should see to it.
const DAYS_MIN: u64 = 21;

/// Looks at those of all listeners.
pub fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let http = &config.http;
    let host = config.node.hostname.as_str();
    let public = http.public.base_url.as_ref().map(|url| url.as_str());
    let public = public.and_then(|url| url.split("://").nth(1));
    let public = public.map(|rest| rest.split(['/', ':']).next().unwrap_or(rest));
    let mut all = Vec::new();
    for (key, tls, name) in [
        ("tls", config.tls.clone(), Some(host)),
        ("http.public", pair(&http.public.certificate, &http.public.key), public),
        ("http.api", pair(&http.api.certificate, &http.api.key), None),
    ] {
        if let Some(chain) = tls.certificate.clone() {
            all.extend(one(key, &tls, &chain, name, now));
        }
    }
    if all.is_empty() {
        let what = "there is none: clients send mail and passwords in clear, or not at all";
        let next = "get one, and set tls.certificate and tls.key";
        all.push(Finding::new(ABOUT, Level::Warn, what.to_owned(), next));
    }
    all
}

fn pair(chain: &Option<std::path::PathBuf>, key: &Option<std::path::PathBuf>) -> Tls {
    Tls { certificate: chain.clone(), key: key.clone() }
}

fn one(key: &str, tls: &Tls, path: &Path, name: Option<&str>, now: Timestamp) -> Vec<Finding> {
    let shown = format!("{key}: {}", path.display());
    if let Err(error) = certificate::load(tls) {
        let next =
            "the first certificate of the file must be that of the key, its issuers behind it";
        return vec![Finding::new(ABOUT, Level::Fail, format!("{shown}: {error:#}"), next)];
    }
    let chain = certificate::chain(path).unwrap_or_default();
    let parsed = chain.first().and_then(|first| X509Certificate::from_der(first).ok());
    let Some((_, parsed)) = parsed else {
        let what = format!("{shown}: it cannot be read");
        return vec![Finding::new(ABOUT, Level::Unknown, what, "")];
    };
    let mut all = vec![life(&shown, &parsed, now)];
    if let Some(name) = name
        && !names(&parsed).iter().any(|known| covers(known, name))
    {
        let known = names(&parsed).join(", ");
        let what = format!("{shown}: it names {known}, not {name}");
        let next = "clients that look will not trust it: get one for this name";
        all.push(Finding::new(ABOUT, Level::Warn, what, next));
    }
    all
}

fn life(shown: &str, parsed: &X509Certificate<'_>, now: Timestamp) -> Finding {
    let ends = parsed.validity().not_after.timestamp();
    let ends = Timestamp::from_secs(u64::try_from(ends).unwrap_or(0));
    let days = ends.since(now).as_secs() / 86_400;
    let next = "renew it, and send HUP: a listener takes the new one at once";
    if ends <= now {
        return Finding::new(ABOUT, Level::Fail, format!("{shown}: it ended at {ends}"), next);
    }
    let what = format!("{shown}: it holds until {ends}, {days} days");
    if days < DAYS_MIN {
        return Finding::new(ABOUT, Level::Warn, what, next);
    }
    Finding::ok(ABOUT, what)
}

/// The names that it is for, in lower case.
fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let found = parsed.subject_alternative_name().ok().flatten();
    let names = found.map(|found| found.value.general_names.as_slice()).unwrap_or_default();
    let of = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.iter().filter_map(of).collect()
}

/// RFC 9525 6.3: a star stands for one label.
fn covers(known: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match known.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, behind)| behind == rest),
        None => known == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(covers("*.example.net", "MX.example.net") && covers("a.example", "a.example"));
        assert!(
            !covers("*.example.net", "a.b.example.net") && !covers("*.example.net", "example.net")
        );
    }
}
