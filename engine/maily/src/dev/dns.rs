//! A name server for a world that does not exist: answers MX, A, AAAA, CNAME, TXT and PTR from a
//! table (RFC 1035).
//!
//! Authoritative for everything: a name that is not in the table does not exist.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tracing::debug;

/// RFC 6891 6.2.5: what a resolver with EDNS takes by UDP without trouble.
const UDP_OCTETS_MAX: usize = 1_232;
/// How many ports are tried.
const PORT_TRIES_MAX: u32 = 20;
/// Aliases that are followed for one answer.
const ALIASES_MAX: usize = 8;
/// How long an answer may be kept.
const TTL_SECONDS: u32 = 300;

/// The table: what names there are.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    exchanges: HashMap<String, Vec<(u16, String)>>,
    addresses: HashMap<String, Vec<IpAddr>>,
    aliases: HashMap<String, String>,
    texts: HashMap<String, Vec<String>>,
    pointers: HashMap<String, String>,
    broken: Vec<String>,
}

/// What there is to say about a name: records, each with its owner.
type Found = (ResponseCode, Vec<(String, RData)>);

impl Zone {
    /// Mail for `domain` goes to `host`. The host `.` makes it a null MX (RFC 7505).
    pub fn mx(&mut self, domain: &str, preference: u16, host: &str) {
        self.exchanges.entry(key(domain)).or_default().push((preference, key(host)));
    }

    /// `host` has this address.
    pub fn address(&mut self, host: &str, address: IpAddr) {
        self.addresses.entry(key(host)).or_default().push(address);
    }

    /// `alias` stands for `target` (RFC 1034 3.6.2).
    pub fn cname(&mut self, alias: &str, target: &str) {
        self.aliases.insert(key(alias), key(target));
    }

    /// `name` says this.
    pub fn text(&mut self, name: &str, text: &str) {
        self.texts.entry(key(name)).or_default().push(text.to_owned());
    }

    /// `address` is called `host`.
    pub fn pointer(&mut self, address: IpAddr, host: &str) {
        self.pointers.insert(key(&Name::from(address).to_ascii()), key(host));
    }

    /// Every question about `name` is answered with SERVFAIL.
    pub fn servfail(&mut self, name: &str) {
        self.broken.push(key(name));
    }

    fn answer(&self, query: &Query) -> Found {
        let mut name = key(&query.name().to_ascii());
        let mut found = Vec::new();
        while let Some(target) = self.aliases.get(&name).filter(|_| found.len() < ALIASES_MAX) {
            let Some(target_name) = fully_qualified(target) else { break };
            let alias = std::mem::replace(&mut name, target.clone());
            found.push((alias, RData::CNAME(CNAME(target_name))));
        }
        if self.broken.contains(&name) {
            return (ResponseCode::ServFail, Vec::new());
        }
        let exchanges = self.exchanges.get(&name);
        let addresses = self.addresses.get(&name);
        let (texts, pointer) = (self.texts.get(&name), self.pointers.get(&name));
        let nothing = texts.is_none() && pointer.is_none() && exchanges.is_none();
        if nothing && addresses.is_none() && found.is_empty() {
            return (ResponseCode::NXDomain, Vec::new());
        }
        let addresses = addresses.into_iter().flatten();
        let data: Vec<_> = match query.query_type() {
            RecordType::MX => exchanges.into_iter().flatten().filter_map(exchange).collect(),
            RecordType::A => addresses.filter_map(v4).collect(),
            RecordType::AAAA => addresses.filter_map(v6).collect(),
            RecordType::TXT => texts.into_iter().flatten().map(|text| said(text)).collect(),
            RecordType::PTR => pointer.and_then(|host| called(host)).into_iter().collect(),
            _ => Vec::new(),
        };
        found.extend(data.into_iter().map(|data| (name.clone(), data)));
        (ResponseCode::NoError, found)
    }

    fn respond(&self, octets: &[u8]) -> Option<Message> {
        let request = Message::from_vec(octets).ok()?;
        let query = request.queries.first()?.clone();
        let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
        let (code, data) = self.answer(&query);
        response.metadata.authoritative = true;
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.response_code = code;
        if data.is_empty() {
            response.add_authority(soa());
        }
        for (owner, data) in data {
            let owner = fully_qualified(&owner)?;
            response.add_answer(Record::from_rdata(owner, TTL_SECONDS, data));
        }
        response.add_query(query);
        Some(response)
    }
}

/// Names are compared in lower case, without the final dot; the root stays a dot.
fn key(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.strip_suffix('.') {
        Some("") | None => lower,
        Some(rest) => rest.to_owned(),
    }
}

fn exchange((preference, host): &(u16, String)) -> Option<RData> {
    let host = if host == "." { Name::root() } else { fully_qualified(host)? };
    Some(RData::MX(MX::new(*preference, host)))
}

/// RFC 1035 3.3.14: in pieces of up to 255 octets.
fn said(text: &str) -> RData {
    let pieces =
        text.as_bytes().chunks(255).map(|piece| String::from_utf8_lossy(piece).into_owned());
    RData::TXT(TXT::new(pieces.collect()))
}

fn called(host: &str) -> Option<RData> {
    Some(RData::PTR(PTR(fully_qualified(host)?)))
}

fn fully_qualified(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn v4(address: &IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(v4) => Some(RData::A(A(*v4))),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(RData::AAAA(AAAA(*v6))),
    }
}

/// RFC 2308: without it a resolver does not keep the answer that there is nothing.
fn soa() -> Record {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3_600, 600, 86_400, 30);
    Record::from_rdata(Name::root(), 30, RData::SOA(soa))
}

/// Binds UDP and TCP on one port of 127.0.0.1; returns it, and a future that serves until dropped.
pub async fn bind(zone: Zone) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let (udp, tcp) = sockets().await?;
    let address = udp.local_addr()?;
    let zone = Arc::new(zone);
    Ok((address, async move {
        tokio::join!(serve_udp(udp, Arc::clone(&zone)), serve_tcp(tcp, zone));
    }))
}

/// A free port of UDP may be taken in TCP: then another is tried.
async fn sockets() -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if tries == PORT_TRIES_MAX => return Err(error),
            Err(_) => {}
        }
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Zone>) {
    let mut buffer = vec![0; 4_096];
    loop {
        let Ok((octets, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(response) = zone.respond(buffer.get(..octets).unwrap_or_default()) else {
            continue;
        };
        let Ok(mut wire) = response.to_vec() else { continue };
        if wire.len() > UDP_OCTETS_MAX {
            let Ok(truncated) = response.truncate().to_vec() else { continue };
            wire = truncated;
        }
        if let Err(error) = socket.send_to(&wire, peer).await {
            debug!(%error, "dns answer");
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Zone>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let zone = Arc::clone(&zone);
        tokio::spawn(async move {
            if let Err(error) = serve_stream(stream, &zone).await {
                debug!(%error, "dns over tcp");
            }
        });
    }
}

async fn serve_stream(mut stream: TcpStream, zone: &Zone) -> std::io::Result<()> {
    loop {
        let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut buffer).await?;
        let Some(wire) = zone.respond(&buffer).and_then(|response| response.to_vec().ok()) else {
            return Ok(());
        };
        let octets = u16::try_from(wire.len()).map_err(std::io::Error::other)?;
        stream.write_u16(octets).await?;
        stream.write_all(&wire).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(zone: &Zone, name: &str, kind: RecordType) -> Message {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        zone.respond(&request.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn names_in_the_table_are_answered_and_others_do_not_exist() {
        let mut zone = Zone::default();
        zone.mx("example.net", 10, "mx.example.net");
        zone.address("mx.example.net", IpAddr::V4(Ipv4Addr::new(127, 10, 0, 1)));
        zone.mx("nothing.example", 0, ".");
        zone.servfail("broken.example");
        assert_eq!(ask(&zone, "Example.NET.", RecordType::MX).answers.len(), 1);
        assert_eq!(ask(&zone, "mx.example.net.", RecordType::A).answers.len(), 1);
        let none = ask(&zone, "example.net.", RecordType::A);
        assert_eq!((none.answers.len(), none.authorities.len()), (0, 1));
        let code = |name| ask(&zone, name, RecordType::MX).metadata.response_code;
        assert_eq!(code("other.example."), ResponseCode::NXDomain);
        assert_eq!(code("broken.example."), ResponseCode::ServFail);
        let null = ask(&zone, "nothing.example.", RecordType::MX);
        assert!(matches!(&null.answers[0].data, RData::MX(mx) if mx.exchange.is_root()));
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        assert!(Zone::default().respond(b"").is_none());
        assert!(Zone::default().respond(&[0; 12]).is_none());
    }
}
