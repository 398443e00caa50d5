//! The machine: descriptors, disk, clock; and whether the daemon answers.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use maily_config::config::Config;

use crate::doctor::{Finding, Level};
use crate::office::Office;

/// Descriptors beside those of connections: files of the journal, listeners, the log.
const DESCRIPTORS_BESIDE: u64 = 256;
/// From here on a sync is slow: each 250 waits for one.
const SYNC_SLOW: Duration = Duration::from_millis(50);
/// What systemd and chrony leave where the clock is kept right.
const SYNCHRONISED: [&str; 2] = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.sock"];

/// Looks at the machine.
pub fn look(config: &Config) -> Vec<Finding> {
    let mut all = vec![descriptors(config), clock()];
    for (name, folder) in [("spool", &config.spool.folder), ("events", &config.events.folder)] {
        all.push(disk(name, folder, config.spool.disk_reserve));
    }
    all
}

fn descriptors(config: &Config) -> Finding {
    const ABOUT: &str = "descriptors";
    let wanted = u64::from(config.egress.connections_max)
        + u64::from(config.smtp.sessions_max)
        + u64::from(config.http.connections_max)
        + DESCRIPTORS_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.current.unwrap_or(u64::MAX);
    let what =
        format!("{most} may be open here; all connections of the configuration want {wanted}");
    if most >= wanted {
        return Finding::ok(ABOUT, what);
    }
    let next = "LimitNOFILE= in the unit of systemd (maily.service has it), or ulimit -n";
    Finding::new(ABOUT, Level::Warn, what, next)
}

/// Whether anybody keeps the clock right: signatures and reports carry times, and a wrong clock
/// lets mail expire too soon.
fn clock() -> Finding {
    const ABOUT: &str = "clock";
    let kept = SYNCHRONISED.iter().find(|path| Path::new(path).exists());
    match kept {
        Some(path) => Finding::ok(ABOUT, format!("it is kept right ({path})")),
        None => {
            let what = "nothing is seen that keeps it right (systemd-timesyncd, chrony)".to_owned();
            let next =
                "timedatectl says whether it is synchronised; in a container the host keeps it";
            Finding::new(ABOUT, Level::Unknown, what, next)
        }
    }
}

/// Whether there is room, and whether a file can be written and synced.
fn disk(name: &str, folder: &Path, reserve: u64) -> Finding {
    const ABOUT: &str = "disk";
    let shown = format!("{name} in {}", folder.display());
    // Before its first start a daemon has no folder yet.
    let there = folder.ancestors().find(|above| above.is_dir()).unwrap_or(folder);
    let took = match sync(there) {
        Ok(took) => took,
        Err(error) => {
            let what = format!("{shown}: nothing can be written: {error}");
            let next = "give the folder to the user who runs the daemon; run this as that user";
            return Finding::new(ABOUT, Level::Fail, what, next);
        }
    };
    let free = rustix::fs::statvfs(there).map_or(0, |found| found.f_bavail * found.f_frsize);
    let millis = took.as_secs_f64() * 1e3;
    let what = format!("{shown}: {} MiB are free, a sync takes {millis:.1} ms", free >> 20);
    if free <= reserve {
        let what = format!("{what}; {} MiB are to stay free", reserve >> 20);
        let next = "mail is refused (452) until there is more: free space, or move the folder";
        return Finding::new(ABOUT, Level::Fail, what, next);
    }
    if free < reserve.saturating_mul(4) {
        return Finding::new(ABOUT, Level::Warn, what, "it will soon be full: free space");
    }
    if took > SYNC_SLOW {
        let next = "each 250 waits for a sync: a disk with a write cache that survives power cuts";
        return Finding::new(ABOUT, Level::Warn, what, next);
    }
    Finding::ok(ABOUT, what)
}

/// How long a small file takes to be on disk; it is removed again.
fn sync(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join(format!(".maily-doctor-{}", std::process::id()));
    let tried = (|| {
        let begun = Instant::now();
        let mut file = fs::File::create_new(&path)?;
        file.write_all(b"maily doctor\n")?;
        file.sync_all()?;
        Ok(begun.elapsed())
    })();
    let _gone = fs::remove_file(&path);
    tried
}

/// Whether the daemon answers operators.
pub async fn daemon(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "daemon";
    let Some(path) = &config.http.admin.listen else {
        let what =
            "http.admin.listen is not set: commands cannot reach a running daemon".to_owned();
        let next = "set http.admin.listen = \"/run/maily/admin.sock\"";
        return vec![Finding::new(ABOUT, Level::Warn, what, next)];
    };
    let shown = path.display();
    vec![match Office::daemon(Some(path)).await {
        Ok(_) => Finding::ok(ABOUT, format!("it answers at {shown}")),
        Err(failure) => {
            let what = format!("{:#}", failure.error);
            let next = "systemctl status maily; journalctl -u maily";
            Finding::new(ABOUT, Level::Warn, what, next)
        }
    }]
}
