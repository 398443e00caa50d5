//! Cases: what a plugin is tested with, as TOML beside its script.
//!
//! ```toml
//! [[case]]
//! name = "vip gets vip text"
//! hook = "on_personalize"
//! config.vip_orders = 3
//! input.contact = { email = "ann@x.test", attrs = { orders = 5 } }
//! expect.vars.seg = "vip"
//! ```

use maily_core::clock::Timestamp;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;

use crate::fault::Code;
use crate::fault::Fault;
use crate::hook::Hook;
use crate::manifest;

/// The time of a case that names none: 2026-01-01T00:00:00Z.
pub const CLOCK_DEFAULT: Timestamp = Timestamp::from_secs(1_767_225_600);
/// The most cases of one fuzz.
pub const FUZZ_CASES_MAX: u32 = 100_000;

/// A file of cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// All of them.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence that is true if the case passes.
    pub name: String,
    /// Which hook is asked.
    pub hook: Hook,
    /// Settings, over the defaults.
    #[serde(default)]
    pub config: toml::Table,
    /// What it is given.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// What other machines answer; any other request fails the case.
    #[serde(default)]
    pub http: Vec<Mock>,
    /// What is in the store before.
    #[serde(default)]
    pub kv: Map<String, Value>,
    /// The time that the script sees, such as `2026-11-22T12:00:00Z`.
    pub clock: Option<String>,
    /// What must come out. Maps may hold more than is said; `log`, `error`, `kv` and `metrics` are
    /// about what else it does, `result` is the whole answer. `"()"` stands for what is not there.
    #[serde(default)]
    pub expect: Map<String, Value>,
    /// What it may use.
    #[serde(default)]
    pub budget: CaseBudget,
    /// Many inputs, made up.
    pub fuzz: Option<Fuzz>,
    /// What must be true of each `result`, as an expression.
    pub invariant: Option<String>,
}

/// What another machine answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mock {
    /// Method and URL: `GET https://api.example/c/*`; the star is anything.
    #[serde(rename = "match")]
    pub matches: String,
    /// The status; 0 is no answer.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// The body as data.
    pub json: Option<Value>,
}

const fn ok() -> u16 {
    200
}

/// What a case may use.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseBudget {
    /// Operations of the interpreter.
    pub max_operations: Option<u64>,
}

/// Made-up inputs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fuzz {
    /// How many.
    pub cases: u32,
    /// The same seed makes the same inputs.
    #[serde(default)]
    pub seed: u64,
    /// What is made up: `contact.schema`, the fields that the manifest names; `vars`; or `input`,
    /// all of it.
    #[serde(default = "contact")]
    pub from: String,
}

fn contact() -> String {
    "contact.schema".to_owned()
}

impl CaseFile {
    /// Reads a file of cases.
    pub fn parse(label: &str, path: &str, text: &str) -> Result<Self, Box<Fault>> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let place = manifest::span_place(path, text, error.span());
            Box::new(Fault::new(Code::Case, label, error.message()).at(place))
        })?;
        for case in &file.cases {
            let wrong = |message: String| {
                let place = case_place(path, text, &case.name);
                Box::new(Fault::new(Code::Case, label, message).at(place))
            };
            if let Some(clock) = &case.clock
                && parse_time(clock).is_none()
            {
                return Err(wrong(format!("`{clock}` is no time, such as 2026-11-22T12:00:00Z")));
            }
            if let Some(fuzz) = &case.fuzz {
                if fuzz.cases > FUZZ_CASES_MAX {
                    return Err(wrong(format!("a fuzz has at most {FUZZ_CASES_MAX} cases")));
                }
                if !["contact.schema", "vars", "input"].contains(&fuzz.from.as_str()) {
                    return Err(wrong("from is contact.schema, vars or input".to_owned()));
                }
            }
        }
        Ok(file)
    }
}

/// Where a case is named in its file.
pub(crate) fn case_place(path: &str, text: &str, name: &str) -> crate::fault::Place {
    let quoted = format!("\"{name}\"");
    let start = text.find(&quoted).unwrap_or(0);
    manifest::span_place(path, text, Some(start..start))
}

impl Case {
    /// The time that the script sees.
    pub fn now(&self) -> Timestamp {
        self.clock.as_deref().and_then(parse_time).unwrap_or(CLOCK_DEFAULT)
    }
}

impl Mock {
    /// Whether it answers this request.
    pub fn answers(&self, method: &str, url: &str) -> bool {
        let request = format!("{method} {url}");
        let mut parts = self.matches.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = request.strip_prefix(first) else { return false };
        let parts: Vec<_> = parts.collect();
        let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
        for part in between {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// A time in UTC: `2026-11-22T12:00:00Z`.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once(['T', ' '])?;
    let number = |text: &str| text.parse::<u64>().ok();
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let sound = (1970..10_000).contains(&year) && (1..=12).contains(&month);
    if !sound || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Howard Hinnant's civil-to-days: years that begin on 1 March.
    let shifted_year = if month > 2 { year } else { year - 1 };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(Timestamp::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for text in ["2026-11-22T12:00:00Z", "1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z"] {
            let shown = parse_time(text).unwrap().to_string();
            assert_eq!(shown, text.replace('Z', ".000Z"));
        }
        assert_eq!(parse_time("2026-01-01T00:00:00Z"), Some(CLOCK_DEFAULT));
        for wrong in ["", "2026-13-01T00:00:00Z", "2026-11-22", "2026-11-22T12:00:00+01:00"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_star_is_anything() {
        let mock = |matches: &str| Mock {
            matches: matches.to_owned(),
            status: 200,
            body: String::new(),
            json: None,
        };
        assert!(mock("GET https://a.example/c/*").answers("GET", "https://a.example/c/7?x=1"));
        assert!(mock("* https://a.example/*/end").answers("POST", "https://a.example/b/end"));
        assert!(!mock("GET https://a.example/c").answers("GET", "https://a.example/c/7"));
        assert!(!mock("GET https://a.example/*").answers("GET", "https://b.example/"));
    }
}
