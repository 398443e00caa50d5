//! Cases beside scripts: what they can say, and that a plugin whose cases fail is not loaded.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use std::path::Path;

use maily_plugins::cases;
use maily_plugins::cases::Choice;
use maily_plugins::cases::Report;
use maily_plugins::gathering::Options;
use maily_plugins::package::Package;
use maily_plugins::set::Plugins;
use support::House;

fn report(plugins: &Plugins, folder: &Path) -> Report {
    let package = Package::read(folder).unwrap();
    cases::run(plugins.shared(), &package, Choice { filter: "", trace: true })
}

const TERMS: &str = r#"
[permissions]
log = true
metrics = true
contact_fields = ["first_name", "attrs.orders"]
kv = { namespace = "promo", max_bytes = "1MB", ttl = "1h" }
http = [{ host = "api.shop.example" }]
[config.schema]
vip = { type = "int", default = 3 }
"#;

const SCRIPT: &str = r#"
fn on_personalize(input) {
    let orders = input.contact.attrs?.orders;
    let seg = if type_of(orders) == "i64" && orders >= config.vip { "vip" } else { "all" };
    kv.incr("seen");
    metrics.count("greeted", 2);
    log.info("it is " + time.iso(time.now()));
    #{ vars: #{ seg: seg } }
}
fn on_enrich(input) {
    let r = http.get("https://api.shop.example/c/1");
    if r.status != 200 { log.warn("shop api " + r.status); return #{ attrs: #{} }; }
    #{ attrs: r.json, odd: 1 }
}"#;

const CASES: &str = r#"
[[case]]
name = "a VIP"
hook = "on_personalize"
config.vip = 5
input.contact = { attrs = { orders = 5 } }
clock = "2026-11-22T12:00:00Z"
kv = { seen = 41 }
budget.max_operations = 500
expect.vars.seg = "vip"
expect.log = ["info: it is 2026-11-22T12:00:00Z"]
expect.kv = { seen = 1 }
expect.metrics = { greeted = 2 }
[[case]]
name = "not a VIP, wrongly"
hook = "on_personalize"
input.contact = { attrs = { orders = 1 } }
expect.vars.seg = "vip"
[[case]]
name = "api down"
hook = "on_enrich"
http = [{ match = "GET https://api.shop.example/c/*", status = 503 }]
expect.attrs = {}
expect.log = ["warn: shop api 503"]
[[case]]
name = "nothing answers"
hook = "on_enrich"
[[case]]
name = "an odd key"
hook = "on_enrich"
http = [{ match = "GET *", json = { orders = 3 } }]
expect.attrs.orders = 3
[[case]]
name = "any contact"
hook = "on_personalize"
fuzz = { cases = 200, seed = 1, from = "contact.schema" }
invariant = "result.vars.seg != ()"
[[case]]
name = "any contact, wrongly"
hook = "on_personalize"
fuzz = { cases = 200, seed = 1 }
invariant = "result.vars.seg == \"all\""
[[case]]
name = "another error"
hook = "on_personalize"
config.vip = "many"
"#;

#[test]
fn cases_pass_and_fail_for_a_reason() {
    let house = House::new();
    let hooks = "on_personalize = {}\non_enrich = {}";
    let cases = CASES.split("[[case]]\nname = \"another error\"").next().unwrap();
    house.plugin("promo", hooks, TERMS, SCRIPT).write("promo/tests/all.toml", cases);
    let plugins = Plugins::none(house.clock.clone()).unwrap();
    let report = report(&plugins, &house.folder.path().join("promo"));
    assert!(report.refused.is_none(), "{:?}", report.refused);
    let lines: Vec<_> = report
        .cases
        .iter()
        .map(|case| format!("{} {} {}", case.passed, case.name, case.problems.join("; ")))
        .collect();
    let expected = [
        "true a VIP ",
        "false not a VIP, wrongly vars.seg is \"all\", not \"vip\"; (without optimizer)",
        "true api down ",
        "false nothing answers nothing answers GET https://api.shop.example/c/1; \
         (without optimizer)",
        "false an odd key P0302: nobody reads odd of the answer; (without optimizer)",
        "true any contact ",
    ];
    assert_eq!(lines[..6], expected);
    assert!(
        lines[6].starts_with("false any contact, wrongly `result.vars.seg == \"all\"` does not")
    );
    assert!(lines[6].contains("round "), "{}", lines[6]);
    assert_eq!((report.passed(), report.failed()), (3, 4));
}

#[test]
fn a_setting_that_does_not_fit_is_told_of() {
    let house = House::new();
    let case = CASES.split("[[case]]").last().unwrap();
    house
        .plugin("promo", "on_personalize = {}\non_enrich = {}", TERMS, SCRIPT)
        .write("promo/tests/all.toml", &format!("[[case]]{case}"));
    let plugins = Plugins::none(house.clock.clone()).unwrap();
    let report = report(&plugins, &house.folder.path().join("promo"));
    assert_eq!(report.refused.unwrap().message, "`vip` is not an int");
}

#[test]
fn a_plugin_whose_cases_fail_keeps_its_version_from_before() {
    let house = House::new();
    let script =
        |seg: &str| format!("fn on_personalize(input) {{ #{{ vars: #{{ s: \"{seg}\" }} }} }}");
    let case = "[[case]]\nname = \"it is a\"\nhook = \"on_personalize\"\nexpect.vars.s = \"a\"\n";
    house.plugin("p", "on_personalize = {}", "", &script("a")).write("p/tests/t.toml", case);
    let plugins = house.open();
    let says = |plugins: &Plugins| {
        plugins.on_personalize(Default::default()).vars["s"].as_str().unwrap().to_owned()
    };
    assert_eq!(says(&plugins), "a");
    house.write("p/main.rhai", &script("b"));
    let reloaded = plugins.reload(None);
    assert_eq!(
        support::faults(&reloaded),
        "\
error[P0601]: its own case `it is a` fails: vars.s is \"b\", not \"a\"
  ┌─ p/tests/t.toml:2:8
 2│ name = \"it is a\"
  │        ^
  = hook on_personalize, plugin p@1.0.0
  = help: mend the case or the script, or use force"
    );
    assert_eq!(says(&plugins), "a");
    let reloaded = plugins.reload(Some(Options { force: true, ..house.options() }));
    assert!(reloaded.refused.is_empty());
    assert_eq!(says(&plugins), "b");
    house.write("p/main.rhai", "fn on_personalize(input) {");
    assert_eq!(plugins.reload(None).refused.len(), 1);
    assert_eq!(says(&plugins), "b");
}
