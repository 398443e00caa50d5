//! The plugins that ship: each is short, has cases and a README, and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use std::sync::Arc;

use maily_plugins::cases;
use maily_plugins::cases::Choice;
use maily_plugins::gathering::Options;
use maily_plugins::kv::MemoryKv;
use maily_plugins::package::Package;
use maily_plugins::set::Plugins;
use maily_plugins::workshop;
use support::Wall;

/// Lines of a script that ships.
const LINES_MAX: usize = 60;

#[test]
fn each_passes_its_cases() {
    let clock = Arc::new(Wall::default());
    let shared = workshop::shared(clock).unwrap();
    let mut wrong = Vec::new();
    let folders = workshop::folders(&support::here().join("../scripts")).unwrap();
    assert!(folders.len() >= 15);
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let package = match Package::read(&folder) {
            Ok(package) => package,
            Err(fault) => {
                wrong.push(fault.to_string());
                continue;
            }
        };
        assert_eq!(package.manifest.name, name);
        assert!(package.main().lines().count() <= LINES_MAX, "{name} is long");
        assert!(package.readme.lines().count() > 2, "{name} has no README");
        let report = cases::run(&shared, &package, Choice::default());
        assert!(report.cases.len() >= 2 || report.refused.is_some(), "{name} has few cases");
        wrong.extend(report.refused.map(|fault| fault.to_string()));
        wrong.extend(report.warnings.iter().map(ToString::to_string));
        for case in report.cases.iter().filter(|case| !case.passed) {
            wrong.push(format!("{name}: {}: {}", case.name, case.problems.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn all_of_them_are_loaded_together() {
    let options =
        Options { folder: Some(support::here().join("../scripts")), ..Options::default() };
    let kv = Arc::new(MemoryKv::default());
    let begin = std::time::Instant::now();
    let (_, reloaded) = Plugins::open(options, kv, Arc::new(Wall::default())).unwrap();
    println!("{} plugins in {:?}", reloaded.plugins.len(), begin.elapsed());
    assert!(reloaded.refused.is_empty(), "{}", support::faults(&reloaded));
}
