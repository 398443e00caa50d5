//! What plugins count and observe, kept for the metrics of the process, so many and no more.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

use crate::host::Metric;

/// Metrics of all plugins together.
pub const METRICS_MAX: usize = 1_000;

/// What was counted and observed.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<(String, String), Sum>>);

/// The sum of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// How often.
    pub count: u64,
    /// All values together.
    pub sum: f64,
}

impl Tally {
    /// Adds to a metric of a plugin. One metric too many is left out.
    pub fn add(&self, plugin: &str, metric: &Metric) {
        let mut sums = self.0.lock();
        let key = (plugin.to_owned(), metric.name.clone());
        if sums.len() >= METRICS_MAX && !sums.contains_key(&key) {
            return;
        }
        let sum = sums.entry(key).or_default();
        sum.count += 1;
        sum.sum += metric.value;
    }

    /// All sums, by plugin and metric.
    pub fn read(&self) -> BTreeMap<(String, String), Sum> {
        self.0.lock().clone()
    }
}
