//! Builds the way in: the front door, who may come, and the listeners.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use parking_lot::Mutex;
use rustls::ServerConfig as TlsConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use maily_config::config::Config;
use maily_config::config::receiving::Listener as ListenerSettings;
use maily_config::config::receiving::{ListenerTls, UserClass};
use maily_core::clock::Clock;
use maily_core::mail::envelope::Class;
use maily_core::mail::id::QueueIdSource;
use maily_core::smtp::server::config::ServerConfig;
use maily_events::recorder::Recorder;
use maily_ingress::accept::FrontDoor;
use maily_ingress::auth::{User, Users, hash};
use maily_ingress::gate::{Gate, Limits};
use maily_ingress::listener::{self, Listener};
use maily_ingress::seats::Seats;
use maily_ingress::session::Shared;
use maily_ingress::throttle::Throttle;
use maily_spool::spool::Spool;

/// What all listeners share.
pub struct Receiving {
    door: FrontDoor,
    gate: Arc<Gate>,
    users: Arc<Users>,
    throttle: Arc<Mutex<Throttle>>,
    seats: Seats,
}

impl Receiving {
    /// Reads the users' secrets; binds nothing yet.
    pub fn new(
        config: &Config,
        spool: &Spool,
        events: &Recorder,
        clock: &Arc<dyn Clock>,
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
        };
        let limits = Limits {
            waiting_max: config.spool.waiting_max,
            disk_reserve: config.spool.disk_reserve,
            receiving_octets_max: config.smtp.receiving_size,
        };
        Ok(Self {
            door,
            gate: Arc::new(Gate::new(spool.clone(), limits)),
            users: Arc::new(users(config)?),
            throttle: Arc::default(),
            seats: Seats::new(config.smtp.sessions_max, config.smtp.sessions_per_address_max),
        })
    }

    /// The front door, which names all messages.
    pub const fn door(&self) -> &FrontDoor {
        &self.door
    }

    /// Whether there is room for more mail.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Binds one listener.
    pub fn listen(
        &self,
        config: &Config,
        settings: &ListenerSettings,
    ) -> anyhow::Result<(Listener, tokio::net::TcpListener)> {
        let address = settings.address;
        let bound = listener::bind(address)
            .with_context(|| format!("cannot listen on {address} for SMTP"))?;
        let acceptor =
            if settings.tls == ListenerTls::None { None } else { Some(certificate(config)?) };
        let smtp = &config.smtp;
        let server = ServerConfig {
            hostname: config.node.hostname.as_str().into(),
            postmaster: config.node.postmaster.clone(),
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
            idle_timeout: smtp.idle_timeout,
            data_timeout: smtp.data_timeout,
        };
        let listener = Listener {
            shared: Arc::new(shared),
            server: Arc::new(server),
            implicit_tls: settings.tls == ListenerTls::Implicit,
            relay_networks: smtp.relay_networks.clone(),
            proxies: settings.proxy_protocol_from.clone(),
            seats: self.seats.clone(),
        };
        Ok((listener, bound))
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

fn certificate(config: &Config) -> anyhow::Result<TlsAcceptor> {
    let (Some(chain), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        bail!("a listener with TLS needs tls.certificate and tls.key");
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("no certificate in {}", chain.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("no private key in {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("certificate and key do not fit")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
