//! Metrics in the Prometheus text format (version 0.0.4): each family with its help and type, its
//! values behind it.

use std::fmt::Display;
use std::fmt::Write;

/// A text that grows by families.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// A number that only grows. Its name ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    /// Such numbers of one family, each with its labels.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.family(name, "counter", help);
        for (of, value) in values {
            self.sample(name, &format!("{{{label}=\"{}\"}}", escaped(of)), value);
        }
    }

    /// A number of the moment.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// Such numbers of one family, each with its labels.
    pub fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.family(name, "gauge", help);
        for (of, value) in values {
            self.sample(name, &format!("{{{label}=\"{}\"}}", escaped(of)), value);
        }
    }

    /// How often something took at most so long: upper bounds with their own counts, then the
    /// count above all of them, and the sum in seconds.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[(f64, u64)],
        above: u64,
        sum: f64,
    ) {
        self.family(name, "histogram", help);
        self.spread(name, &[], buckets, above, sum);
    }

    /// One sample of a family that was begun.
    pub fn labelled(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample(name, &written(labels), value);
    }

    /// One histogram of a family that was begun.
    pub fn labelled_histogram(
        &mut self,
        name: &str,
        label: (&str, &str),
        buckets: &[(f64, u64)],
        above: u64,
        sum: f64,
    ) {
        self.spread(name, &[label], buckets, above, sum);
    }

    fn spread(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        buckets: &[(f64, u64)],
        above: u64,
        sum: f64,
    ) {
        let below = |bound: &str| written(&[labels, &[("le", bound)]].concat());
        let mut all = 0;
        for (bound, count) in buckets {
            all += count;
            self.sample(&format!("{name}_bucket"), &below(&bound.to_string()), all);
        }
        all += above;
        self.sample(&format!("{name}_bucket"), &below("+Inf"), all);
        self.sample(&format!("{name}_sum"), &written(labels), sum);
        self.sample(&format!("{name}_count"), &written(labels), all);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _infallible = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// Labels as they stand behind a name; nothing if there are none.
fn written(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// A label's value stands in double quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_with_their_help_and_buckets_add_up() {
        let mut text = Exposition::default();
        text.counters("a_total", "What\nit is.", "reason", &[("x\"y", 1)]);
        text.histogram("b_seconds", "How long.", &[(0.5, 2), (1.0, 3)], 4, 9.5);
        assert_eq!(
            text.into_text(),
            "# HELP a_total What\\nit is.\n# TYPE a_total counter\na_total{reason=\"x\\\"y\"} 1\n\
             # HELP b_seconds How long.\n# TYPE b_seconds histogram\n\
             b_seconds_bucket{le=\"0.5\"} 2\nb_seconds_bucket{le=\"1\"} 5\n\
             b_seconds_bucket{le=\"+Inf\"} 9\nb_seconds_sum 9.5\nb_seconds_count 9\n"
        );
    }
}
