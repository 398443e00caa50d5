//! The whole configuration, as [`load`](crate::load) gives it. Every table has a default.
//!
//! The names are the names in the file. The tables are declared in the modules below, by who
//! needs them; what must hold between two of them is in `check`.

pub mod receiving;
pub mod scripting;
pub mod sending;
pub mod serving;
pub mod storage;
pub mod watching;

use std::time::Duration;

use crate::config::receiving::Listener;
use crate::config::receiving::Node;
use crate::config::receiving::Smtp;
use crate::config::receiving::Tls;
use crate::config::receiving::User;
use crate::config::scripting::Plugin;
use crate::config::scripting::Plugins;
use crate::config::sending::Dkim;
use crate::config::sending::Dns;
use crate::config::sending::Egress;
use crate::config::sending::Limits;
use crate::config::sending::Pool;
use crate::config::sending::Retry;
use crate::config::sending::Route;
use crate::config::sending::Site;
use crate::config::sending::Source;
use crate::config::serving::Admin;
use crate::config::serving::Api;
use crate::config::serving::Bounces;
use crate::config::serving::Http;
use crate::config::serving::Public;
use crate::config::serving::Registry;
use crate::config::serving::Webhooks;
use crate::config::storage::Events;
use crate::config::storage::Spool;
use crate::config::watching::Log;
use crate::config::watching::Ops;
use crate::lines::Lines;
use crate::section::Section;
use crate::section::section;
use crate::value;

section! {
    /// The keys above all tables.
    #[serde(default, deny_unknown_fields)]
    pub struct Config, "" {
        /// How many threads sign messages; 0 is one for each processor.
        dkim_threads: usize = 0, default 0;
        /// How long a stopping daemon lets sessions and deliveries finish.
        #[serde(deserialize_with = "value::duration")]
        drain_timeout: Duration = Duration::from_secs(30), default "30s";
        /// Who this daemon is.
        node: Node = Node::default(), table {};
        /// Where accepted mail is kept.
        spool: Spool = Spool::default(), table {};
        /// Where it is written down what became of the mail.
        events: Events = Events::default(), table {};
        /// Where clients connect. The first one that is written replaces the default.
        listener: Vec<Listener> = vec![Listener::default()], table {};
        /// The certificate that listeners show.
        tls: Tls = Tls::default(), table {};
        /// What SMTP clients may do.
        smtp: Smtp = Smtp::default(), table {};
        /// Who may authenticate.
        user: Vec<User> = Vec::new(), table {};
        /// How names are looked up.
        dns: Dns = Dns::default(), table {};
        /// How mail is sent.
        egress: Egress = Egress::default(), table {};
        /// From which addresses mail is sent.
        source: Vec<Source> = Vec::new(), table {};
        /// Which of them stand in for one another, and for whom.
        pool: Vec<Pool> = Vec::new(), table {};
        /// Fixed next hops.
        route: Vec<Route> = Vec::new(), table {};
        /// Limits of single sites.
        site: Vec<Site> = Vec::new(), table {};
        /// Limits of every site.
        limits: Limits = Limits::default(), table {};
        /// When a deferred message is tried again.
        retry: Retry = Retry::default(), table {};
        /// Which mail is signed, and with which key.
        dkim: Vec<Dkim> = Vec::new(), table {};
        /// Scripts that are asked along the way.
        plugins: Plugins = Plugins::default(), table {};
        /// What one of them is told.
        plugin: Vec<Plugin> = Vec::new(), table {};
        /// What operators registered.
        registry: Registry = Registry::default(), table {};
        /// The listeners for HTTP.
        http: Http = Http::default(), table {};
        /// What comes back.
        bounces: Bounces = Bounces::default(), table {};
        /// The listener for health checks and metrics.
        ops: Ops = Ops::default(), table {};
        /// The diagnostic log.
        log: Log = Log::default(), table {};
        /// Where limits are written.
        #[serde(skip)]
        lines: Lines = Lines::default(), hidden "";
    }
}

impl Config {
    /// Takes over from `old` what a running daemon cannot change: see
    /// [`needs_restart`](crate::change::Change::needs_restart). A listener is known by its
    /// address; one that this configuration no longer has stays as it was.
    pub fn keep_open(&mut self, old: &Self) {
        self.node.id = old.node.id;
        self.spool.folder.clone_from(&old.spool.folder);
        self.spool.segment_size = old.spool.segment_size;
        self.spool.hot_size = old.spool.hot_size;
        self.events.folder.clone_from(&old.events.folder);
        self.events.segment_size = old.events.segment_size;
        self.dkim_threads = old.dkim_threads;
        self.ops.listen = old.ops.listen;
        self.plugins.state.clone_from(&old.plugins.state);
        self.registry.folder.clone_from(&old.registry.folder);
        self.http.public.listen = old.http.public.listen;
        self.http.public.base_url.clone_from(&old.http.public.base_url);
        self.bounces.domain.clone_from(&old.bounces.domain);
        self.http.api.listen = old.http.api.listen;
        self.http.admin.listen.clone_from(&old.http.admin.listen);
        self.log.format = old.log.format;
        self.source.clone_from(&old.source);
        self.pool.clone_from(&old.pool);
        let new = std::mem::take(&mut self.listener);
        let keep = |bound: &Listener| {
            let same = new.iter().find(|listener| listener.address == bound.address);
            same.unwrap_or(bound).clone()
        };
        self.listener = old.listener.iter().map(keep).collect();
    }
}

/// All tables, in the order of the reference.
pub(crate) const SECTIONS: &[Section] = &[
    Config::SECTION,
    Node::SECTION,
    Spool::SECTION,
    Events::SECTION,
    Listener::SECTION,
    Tls::SECTION,
    Smtp::SECTION,
    User::SECTION,
    Dns::SECTION,
    Egress::SECTION,
    Source::SECTION,
    Pool::SECTION,
    Route::SECTION,
    Limits::SECTION,
    Site::SECTION,
    Retry::SECTION,
    Dkim::SECTION,
    Plugins::SECTION,
    Plugin::SECTION,
    Registry::SECTION,
    Http::SECTION,
    Public::SECTION,
    Api::SECTION,
    Admin::SECTION,
    Webhooks::SECTION,
    Bounces::SECTION,
    Ops::SECTION,
    Log::SECTION,
];
