//! What is kept on disk: the spool and the events.

use std::path::PathBuf;
use std::time::Duration;

use crate::section::section;
use crate::value;

section! {
    /// Accepted mail on disk.
    #[serde(default, deny_unknown_fields)]
    pub struct Spool, "[spool]" {
        /// The folder. It must be on a disk that keeps what fsync was called for.
        folder: PathBuf = "/var/lib/maily/spool".into(), default "/var/lib/maily/spool";
        /// A segment that has grown to this size is closed.
        #[serde(deserialize_with = "value::size")]
        segment_size: u64 = 64 << 20, default "64MiB";
        /// How much of the newest mail is also held in memory.
        #[serde(deserialize_with = "value::size")]
        hot_size: u64 = 16 << 20, default "16MiB";
        /// With less free disk than this, new mail is refused for now (452).
        #[serde(deserialize_with = "value::size")]
        disk_reserve: u64 = 512 << 20, default "512MiB";
        /// With more waiting messages than this, new mail is refused for now (452).
        waiting_max: u64 = 5_000_000, default 5_000_000;
    }
}

section! {
    /// The journal of what became of the mail.
    #[serde(default, deny_unknown_fields)]
    pub struct Events, "[events]" {
        /// The folder.
        folder: PathBuf = "/var/lib/maily/events".into(), default "/var/lib/maily/events";
        /// Events older than this are removed.
        #[serde(deserialize_with = "value::duration")]
        retention: Duration = Duration::from_secs(30 * 86_400), default "30d";
        /// A segment that has grown to this size is closed.
        #[serde(deserialize_with = "value::size")]
        segment_size: u64 = 64 << 20, default "64MiB";
    }
}
