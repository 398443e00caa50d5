//! Names: whether they can be looked up, whether those of our addresses are confirmed, whether DKIM
//! records are those of our keys; and whether port 25 leads out.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use maily_config::config::Config;
use maily_egress::connection::Source;
use maily_egress::resolve::Resolver;

use crate::doctor::{Finding, Level};
use crate::keys;
use crate::policy;

/// How long a mail host may take to greet; RFC 5321 4.5.3.2.1 would have us wait for minutes.
const GREETING: Duration = Duration::from_secs(10);

/// Looks at names and records.
pub async fn look(config: &Config, resolver: &Resolver) -> Vec<Finding> {
    let mut all = vec![own_name(config, resolver).await];
    for source in policy::sources(config) {
        all.extend(source_of(&source, resolver).await);
    }
    all.extend(dkim(config, resolver).await);
    all
}

async fn own_name(config: &Config, resolver: &Resolver) -> Finding {
    const ABOUT: &str = "name";
    let host = config.node.hostname.as_str();
    match resolver.addresses(host).await {
        Ok(addresses) => {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Finding::ok(ABOUT, format!("{host} has {}", shown.join(", ")))
        }
        Err(none) if none.is_certain => {
            let next =
                "publish A and AAAA records of node.hostname: many hosts refuse mail without";
            Finding::new(ABOUT, Level::Fail, none.why, next)
        }
        Err(none) => {
            let next = "no name can be looked up: dns.servers, or /etc/resolv.conf, must answer";
            Finding::new(ABOUT, Level::Fail, none.why, next)
        }
    }
}

/// RFC 1912 2.1: an address has a name, and the name has the address. Large providers refuse mail
/// from those that have not.
async fn source_of(source: &Source, resolver: &Resolver) -> Vec<Finding> {
    const ABOUT: &str = "source";
    let name = &source.name;
    let Some(address) = source.address else {
        let what = format!("{name}: the system chooses the address, so its name is not looked at");
        let next = "write a table [[source]] with the address to have it looked at";
        return vec![Finding::new(ABOUT, Level::Unknown, what, next)];
    };
    let mut all = Vec::new();
    if let Err(error) = std::net::UdpSocket::bind((address, 0)) {
        let what = format!("{name}: cannot send from {address}: {error}");
        let next = "give this machine the address, or take it out of [[source]]";
        all.push(Finding::new(ABOUT, Level::Fail, what, next));
    }
    all.push(confirmed(name, address, resolver).await);
    let hello = resolver.addresses(&source.ehlo).await;
    all.push(match hello {
        Ok(found) if found.contains(&address) => {
            Finding::ok(ABOUT, format!("{name}: says EHLO {}, which has {address}", source.ehlo))
        }
        Ok(_) => {
            let what = format!("{name}: says EHLO {}, which does not have {address}", source.ehlo);
            Finding::new(ABOUT, Level::Warn, what, "set its ehlo to the name of the address")
        }
        Err(none) => {
            let what = format!("{name}: says EHLO {}: {}", source.ehlo, none.why);
            Finding::new(
                ABOUT,
                Level::Fail,
                what,
                "publish an address of this name, or set its ehlo",
            )
        }
    });
    all
}

async fn confirmed(name: &str, address: IpAddr, resolver: &Resolver) -> Finding {
    const ABOUT: &str = "source";
    let names = match resolver.names(address).await {
        Ok(names) => names,
        Err(none) => {
            let level = if none.is_certain { Level::Fail } else { Level::Unknown };
            let what = format!("{name}: {}", none.why);
            let next = "ask who gave you the address to publish its name (reverse DNS)";
            return Finding::new(ABOUT, level, what, next);
        }
    };
    for host in &names {
        let back = resolver.addresses(host).await;
        if back.is_ok_and(|back| back.contains(&address)) {
            return Finding::ok(ABOUT, format!("{name}: {address} is {host}, and {host} has it"));
        }
    }
    let what = format!("{name}: {address} is {}, which does not have it", names.join(", "));
    let next = "let the name have this address (A or AAAA), or have its reverse name changed";
    Finding::new(ABOUT, Level::Fail, what, next)
}

/// RFC 6376 3.6.1: the record holds the public half of the key.
async fn dkim(config: &Config, resolver: &Resolver) -> Vec<Finding> {
    const ABOUT: &str = "dkim";
    let Ok(keyring) = keys::load(config) else {
        let what = "the keys cannot be read".to_owned();
        return vec![Finding::new(ABOUT, Level::Fail, what, "maily check says which")];
    };
    let mut all = Vec::new();
    for signer in keyring.signers() {
        let (place, Ok(ours)) = (signer.to_string(), signer.key().record()) else { continue };
        let publish = format!("publish this TXT record at {place}: {ours}");
        let texts = match resolver.texts(&place).await {
            Ok(texts) => texts,
            Err(none) => {
                let level = if none.is_certain { Level::Fail } else { Level::Unknown };
                all.push(Finding::new(ABOUT, level, none.why, &publish));
                continue;
            }
        };
        let known: Vec<_> = texts.iter().filter_map(|text| public_half(text)).collect();
        let ours = public_half(&ours);
        all.push(if known.iter().any(String::is_empty) {
            let what = format!("{place}: the key is revoked (p= is empty)");
            Finding::new(ABOUT, Level::Fail, what, "make a key with another selector")
        } else if known.iter().any(|known| Some(known) == ours.as_ref()) {
            Finding::ok(ABOUT, format!("{place}: its record is of our key"))
        } else if known.is_empty() {
            let what = format!("{place}: it says nothing that is a key");
            Finding::new(ABOUT, Level::Fail, what, &publish)
        } else {
            let what = format!("{place}: its record is of another key: no signature is right");
            Finding::new(ABOUT, Level::Fail, what, &publish)
        });
    }
    if all.is_empty() {
        let what = "no mail is signed: large providers refuse mailings without".to_owned();
        let next = "write a table [[dkim]] with a domain, a selector and a key";
        all.push(Finding::new(ABOUT, Level::Warn, what, next));
    }
    all
}

/// The value of `p=`, without white space.
fn public_half(record: &str) -> Option<String> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let (_, value) = tags.into_iter().find(|(name, _)| name.trim() == "p")?;
    Some(value.chars().filter(|c| !c.is_whitespace()).collect())
}

/// Whether mail gets out: from each source, to a host that the operator names.
pub async fn port_25(host: Option<&str>, config: &Config, resolver: &Resolver) -> Vec<Finding> {
    const ABOUT: &str = "port-25";
    let Some(host) = host else {
        let what = "not tried".to_owned();
        let next = "maily doctor --port-25-to HOST tries a mail host that you may ask";
        return vec![Finding::new(ABOUT, Level::Unknown, what, next)];
    };
    let (name, port) = match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (name.trim_matches(['[', ']']), port),
        _ => (host, 25),
    };
    let addresses = match resolver.addresses(name).await {
        Ok(addresses) => addresses,
        Err(none) => return vec![Finding::new(ABOUT, Level::Fail, none.why, "name another host")],
    };
    let mut all = Vec::new();
    for source in policy::sources(config) {
        let same =
            |address: &&IpAddr| source.address.is_none_or(|own| own.is_ipv4() == address.is_ipv4());
        let Some(address) = addresses.iter().find(same) else { continue };
        let place = SocketAddr::new(*address, port);
        all.push(match timeout(GREETING, greeting(source.address, place)).await {
            Ok(Ok(line)) if line.starts_with("220") => {
                Finding::ok(ABOUT, format!("{}: {place} greets: {}", source.name, shown(&line)))
            }
            Ok(Ok(line)) => {
                let what = format!("{}: {place} says: {}", source.name, shown(&line));
                Finding::new(ABOUT, Level::Warn, what, "it lets nobody in, or not you")
            }
            Ok(Err(error)) => refused(&source.name, place, &error.to_string()),
            Err(_) => refused(&source.name, place, "no greeting within 10 seconds"),
        });
    }
    all
}

fn refused(source: &str, place: SocketAddr, why: &str) -> Finding {
    let next = "many networks close port 25: ask your provider to open it, or send by a [[route]]";
    Finding::new("port-25", Level::Fail, format!("{source}: {place}: {why}"), next)
}

/// What a host says cannot do anything to a terminal.
fn shown(line: &str) -> String {
    line.trim().chars().filter(|c| !c.is_control()).take(120).collect()
}

async fn greeting(own: Option<IpAddr>, place: SocketAddr) -> std::io::Result<String> {
    let socket = match place {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    if let Some(own) = own {
        socket.bind(SocketAddr::new(own, 0))?;
    }
    let stream: TcpStream = socket.connect(place).await?;
    let mut line = String::new();
    let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(stream, 1_000));
    reader.read_line(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_found_however_the_record_is_written() {
        let half = |record: &str| public_half(record);
        assert_eq!(half("v=DKIM1; k=rsa; p=AB CD\tEF").as_deref(), Some("ABCDEF"));
        assert_eq!(half("p=;v=DKIM1").as_deref(), Some(""));
        assert_eq!(half("v=spf1 ip4:192.0.2.1 -all"), None);
        assert_eq!(shown("220 a\u{1b}[2Jb\r\n"), "220 a[2Jb");
    }
}
