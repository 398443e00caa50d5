//! A daemon with its API, its socket for operators, and the commands that go with it.

use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

use crate::support::daemon::Daemon;
use crate::support::process::free;
use crate::support::process::wait_for;
use crate::support::world::World;

/// A daemon that answers HTTP.
pub(crate) struct House {
    /// The API.
    pub(crate) api: SocketAddr,
    /// What runs.
    pub(crate) daemon: Daemon,
    folder: TempDir,
    _world: World,
}

impl House {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with more in its configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::start(folder.path());
        let api = free();
        let at = folder.path().display();
        let more = format!(
            "[registry]\nfolder = \"{at}/registry\"\n\
             [http.api]\nlisten = \"{api}\"\nrequests = \"100000/s\"\n\
             [http.admin]\nlisten = \"{at}/admin.sock\"\n{more}"
        );
        let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), &more);
        let this = Self { api, daemon, folder, _world: world };
        wait_for("the HTTP listeners", || {
            this.socket().exists() && TcpStream::connect(api).is_ok()
        });
        this
    }

    /// The socket for operators.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// The folder of the registry.
    pub(crate) fn registry(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// Runs a command with this daemon's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        command(&self.folder.path().join("maily.toml"), arguments)
    }

    /// What a command that must go well prints.
    pub(crate) fn printed(&self, arguments: &[&str]) -> String {
        printed(&self.command(arguments))
    }

    /// Makes a project.
    pub(crate) fn project(&self, name: &str) {
        assert_eq!(self.printed(&["project", "create", name]), name);
    }

    /// Makes a token.
    pub(crate) fn token(&self, project: &str, role: &str) -> String {
        self.printed(&["token", "create", "--project", project, "--role", role])
    }
}

/// Runs a command.
pub(crate) fn command(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maily"));
    command.args(arguments).arg("--config").arg(config).output().unwrap()
}

/// What a command that must go well prints.
pub(crate) fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}
