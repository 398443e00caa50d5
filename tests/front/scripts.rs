//! Plugins for a test, and a client that hands mail in.

use std::path::PathBuf;
use std::process::Command;

use crate::place::Place;
use crate::support::tools;

/// A folder of plugins.
pub(crate) struct Scripts(tempfile::TempDir);

impl Scripts {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn put(&self, name: &str, manifest: &str, script: &str) -> &Self {
        self.put_version(name, "1.0.0", manifest, script)
    }

    /// A version of a plugin; `promo@next` is another one of `promo`.
    pub(crate) fn put_version(
        &self,
        folder: &str,
        version: &str,
        manifest: &str,
        script: &str,
    ) -> &Self {
        let name = folder.split('@').next().unwrap();
        let folder = self.0.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let head = format!("name = \"{name}\"\nversion = \"{version}\"\napi = \"1\"\n");
        std::fs::write(folder.join("plugin.toml"), head + manifest).unwrap();
        std::fs::write(folder.join("main.rhai"), script).unwrap();
        self
    }

    /// The folder of a plugin.
    pub(crate) fn folder(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// The folder for what they remember.
    pub(crate) fn state(&self) -> PathBuf {
        format!("{}-state", self.0.path().display()).into()
    }

    pub(crate) fn config(&self) -> String {
        format!("[plugins]\nfolder = \"{0}\"\nstate = \"{0}-state\"\n", self.0.path().display())
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(self.state());
    }
}

/// Hands a message in by SMTP; gives what the client printed.
pub(crate) fn swaks(place: &Place, to: &str, subject: &str) -> String {
    swaks_with(place, to, &[&format!("Subject: {subject}")], "x")
}

/// The same with these header fields and this text.
pub(crate) fn swaks_with(place: &Place, to: &str, fields: &[&str], text: &str) -> String {
    let mut command = Command::new(tools::tool("swaks"));
    command.args(["--server", &place.daemon.smtp.to_string(), "--from", "a@shop.example"]);
    command.args(["--to", to, "--body", text]);
    for field in fields {
        command.args(["--header", field]);
    }
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
