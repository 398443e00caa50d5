//! Manifests that are refused, and where.

use super::*;

const GOOD: &str = r#"name = "promo"
version = "2.0.1"
api = "1"
[hooks]
on_personalize = { priority = 50, on_error = "skip_vars" }
on_segment = { name = "vip", pure = true }
[permissions]
log = true
kv = { namespace = "promo", max_bytes = "10MB", ttl = "30d" }
[budget]
time = "3ms"
[config.schema]
vip_orders = { type = "int", default = 3, min = 1, doc = "orders that make a VIP" }
"#;

fn check(from: &str, to: &str, expected: &str) {
    let fault = Manifest::parse(&GOOD.replace(from, to)).unwrap_err();
    let place = fault.place.unwrap();
    assert_eq!(format!("{}:{} {}", place.line, place.column, fault.message), expected);
}

#[test]
fn a_manifest_says_where_and_how_much() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.label(), "promo@2.0.1");
    assert_eq!(manifest.policy(Hook::OnPersonalize), Policy::FallbackVars);
    assert_eq!(manifest.time(Hook::OnPersonalize), Duration::from_millis(3));
    // A hook's own bound is never passed.
    assert_eq!(manifest.time(Hook::OnSegment), Duration::from_micros(200));
}

#[test]
fn what_cannot_be_kept_is_refused_where_it_stands() {
    check(
        "name = \"promo\"\n",
        "name = \"Pro mo\"\n",
        "1:1 the name has letters a-z, digits and dashes, and begins with a letter",
    );
    check("2.0.1", "2.0", "2:1 the version is three numbers, such as 1.0.0");
    check("api = \"1\"", "api = \"7\"", "3:1 api 7 is not offered, but 1");
    check(
        "skip_vars",
        "defer",
        "5:1 on_error = \"defer\" is not for on_personalize, but fallback_vars, skip_recipient, \
         pause_campaign",
    );
    check("pure = true", "every = \"5m\"", "6:1 `every` is for on_timer, which needs it");
    check(
        "log = true",
        "http = [{ host = \"a.example\" }]",
        "8:1 none of the plugin's hooks may use http",
    );
    check(
        "\"3ms\"",
        "\"3 weeks\"",
        "11:8 `3 weeks` is no duration; write it as 500us, 5ms, 2s, 5m, 24h, 30d",
    );
    check(
        "time = \"3ms\"",
        "operations = 900_000_000",
        "11:1 900000000 is more than the 5000000 operations allowed",
    );
    check("default = 3", "default = \"x\"", "13:1 the default is not an int");
    let fault = Manifest::parse(&GOOD.replace("log = true", "lgo = true")).unwrap_err();
    assert!(fault.message.starts_with("unknown field `lgo`"), "{fault}");
    assert_eq!(fault.place.unwrap().line, 8);
}
