//! What this process takes, as the kernel says it (proc(5)).

use std::path::Path;

use maily_core::clock::Timestamp;

/// Ticks of a second in which the kernel counts CPU time: 100 on every Linux (time(7)).
const TICKS: f64 = 100.0;

/// CPU time, and when it was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    seconds: f64,
    at: Timestamp,
}

impl Cpu {
    /// As it is now.
    pub(crate) fn now(now: Timestamp) -> Self {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name, in parentheses, may hold spaces.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = rest.split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Self { seconds: (ticks() + ticks()) / TICKS, at: now }
    }

    /// Of a hundred of one core, what was taken since then.
    pub(crate) fn percent_since(self, earlier: Self) -> f64 {
        let time = self.at.since(earlier.at).as_secs_f64();
        if time <= 0.0 { 0.0 } else { (self.seconds - earlier.seconds).max(0.0) / time * 100.0 }
    }
}

/// Octets of memory that are in use (VmRSS).
pub(crate) fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

/// Descriptors that are open, and how many may be.
pub(crate) fn descriptors() -> (u64, u64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    (open, most.unwrap_or(u64::MAX))
}

/// Octets of the disk where this lies, and those that are free.
pub(crate) fn disk(folder: &Path) -> (u64, u64) {
    let Ok(found) = rustix::fs::statvfs(folder) else { return (0, 0) };
    let unit = found.f_frsize;
    (found.f_blocks.saturating_mul(unit), found.f_bavail.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_we_take() {
        let begun = Cpu::now(Timestamp::from_secs(1));
        let mut sum = 0_u64;
        while Cpu::now(Timestamp::from_secs(2)).seconds - begun.seconds < 0.02 {
            sum = (0..1_000_000).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        let percent = Cpu::now(Timestamp::from_secs(2)).percent_since(begun);
        assert!(percent > 1.0, "{percent} {sum}");
        assert!(memory() > 1 << 20);
        let (open, most) = descriptors();
        assert!(open > 2 && most >= open);
        let (all, free) = disk(Path::new("/"));
        assert!(all > free);
    }
}
