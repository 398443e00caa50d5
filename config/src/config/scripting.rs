//! Which plugins there are, and what each is told.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::section::section;
use crate::value;

section! {
    /// Scripts that are asked along the way of a message. Without a folder there are none.
    #[serde(default, deny_unknown_fields)]
    pub struct Plugins, "[plugins]" {
        /// The folder; each folder in it is a plugin. Read again with every HUP.
        folder: Option<PathBuf> = None, example "/etc/maily/plugins";
        /// A folder of files, each of which holds the secret of its name; systemd's credentials
        /// are such a folder.
        secrets: Option<PathBuf> = None, example "/run/credentials/maily.service";
        /// Private, loopback and other special networks that plugins may ask by HTTP all the same.
        #[serde(deserialize_with = "value::networks")]
        allow_networks: Vec<IpNet> = Vec::new(), default [];
        /// Where plugins keep what they remember. It may be lost without harm.
        state: PathBuf = "/var/lib/maily/plugins".into(), default "/var/lib/maily/plugins";
    }
}

section! {
    /// What one plugin is told. Write one table for each that needs it.
    #[serde(deny_unknown_fields)]
    pub struct Plugin, "[[plugin]]" {
        /// Its name, as in its manifest. Must be given.
        name: String = String::new(), example "promo";
        /// Whether it is asked at all.
        #[serde(default = "value::yes")]
        enabled: bool = true, example false;
        /// Values for the settings that its manifest has.
        #[serde(default)]
        settings: toml::Table = toml::Table::new(), example { vip_orders = 5 };
    }
}
