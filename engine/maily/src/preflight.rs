//! What a configuration names must be there: files, keys, secrets, addresses. Tried before the
//! daemon starts or reads its configuration again, and by `maily check`.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;

use maily_config::config::receiving::Tls;
use maily_config::load::Loaded;
use maily_config::load::Problem;

use crate::certificate;
use crate::keys;
use crate::logging;

/// What is wrong with the files that it names, and with values that only we can read.
pub fn files(loaded: &Loaded) -> Vec<Problem> {
    let config = &loaded.config;
    let mut found = Vec::new();
    let mut note = |keys: &[&str], text: String| found.push(loaded.problem(keys, text));
    if let Err(error) = logging::parse(&config.log.filter) {
        note(&["log.filter"], format!("{error:#}"));
    }
    let (chain, key) = (config.tls.certificate.as_deref(), config.tls.key.as_deref());
    if let Some(Err(error)) = chain.map(certificate::chain) {
        note(&["tls.certificate"], format!("{error:#}"));
    } else if let Some(Err(error)) = key.map(certificate::key) {
        note(&["tls.key"], format!("{error:#}"));
    } else if chain.is_some()
        && let Err(error) = certificate::load(&config.tls)
    {
        note(&["tls.key"], format!("{error:#}"));
    }
    for (table, chain, key) in [
        ("http.public", &config.http.public.certificate, &config.http.public.key),
        ("http.api", &config.http.api.certificate, &config.http.api.key),
    ] {
        let tls = Tls { certificate: chain.clone(), key: key.clone() };
        if chain.is_some()
            && let Err(error) = certificate::load(&tls)
        {
            note(&[&format!("{table}.certificate")], format!("{error:#}"));
        }
    }
    for (index, user) in config.user.iter().enumerate() {
        if let Some(Err(error)) = user.password.as_ref().map(|secret| secret.read()) {
            note(&[&format!("user.{index}.password")], error);
        }
    }
    for (index, route) in config.route.iter().enumerate() {
        if let Some(Err(error)) = route.password.as_ref().map(|secret| secret.read()) {
            note(&[&format!("route.{index}.password")], error);
        }
    }
    found.extend(keys::load(config).err().into_iter().flatten().map(|fault| loaded.fault(fault)));
    found
}

/// What is wrong with its addresses; and notes on what may be right.
pub fn addresses(loaded: &Loaded) -> (Vec<Problem>, Vec<String>) {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let mut wanted: Vec<(String, SocketAddr)> = Vec::new();
    for (index, listener) in loaded.config.listener.iter().enumerate() {
        wanted.push((format!("listener.{index}.address"), listener.address));
    }
    wanted.extend(loaded.config.ops.listen.map(|at| ("ops.listen".to_owned(), at)));
    let http = &loaded.config.http;
    wanted.extend(http.public.listen.map(|at| ("http.public.listen".to_owned(), at)));
    wanted.extend(http.api.listen.map(|at| ("http.api.listen".to_owned(), at)));
    for (key, address) in wanted {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                notes.push(format!("{address} is in use: by the daemon itself, if it runs"));
            }
            Err(error) => {
                problems.push(loaded.problem(&[&key], format!("cannot listen here: {error}")));
            }
        }
    }
    for (index, source) in loaded.config.source.iter().enumerate() {
        if let Some(Err(error)) = source.address.map(can_send_from) {
            let key = format!("source.{index}.address");
            problems.push(loaded.problem(&[&key], format!("cannot send from here: {error}")));
        }
    }
    (problems, notes)
}

/// Whether this is an address of this machine.
fn can_send_from(address: IpAddr) -> io::Result<()> {
    UdpSocket::bind((address, 0)).map(drop)
}
