//! A name server for the relay bench: `d0001.test` and so on, each with a mail exchanger of its own
//! at a loopback address of its own. Prints its address and runs until it is killed.

use std::io::Write;
use std::net::Ipv4Addr;

use maily::dev::dns;
use maily::dev::dns::Zone;

/// Domains in one run: they lie at 127.1.0.2 to 127.1.255.250.
const DOMAINS_MAX: i64 = 63_999;

/// What it answers for.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// How many domains there are.
    #[arg(long, default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=DOMAINS_MAX))]
    domains: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = <Arguments as clap::Parser>::parse();
    let mut zone = Zone::default();
    for number in 1..=arguments.domains {
        let domain = format!("d{number:04}.test");
        let host = format!("mx.{domain}");
        let (high, low) = (number / 250, number % 250 + 1);
        zone.mx(&domain, 10, &host);
        zone.address(&host, Ipv4Addr::from([127, 1, high as u8, low as u8]).into());
    }
    let (address, serve) = dns::bind(zone).await?;
    writeln!(std::io::stdout(), "{address}")?;
    serve.await;
    Ok(())
}
