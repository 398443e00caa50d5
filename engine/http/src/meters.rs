//! How often each route was asked, with what outcome, and how long it took.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::routes::ROUTES;

/// Upper bounds of the buckets, in milliseconds.
const BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 10_000];

/// The numbers of one route.
#[derive(Debug, Default)]
pub struct Meter {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    micros: AtomicU64,
}

/// The numbers of all routes.
#[derive(Debug)]
pub struct Meters {
    routes: Vec<Meter>,
    /// What fits no route.
    other: Meter,
}

/// What a scraper is shown of one route.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `POST /v1/tokens`, or `other`.
    pub route: String,
    /// Answers by the first digit of their status: `2xx`.
    pub classes: Vec<(&'static str, u64)>,
    /// Each bucket's bound in seconds, and its own count.
    pub buckets: Vec<(f64, u64)>,
    /// Those above all bounds.
    pub above: u64,
    /// All times added up, in seconds.
    pub seconds: f64,
}

impl Default for Meters {
    fn default() -> Self {
        let routes = ROUTES.iter().map(|_| Meter::default()).collect();
        Self { routes, other: Meter::default() }
    }
}

impl Meter {
    fn count(&self, status: u16, time: Duration) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let place = BOUNDS.iter().position(|bound| time <= Duration::from_millis(*bound));
        let bucket = place.and_then(|place| self.buckets.get(place)).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn read(&self, route: String) -> Reading {
        let names = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let seconds = BOUNDS.iter().map(|millis| Duration::from_millis(*millis).as_secs_f64());
        Reading {
            route,
            classes: names.into_iter().zip(self.classes.iter().map(load)).collect(),
            buckets: seconds.zip(self.buckets.iter().map(load)).collect(),
            above: load(&self.above),
            seconds: Duration::from_micros(load(&self.micros)).as_secs_f64(),
        }
    }
}

impl Meters {
    /// A route, by its place in the table, was answered; or something that is none.
    pub fn count(&self, place: Option<usize>, status: u16, time: Duration) {
        let meter = place.and_then(|place| self.routes.get(place)).unwrap_or(&self.other);
        meter.count(status, time);
    }

    /// All numbers.
    pub fn read(&self) -> Vec<Reading> {
        let named = |(route, meter): (&crate::routes::Route, &Meter)| {
            meter.read(format!("{} {}", route.method, route.path))
        };
        let mut all: Vec<_> = ROUTES.iter().zip(&self.routes).map(named).collect();
        all.push(self.other.read("other".to_owned()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_class_and_time() {
        let meters = Meters::default();
        meters.count(Some(0), 200, Duration::from_micros(1_000));
        meters.count(Some(0), 404, Duration::from_micros(1_001));
        meters.count(None, 500, Duration::from_secs(11));
        let readings = meters.read();
        assert_eq!(readings.len(), ROUTES.len() + 1);
        assert_eq!(readings[0].route, "GET /openapi.json");
        assert_eq!(readings[0].classes[1..4], [("2xx", 1), ("3xx", 0), ("4xx", 1)]);
        assert_eq!((readings[0].buckets[0].1, readings[0].buckets[1].1), (1, 1));
        let other = readings.last().unwrap();
        assert_eq!((other.classes[4], other.above), (("5xx", 1), 1));
        assert!((other.seconds - 11.0).abs() < 1e-9);
    }
}
