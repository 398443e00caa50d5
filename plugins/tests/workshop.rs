//! What whoever writes plugins gets: a beginning that passes, documents, places of limits.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use maily_plugins::cases;
use maily_plugins::cases::Choice;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::workshop;
use support::House;

#[test]
fn a_beginning_passes_its_case_for_every_hook() {
    let house = House::new();
    let shared = workshop::shared(house.clock.clone()).unwrap();
    for hook in Hook::all() {
        let name = format!("p-{}", hook.name().replace('_', "-"));
        let folder = workshop::begin(house.folder.path(), &name, hook).unwrap();
        let package = Package::read(&folder).unwrap();
        let report = cases::run(&shared, &package, Choice::default());
        assert!(report.refused.is_none(), "{:?}", report.refused);
        assert_eq!((report.passed(), report.failed()), (1, 0), "{hook} {report:?}");
        let tried = workshop::try_all(&shared, &folder);
        assert!(tried.iter().all(|tried| tried.fault.is_none()), "{tried:?}");
        assert!(workshop::document(&package).contains(hook.name()));
    }
    assert!(workshop::begin(house.folder.path(), "p-on-accept", Hook::OnAccept).is_err());
}

#[test]
fn tracing_finds_the_line_of_a_limit() {
    let house = House::new();
    let script = "fn grow() {\n  let s = \"ab\";\n  loop {\n    s += s;\n  }\n}\n\
                  fn on_personalize(input) {\n  grow()\n}\n";
    let case =
        "[[case]]\nname = \"it grows\"\nhook = \"on_personalize\"\nexpect.error = \"P0403\"\n";
    house.plugin("p", "on_personalize = {}", "", script).write("p/tests/t.toml", case);
    let shared = workshop::shared(house.clock.clone()).unwrap();
    let package = Package::read(&house.folder.path().join("p")).unwrap();
    let line = |trace| {
        let report = cases::run(&shared, &package, Choice { filter: "", trace });
        assert_eq!(report.failed(), 0, "{report:?}");
        report.cases[0].fault.clone().unwrap().place.unwrap().line
    };
    assert_eq!(line(false), 7);
    assert_eq!(line(true), 4);
}

#[test]
fn sarif_names_file_and_line() {
    let house = House::new();
    house.plugin("p", "on_personalize = {}", "", "fn on_personalize(input) {\n  let x = ;\n}");
    let shared = workshop::shared(house.clock.clone()).unwrap();
    let folder = house.folder.path().join("p");
    let tried = workshop::try_all(&shared, &folder);
    let fault = tried[0].fault.as_deref().unwrap();
    let sarif = workshop::sarif(&[(&folder, fault)]);
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 2);
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("p/main.rhai"));
}
