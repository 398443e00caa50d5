//! Builds the listeners for HTTP from the configuration: what each answers, its certificate, and
//! what is counted over all of them.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use maily_config::config::Config;
use maily_config::config::receiving::Tls;
use maily_core::bounce::classify::Rules;
use maily_core::clock::Clock;
use maily_core::mail::address::Mailbox;
use maily_core::tracking::links::Links;
use maily_events::recorder::Recorder;
use maily_events::strikes::Strikes;
use maily_events::suppression::Suppressions;
use maily_http::api;
use maily_http::budget::Budget;
use maily_http::delivering::{Deliverer, Sending};
use maily_http::glance;
use maily_http::hit_counters::HitCounters;
use maily_http::judging::Judge;
use maily_http::mail::Mail;
use maily_http::parts::{Parts, Shared};
use maily_http::public;
use maily_http::public_parts::Public;
use maily_http::recent::RecentHits;
use maily_http::server;
use maily_http::server::{Bound, Front};
use maily_ingress::feedback::Feedback;
use maily_ingress::seats::Seats;
use maily_journal::journal::Options;
use maily_plugins::set::Plugins;
use maily_registry::audit::Audit;
use maily_registry::registry::Registry;

use crate::certificate;
use crate::chance::MachineChance;
use crate::exit::{Exit, Failure};
use crate::late::Late;
use crate::webhooks;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Public,
    Api,
    Admin,
}

/// The listeners for HTTP.
pub struct Fronts {
    /// Where the public is answered, if it is.
    pub public: Option<SocketAddr>,
    /// Where the API is.
    pub api: Option<SocketAddr>,
    /// The socket for operators.
    pub admin: Option<PathBuf>,
    /// What the routes of the API share, if there is a listener for it.
    pub shared: Option<Arc<Shared>>,
    /// Connections of all listeners.
    pub seats: Seats,
    records: Records,
    recent: Arc<Mutex<RecentHits>>,
    /// What recipients did.
    pub hits: Arc<HitCounters>,
    mail: Mail,
    clock: Arc<dyn Clock>,
    sending: watch::Sender<Arc<Sending>>,
    live: Vec<(Use, watch::Sender<Arc<Front>>)>,
    waiting: Vec<(watch::Receiver<Arc<Front>>, Bound)>,
}

/// What the listeners are to do by another configuration.
pub struct Prepared {
    fronts: Vec<Arc<Front>>,
    budget: Budget,
    seats: Seats,
    sending: Arc<Sending>,
    records: Records,
}

/// The registry and the audit log in this folder, which is made for us alone.
pub fn open_registry(folder: &Path) -> Result<(Registry, Audit), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the folder {} could not be made", folder.display()))
        .map_err(|error| Failure::new(Exit::Io, error))?;
    let failed = |error: anyhow::Error| Failure::new(Exit::Io, error);
    let registry = Registry::open(&folder.join("table"))
        .context("the registry could not be opened")
        .map_err(failed)?;
    let audit = Audit::open(&audit_folder(folder))
        .context("the audit log could not be opened")
        .map_err(failed)?;
    Ok((registry, audit))
}

/// Where the audit log of a registry is.
pub fn audit_folder(registry: &Path) -> PathBuf {
    registry.join("audit")
}

/// What the routes of the API stand on where no daemon runs.
pub fn parts(config: &Config, clock: &Arc<dyn Clock>) -> Result<Parts, Failure> {
    let (registry, audit) = open_registry(&config.registry.folder)?;
    let chance = Arc::new(MachineChance);
    let (clock, budget) = (Arc::clone(clock), budget(config));
    Ok(Parts { registry, audit, clock, chance, budget, mail: None })
}

/// What the operator registered, and who may not be written to: opened before mail moves.
#[derive(Clone)]
pub struct Records {
    /// The registry and its audit log; none if nobody is answered by HTTP.
    pub registry: Option<(Registry, Audit)>,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// With what links that lead back to us are made, if any are.
    pub links: Option<Arc<Links>>,
    /// What replies and reports mean.
    pub rules: Arc<Rules>,
}

impl Records {
    /// Opens what the configuration needs.
    pub async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let http = &config.http;
        let wanted = http.api.listen.is_some()
            || http.admin.listen.is_some()
            || http.public.listen.is_some()
            || http.public.base_url.is_some();
        let registry = wanted.then(|| open_registry(&config.registry.folder)).transpose()?;
        let folder = config.events.folder.join("suppressions");
        let suppressions = Suppressions::open(&folder, &Options::small())
            .context("the suppressions could not be opened")
            .map_err(|error| Failure::new(Exit::Io, error))?;
        let rules = rules(config).map_err(|error| Failure::new(Exit::Config, error))?;
        let mut this = Self { registry, suppressions, links: None, rules };
        this.links = this
            .links_by(config, clock)
            .await
            .map_err(|error| Failure::new(Exit::Config, error))?;
        Ok(this)
    }

    /// With what links are made by this configuration.
    pub async fn links_by(
        &self,
        config: &Config,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Arc<Links>>> {
        let (Some((registry, _)), Some(base_url)) = (&self.registry, &config.http.public.base_url)
        else {
            return Ok(None);
        };
        let keys = registry.link_keys(&MachineChance, clock.now()).await;
        let keys = keys.context("the keys of links could not be read")?;
        let links = Links::new(base_url.as_str(), keys).context("http.public.base_url")?;
        Ok(Some(Arc::new(links.with_returns(config.bounces.domain.clone()))))
    }

    /// The same, with the keys of links that there are now, and these rules.
    pub fn renewed(&self, config: &Config) -> anyhow::Result<Self> {
        let mut this = Self { rules: rules(config)?, ..self.clone() };
        if let (Some(links), Some((registry, _))) = (&self.links, &self.registry) {
            let keys = registry.link_keys_now().context("the keys of links could not be read")?;
            this.links = Some(Arc::new(links.with_keys(keys)));
        }
        Ok(this)
    }

    /// What recipients and hosts tell us, by mail to these addresses too.
    pub fn feedback(
        &self,
        [mailbox, complaints]: [Option<Mailbox>; 2],
        events: &Recorder,
        clock: &Arc<dyn Clock>,
    ) -> Feedback {
        Feedback {
            mailbox,
            complaints,
            rules: Arc::clone(&self.rules),
            links: self.links.clone(),
            suppressions: self.suppressions.clone(),
            events: events.clone(),
            clock: Arc::clone(clock),
        }
    }

    /// Who draws the consequences of what comes back.
    pub fn judge(
        &self,
        config: &Config,
        mail: &Mail,
        clock: &Arc<dyn Clock>,
    ) -> Result<Judge, Failure> {
        let folder = config.events.folder.join("strikes");
        let strikes = Strikes::open(&folder, &Options::small())
            .context("the failures of mailboxes could not be opened")
            .map_err(|error| Failure::new(Exit::Io, error))?;
        Ok(Judge {
            reader: mail.reader.clone(),
            suppressions: self.suppressions.clone(),
            strikes,
            clock: Arc::clone(clock),
            place: config.events.folder.join("judged"),
            draining: mail.draining.clone(),
        })
    }

    /// Whom the delivery room asks.
    pub fn late(&self, clock: &Arc<dyn Clock>, plugins: &Arc<Plugins>) -> Late {
        Late {
            registry: self.registry.as_ref().map(|(registry, _)| registry.clone()),
            suppressions: self.suppressions.clone(),
            clock: Arc::clone(clock),
            links: self.links.clone(),
            rules: Arc::clone(&self.rules),
            plugins: Arc::clone(plugins),
        }
    }
}

/// The rules of this configuration; those that ship if it names none.
pub fn rules(config: &Config) -> anyhow::Result<Arc<Rules>> {
    let Some(path) = &config.bounces.rules else {
        return Ok(Arc::new(Rules::shipped()?));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("bounces.rules: {name}"))?;
    Ok(Arc::new(Rules::parse(&text, &name)?))
}

fn budget(config: &Config) -> Budget {
    let rate = config.http.api.requests;
    Budget { count: rate.count, per: rate.per }
}

fn seats(config: &Config) -> Seats {
    Seats::new(config.http.connections_max, config.http.connections_per_address_max)
}

/// The certificate of a listener, if it has one.
fn tls(chain: Option<&PathBuf>, key: Option<&PathBuf>) -> anyhow::Result<Option<TlsAcceptor>> {
    if chain.is_none() {
        return Ok(None);
    }
    let tls = Tls { certificate: chain.cloned(), key: key.cloned() };
    Ok(Some(TlsAcceptor::from(certificate::load(&tls)?)))
}

impl Fronts {
    /// Binds what is switched on.
    pub fn bind(
        config: &Config,
        clock: &Arc<dyn Clock>,
        records: &Records,
        mail: Mail,
    ) -> Result<Self, Failure> {
        let http = &config.http;
        let shared = records.registry.clone().map(|(registry, audit)| {
            Shared::new(Parts {
                registry,
                audit,
                clock: Arc::clone(clock),
                chance: Arc::new(MachineChance),
                budget: budget(config),
                mail: Some(mail.clone()),
            })
        });
        let sending = webhooks::sending(config, clock);
        let sending = sending.map_err(|error| Failure::new(Exit::Config, error))?;
        let mut this = Self {
            sending: watch::Sender::new(Arc::new(sending)),
            public: None,
            api: None,
            admin: http.admin.listen.clone(),
            shared,
            seats: seats(config),
            records: records.clone(),
            recent: Arc::default(),
            hits: Arc::clone(&mail.scribe.counters),
            mail,
            clock: Arc::clone(clock),
            live: Vec::new(),
            waiting: Vec::new(),
        };
        if let Some(address) = http.public.listen {
            this.public = this.add(Use::Public, config, listen(address, "recipients")?)?;
        }
        if let Some(address) = http.api.listen {
            this.api = this.add(Use::Api, config, listen(address, "the API")?)?;
        }
        if let Some(path) = &http.admin.listen {
            let bound = server::bind_unix(path);
            let bound =
                bound.map_err(|error| cannot_listen(&path.display(), "operators", error))?;
            this.add(Use::Admin, config, bound)?;
        }
        Ok(this)
    }

    fn add(
        &mut self,
        used: Use,
        config: &Config,
        bound: Bound,
    ) -> Result<Option<SocketAddr>, Failure> {
        let front = self.front(used, config, &self.seats, &self.records);
        let front = front.map_err(|error| Failure::new(Exit::Config, error))?;
        let (live, front) = watch::channel(Arc::new(front));
        let address = bound.address();
        self.live.push((used, live));
        self.waiting.push((front, bound));
        Ok(address)
    }

    fn front(
        &self,
        used: Use,
        config: &Config,
        seats: &Seats,
        records: &Records,
    ) -> anyhow::Result<Front> {
        let (public, api) = (&config.http.public, &config.http.api);
        let tls = match used {
            Use::Public => tls(public.certificate.as_ref(), public.key.as_ref())?,
            Use::Api => tls(api.certificate.as_ref(), api.key.as_ref())?,
            Use::Admin => None,
        };
        let router = match (used, &self.shared) {
            (Use::Api | Use::Admin, Some(shared)) => api::router(Arc::clone(shared)),
            _ => public::router(self.public(records)),
        };
        Ok(Front { router, tls, seats: seats.clone() })
    }

    /// What the routes for recipients stand on, if there are links that lead to them.
    fn public(&self, records: &Records) -> Option<Public> {
        Some(Public {
            links: records.links.clone()?,
            clock: Arc::clone(&self.clock),
            spool: self.mail.door.spool.clone(),
            scribe: self.mail.scribe.clone(),
            feedback: records.feedback([None, None], &self.mail.door.events, &self.clock),
            recent: Arc::clone(&self.recent),
        })
    }

    /// Starts to answer.
    pub fn serve(
        &mut self,
        sessions: &mut JoinSet<()>,
        watching: &mut JoinSet<()>,
        draining: &watch::Receiver<bool>,
    ) {
        for (front, bound) in self.waiting.drain(..) {
            sessions.spawn(server::serve(front, bound, draining.clone()));
        }
        if let Some(shared) = &self.shared {
            let deliverer = Deliverer {
                registry: shared.parts.registry.clone(),
                reader: self.mail.reader.clone(),
                clock: Arc::clone(&self.clock),
                sending: self.sending.subscribe(),
                meters: Arc::clone(&shared.hooks),
                draining: draining.clone(),
            };
            sessions.spawn(deliverer.run());
            watching.spawn(glance::sample(Arc::clone(shared)));
        }
    }

    /// What the operator registered, as it is now.
    pub fn renewed(&self, config: &Config) -> anyhow::Result<Records> {
        self.records.renewed(config)
    }

    /// Replies are read by these rules from now on.
    pub fn read_by(&self, rules: Arc<Rules>) {
        self.mail.reader.read_by(rules);
    }

    /// What they are to do by another configuration; nothing changes yet.
    pub fn prepare(&self, config: &Config, records: Records) -> anyhow::Result<Prepared> {
        let http = &config.http;
        let seats = self.seats.limited(http.connections_max, http.connections_per_address_max);
        let fronts = self.live.iter().map(|(used, _)| self.front(*used, config, &seats, &records));
        let fronts = fronts.map(|front| front.map(Arc::new)).collect::<anyhow::Result<_>>()?;
        let sending = Arc::new(webhooks::sending(config, &self.clock)?);
        Ok(Prepared { fronts, budget: budget(config), seats, sending, records })
    }

    /// From now on they do it; connections keep what they began with.
    pub fn change(&mut self, prepared: Prepared) {
        for ((_, live), front) in self.live.iter().zip(prepared.fronts) {
            live.send_replace(front);
        }
        if let Some(shared) = &self.shared {
            shared.limit(prepared.budget);
        }
        self.sending.send_replace(prepared.sending);
        self.seats = prepared.seats;
        self.records = prepared.records;
    }
}

fn listen(address: SocketAddr, whom: &str) -> Result<Bound, Failure> {
    server::bind_tcp(address).map_err(|error| cannot_listen(&address, whom, error))
}

fn cannot_listen(place: &dyn std::fmt::Display, whom: &str, error: std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::Unavailable,
    };
    let text = format!("cannot listen on {place} for HTTP of {whom}");
    Failure::new(exit, anyhow::Error::from(error).context(text))
}
