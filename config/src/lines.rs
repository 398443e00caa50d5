//! Where limits are written: an operator who is told that one holds mail is told where to raise it.

/// Where the limits of a configuration are written.
///
/// Two configurations that say the same in different places are equal.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// `[limits]`.
    pub limits: LimitLines,
    /// `egress.connections_max`.
    pub egress_connections_max: Box<str>,
    /// Each `[[site]]`, in their order.
    pub sites: Vec<LimitLines>,
}

/// Where each limit of a table is written: as `file:line`, or as `[limits] key (by default)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitLines {
    /// The most connections.
    pub connections_max: Box<str>,
    /// The rate of messages.
    pub message_rate: Box<str>,
    /// The rate of new connections.
    pub connection_rate: Box<str>,
}

impl PartialEq for Lines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Lines {
    /// Those of a configuration with so many sites; `line` finds where a key was set last.
    pub(crate) fn find(sites: usize, line: impl Fn(&str) -> Option<String>) -> Self {
        let of = |key: &str| line(key).unwrap_or_else(|| format!("{key} (by default)")).into();
        let limits = LimitLines {
            connections_max: of("limits.connections_max"),
            message_rate: of("limits.message_rate"),
            connection_rate: of("limits.connection_rate"),
        };
        // What a site leaves out is what holds for all of them.
        let own = |site: usize, key: &str, all: &str| match line(&format!("site.{site}.{key}")) {
            Some(line) => line.into(),
            None => all.into(),
        };
        let site = |n| LimitLines {
            connections_max: own(n, "connections_max", &limits.connections_max),
            message_rate: own(n, "message_rate", &limits.message_rate),
            connection_rate: own(n, "connection_rate", &limits.connection_rate),
        };
        let sites = (0..sites).map(site).collect();
        Self { egress_connections_max: of("egress.connections_max"), sites, limits }
    }
}
