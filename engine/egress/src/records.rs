//! Records that no mail is sent by: operators ask for them to see whether what they published is
//! what they meant.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType;

use crate::resolve::Absence;
use crate::resolve::NoRecord;
use crate::resolve::Resolver;

impl Resolver {
    /// The texts of a name (TXT, RFC 1035 3.3.14), each put together of its pieces.
    ///
    /// # Errors
    /// Why it has none.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, NoRecord> {
        let lookup = self.look_up(name, RecordType::TXT).await;
        let lookup = lookup.map_err(|absence| missing(name, "TXT record", &absence))?;
        let texts = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => {
                let octets: Vec<u8> = text.txt_data.iter().flatten().copied().collect();
                Some(String::from_utf8_lossy(&octets).into_owned())
            }
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The names of an address (PTR, RFC 1035 3.5), in lower case.
    ///
    /// # Errors
    /// Why it has none.
    pub async fn names(&self, address: IpAddr) -> Result<Vec<String>, NoRecord> {
        let name = Name::from(address).to_ascii();
        let lookup = self.look_up(name.trim_end_matches('.'), RecordType::PTR).await;
        let lookup = lookup.map_err(|why| missing(&address.to_string(), "PTR record", &why))?;
        let names = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(pointer) => Some(pointer.0.to_ascii().to_ascii_lowercase()),
            _ => None,
        });
        Ok(names.map(|name| name.trim_end_matches('.').to_owned()).collect())
    }
}

fn missing(name: &str, what: &str, absence: &Absence) -> NoRecord {
    match absence {
        Absence::Name => NoRecord { is_certain: true, why: format!("{name} does not exist") },
        Absence::Record => NoRecord { is_certain: true, why: format!("{name} has no {what}") },
        Absence::Unknown(why) => {
            NoRecord { is_certain: false, why: format!("nobody says of {name}: {why}") }
        }
    }
}
