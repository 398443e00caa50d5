//! The commands beside the interface: with a daemon and without one, and the audit log.

use crate::support::process::wait_for;
use crate::web::ask;
use crate::world::House;
use crate::world::command;
use crate::world::printed;

#[test]
fn commands_work_without_a_daemon_and_what_they_made_holds_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("maily.toml");
    let at = folder.path().display();
    std::fs::write(&config, format!("[registry]\nfolder = \"{at}/registry\"\n")).unwrap();
    assert_eq!(printed(&command(&config, &["project", "create", "shop"])), "shop");
    let again = command(&config, &["project", "create", "shop"]);
    assert_eq!(again.status.code(), Some(65));
    let create = ["token", "create", "--project", "shop", "--role", "api"];
    let token = printed(&command(&config, &create));
    let wrong = command(&config, &["token", "create", "--project", "shop", "--role", "king"]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(said.contains("--role") && said.contains("king"), "{said}");
    assert_eq!(printed(&command(&config, &["project", "list"])), "shop");
    let head = printed(&command(&config, &["audit", "verify"]));
    assert!(head.starts_with("3:"), "refused ones are written down, too: {head}");
    let listed = printed(&command(&config, &["token", "list"]));
    assert!(listed.starts_with(&token[8..19]), "{listed}");
    assert_eq!(printed(&command(&config, &["audit", "verify", "--known", &head])), head);
}

#[test]
fn a_flipped_octet_in_the_audit_log_is_named_beside_a_running_daemon() {
    let house = House::start();
    for name in ["a", "b", "c", "d"] {
        house.project(name);
    }
    let head = house.printed(&["audit", "verify"]);
    assert!(head.starts_with("4:"), "{head}");
    let segment = house.registry().join("audit/0000000000000001.seg");
    let mut octets = std::fs::read(&segment).unwrap();
    let third = octets.windows(14).position(|window| window == b"/v1/projects/c").unwrap();
    octets[third + 13] = b'x';
    std::fs::write(&segment, &octets).unwrap();
    let broken = house.command(&["audit", "verify"]);
    assert_eq!(broken.status.code(), Some(65));
    let said = String::from_utf8_lossy(&broken.stdout).into_owned();
    assert!(said.starts_with("broken at entry 3:"), "{said}");
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let mut house = House::start();
    let mode = std::fs::metadata(house.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let folder = std::fs::metadata(house.registry()).unwrap().permissions().mode();
    assert_eq!(folder & 0o777, 0o700);
    let who = ask("GET", "/v1/whoami").to_socket(&house.socket());
    assert_eq!((who.status, &who.body["role"]), (200, &serde_json::json!("owner")));
    house.daemon.signal("TERM");
    assert!(house.daemon.ended().success());
    assert!(!house.socket().exists());
}

#[test]
fn a_new_limit_holds_after_a_hang_up_and_requests_are_counted() {
    let house = House::start();
    house.project("a");
    let token = house.token("a", "viewer");
    let asked = || ask("GET", "/v1/whoami").token(&token).to(house.api);
    assert!(asked().head.contains("q=100000;w=1"), "{}", asked().head);
    house.daemon.write("20.toml", "[http.api]\nrequests = \"5/m\"\n");
    house.daemon.hang_up("the configuration was read again", 1);
    assert!(asked().head.contains("q=5;w=60"), "{}", asked().head);
    wait_for("the limit", || asked().status == 429);
    let metrics = house.daemon.ask("/metrics").1;
    let line = "maily_http_requests_total{route=\"GET /v1/whoami\",status=\"4xx\"}";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn a_listener_with_a_certificate_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let any = crate::support::process::free();
    let ca = crate::support::daemon::certificate(folder.path(), "api.example", any);
    let (at, address) = (folder.path().display(), crate::support::process::free());
    let _house = House::start_with(&format!(
        "[http.public]\nlisten = \"{address}\"\n\
         certificate = \"{at}/cert.pem\"\nkey = \"{at}/key.pem\"\n"
    ));
    let script = "import sys, ssl, http.client\n\
        host, port = sys.argv[1].split(':')\n\
        trust = ssl.create_default_context(cafile=sys.argv[2])\n\
        web = http.client.HTTPSConnection(host, int(port), context=trust)\n\
        web.request('GET', '/nothing')\n\
        answer = web.getresponse()\n\
        print(answer.status, answer.getheader('content-type'))\n";
    let mut python = std::process::Command::new("python3");
    let output =
        python.args(["-c", script, &address.to_string(), ca.to_str().unwrap()]).output().unwrap();
    assert_eq!(printed(&output), "404 text/html; charset=utf-8");
}
