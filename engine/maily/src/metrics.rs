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
        let mut all = 0;
        for (bound, count) in buckets {
            all += count;
            self.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), all);
        }
        all += above;
        self.sample(&format!("{name}_bucket"), "{le=\"+Inf\"}", all);
        self.sample(&format!("{name}_sum"), "", sum);
        self.sample(&format!("{name}_count"), "", all);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _infallible = writeln!(self.0, "{name}{labels} {value}");
    }
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
