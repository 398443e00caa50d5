//! Where the programs of others are. A missing one is installed; if it stays missing, we fail.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Python that has the packages of `tests/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    let venv = root().join("target/venv");
    let current = || {
        let wanted = std::fs::read(root().join("tests/requirements.txt")).unwrap();
        std::fs::read(venv.join("installed.txt")).is_ok_and(|installed| installed == wanted)
    };
    if !current() {
        install();
    }
    assert!(current(), "target/venv does not hold what tests/requirements.txt asks for");
    venv.join("bin/python")
}

/// The folder that has the packages of `tests/package.json`.
pub(crate) fn node_modules() -> PathBuf {
    let node = root().join("target/node");
    let current = || {
        let wanted = std::fs::read(root().join("tests/package-lock.json")).unwrap();
        std::fs::read(node.join("installed.json")).is_ok_and(|installed| installed == wanted)
    };
    if !current() {
        install();
    }
    assert!(current(), "target/node does not hold what tests/package-lock.json asks for");
    node.join("node_modules")
}

/// A program by its name.
pub(crate) fn tool(name: &str) -> PathBuf {
    if let Some(path) = look(name) {
        return path;
    }
    install();
    look(name).unwrap_or_else(|| panic!("there is no {name}: is its package in packages.txt?"))
}

fn look(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders.map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn install() {
    let status = Command::new(root().join("tests/install.sh")).status().unwrap();
    assert!(status.success(), "tests/install.sh failed: {status}");
}
