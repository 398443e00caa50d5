//! The unit file: systemd reads it without complaint and finds it well closed.

use std::path::Path;
use std::process::Command;

use crate::support::process::run;
use crate::support::tools::root;
use crate::support::tools::tool;

/// OPERATIONS asks for less than 2.0 of 10.
const EXPOSURE_MAX: &str = "20";

/// The unit with this program in place of the one that is not installed here.
fn unit(folder: &Path) -> String {
    let text = std::fs::read_to_string(root().join("config/maily.service")).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/maily serve\n"), "{text}");
    let path = folder.join("maily.service");
    let text = text.replace("/usr/bin/maily", env!("CARGO_BIN_EXE_maily"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn systemd_reads_it_without_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(folder.path());
    let output = run(Command::new(tool("systemd-analyze")).args(["verify", "--man=no", &unit]));
    let said = String::from_utf8(output.stderr).unwrap();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("maily")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn it_is_well_closed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(folder.path());
    run(Command::new(tool("systemd-analyze")).args([
        "security",
        "--offline=yes",
        "--no-pager",
        "--threshold",
        EXPOSURE_MAX,
        &unit,
    ]));
}
