//! Builds the way in: the front door, who may come, and the listeners.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

use maily_config::config::Config;
use maily_config::config::receiving::Listener as ListenerSettings;
use maily_config::config::receiving::{ListenerTls, UserClass};
use maily_core::clock::Clock;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Class;
use maily_core::mail::id::QueueIdSource;
use maily_core::smtp::server::config::ServerConfig;
use maily_events::recorder::Recorder;
use maily_ingress::auth::{User, Users, hash};
use maily_ingress::door::FrontDoor;
use maily_ingress::gate::{Gate, Limits};
use maily_ingress::hooks::Hooks;
use maily_ingress::listener::Listener;
use maily_ingress::seats::Seats;
use maily_ingress::session::Shared;
use maily_ingress::throttle::Throttle;
use maily_live::sessions::Sessions;
use maily_plugins::set::Plugins;
use maily_spool::spool::Spool;

use crate::certificate;
use crate::fronts::Records;

/// Our own addresses to which everyone may write: for unsubscribing, for complaints. Without links
/// of ours there is nothing to say to them.
fn open_addresses(config: &Config) -> [Option<Mailbox>; 2] {
    let public = &config.http.public;
    let all = [&public.unsubscribe_mailbox, &config.bounces.complaints_mailbox];
    all.map(|mailbox| mailbox.clone().filter(|_| public.base_url.is_some()))
}

/// What all listeners share.
pub struct Receiving {
    door: FrontDoor,
    gate: Arc<Gate>,
    limits: Limits,
    users: Arc<Users>,
    throttle: Arc<Mutex<Throttle>>,
    seats: Seats,
    sessions: Arc<Sessions>,
}

impl Receiving {
    /// Reads the users' secrets; binds nothing yet.
    pub fn new(
        config: &Config,
        spool: &Spool,
        events: &Recorder,
        clock: &Arc<dyn Clock>,
        plugins: &Arc<Plugins>,
        records: &Records,
    ) -> anyhow::Result<Self> {
        let mut ids = QueueIdSource::new(config.node.id);
        if let Some(newest) = spool.newest() {
            ids.rise_above(newest);
        }
        let door = FrontDoor {
            spool: spool.clone(),
            events: events.clone(),
            clock: Arc::clone(clock),
            ids: Arc::new(Mutex::new(ids)),
            hostname: config.node.hostname.as_str().into(),
            expire_after: config.retry.expire_after,
            counters: Arc::default(),
            hooks: Hooks::new(Arc::clone(plugins)),
            feedback: records.feedback(open_addresses(config), events, clock),
        };
        let limits = limits(config);
        Ok(Self {
            door,
            gate: Arc::new(Gate::new(spool.clone(), limits)),
            limits,
            users: Arc::new(users(config)?),
            throttle: Arc::default(),
            seats: Seats::new(config.smtp.sessions_max, config.smtp.sessions_per_address_max),
            sessions: Sessions::new(Arc::clone(clock)),
        })
    }

    /// The front door, which names all messages.
    pub const fn door(&self) -> &FrontDoor {
        &self.door
    }

    /// The same by another configuration; what is counted goes on being counted. The limits of
    /// the gate hold from [`limit`](Self::limit) on.
    pub fn again(&self, config: &Config, records: &Records) -> anyhow::Result<Self> {
        let FrontDoor { events, clock, .. } = &self.door;
        let door = FrontDoor {
            feedback: records.feedback(open_addresses(config), events, clock),
            hostname: config.node.hostname.as_str().into(),
            expire_after: config.retry.expire_after,
            ..self.door.clone()
        };
        let smtp = &config.smtp;
        Ok(Self {
            door,
            gate: self.gate(),
            limits: limits(config),
            users: Arc::new(users(config)?),
            throttle: Arc::clone(&self.throttle),
            seats: self.seats.limited(smtp.sessions_max, smtp.sessions_per_address_max),
            sessions: self.sessions(),
        })
    }

    /// Has the gate keep to our limits.
    pub fn limit(&self) {
        self.gate.limit(self.limits);
    }

    /// Connections from clients.
    pub fn seats(&self) -> Seats {
        self.seats.clone()
    }

    /// Whether there is room for more mail.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// The sessions that go on, in and out.
    pub fn sessions(&self) -> Arc<Sessions> {
        Arc::clone(&self.sessions)
    }

    /// What one listener is to do.
    pub fn listener(
        &self,
        config: &Config,
        settings: &ListenerSettings,
    ) -> anyhow::Result<Listener> {
        let acceptor = match settings.tls {
            ListenerTls::None => None,
            _ => Some(TlsAcceptor::from(certificate::load(&config.tls)?)),
        };
        let smtp = &config.smtp;
        let server = ServerConfig {
            hostname: config.node.hostname.as_str().into(),
            postmaster: config.node.postmaster.clone(),
            open: open_addresses(config).into_iter().flatten().collect(),
            links: self.door.feedback.links.clone(),
            starttls: settings.tls == ListenerTls::Starttls,
            auth: !self.users.is_empty(),
            message_octets_max: smtp.message_size,
            recipients_max: smtp.recipients_max as usize,
            transactions_max: smtp.transactions_max,
            logins_failed_max: smtp.auth_failures_max,
        };
        let shared = Shared {
            door: self.door.clone(),
            gate: self.gate(),
            users: Arc::clone(&self.users),
            throttle: Arc::clone(&self.throttle),
            tls: acceptor,
            sessions: self.sessions(),
            idle_timeout: smtp.idle_timeout,
            data_timeout: smtp.data_timeout,
        };
        Ok(Listener {
            shared: Arc::new(shared),
            server: Arc::new(server),
            implicit_tls: settings.tls == ListenerTls::Implicit,
            relay_networks: smtp.relay_networks.clone(),
            proxies: settings.proxy_protocol_from.clone(),
            seats: self.seats.clone(),
        })
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        waiting_max: config.spool.waiting_max,
        disk_reserve: config.spool.disk_reserve,
        receiving_octets_max: config.smtp.receiving_size,
    }
}

fn users(config: &Config) -> anyhow::Result<Users> {
    let mut users = HashMap::new();
    for user in &config.user {
        let hash = match (&user.password_hash, &user.password) {
            (Some(hash), _) => hash.as_str().into(),
            (None, Some(secret)) => secret
                .read()
                .and_then(|password| hash(password.reveal()))
                .map_err(|error| anyhow!("user `{}`: {error}", user.name))?,
            (None, None) => bail!("user `{}` has no password", user.name),
        };
        let class = match user.class {
            Some(UserClass::Bulk) => Class::Bulk,
            Some(UserClass::Transactional) | None => Class::Transactional,
        };
        let tenant = user.tenant.as_ref().unwrap_or(&user.name).as_str().into();
        users.insert(user.name.as_str().into(), User { hash, tenant, class });
    }
    Ok(Users::new(users))
}
