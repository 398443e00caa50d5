//! schemathesis holds the daemon against its own description: `make api-check` lets it try more.

use std::process::Command;

use maily_http::routes::ROUTES;

use crate::support::process::run;
use crate::support::tools::python;
use crate::support::tools::root;
use crate::world::House;

/// Requests of each kind for each route, unless MAILY_API_EXAMPLES says otherwise.
const EXAMPLES: &str = "10";
/// Routes that are no operations: the description itself, and the page that shows it.
const UNDESCRIBED: usize = 2;
/// They never end, so nobody can wait for their answers: `following`, `live` and `steering` have
/// them.
const ENDLESS: &[&str] = &[
    "/v1/events/stream",
    "/v1/sessions/{session}/transcript/stream",
    "/v1/overview/stream",
    "/v1/views/{view}/stream",
];

#[test]
fn the_daemon_is_as_it_is_described() {
    let house = House::start();
    house.project("a");
    let token = house.printed(&["token", "create", "--role", "owner"]);
    let examples = std::env::var("MAILY_API_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("600").arg(python().with_file_name("schemathesis"));
    command.arg("--config-file").arg(root().join("tests/front/schemathesis.toml"));
    command.arg("run").arg(format!("http://{}/openapi.json", house.api));
    command.arg("--header").arg(format!("Authorization: Bearer {token}"));
    command.args(["--header", "Maily-Project: a"]);
    command.args(["--max-examples", &examples, "--seed", "1", "--continue-on-failure"]);
    command.args(["--no-color", "--request-timeout", "20"]);
    command.args(ENDLESS.iter().flat_map(|path| ["--exclude-path", path]));
    // It writes what it remembers into the folder that it is in.
    let output = run(command.current_dir(folder.path()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let described = ROUTES.len() - UNDESCRIBED - ENDLESS.len();
    assert!(said.contains(&format!("Tested: {described}")), "{said}");
    assert!(!house.daemon.log().contains(" ERROR "), "{}", house.daemon.log());
}
