//! What opens nothing: tokens that are cut, altered, over, revoked, or of another project.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::web::ask;
use crate::world::House;

/// One that asks who it is, and what it is answered.
fn whoami(house: &House, token: &str) -> u16 {
    ask("GET", "/v1/whoami").token(token).to(house.api).status
}

#[test]
fn a_token_that_is_cut_or_altered_opens_nothing() {
    let house = House::start();
    house.project("a");
    let token = house.token("a", "admin");
    for length in 0..token.len() {
        // The right one in between: so the row is broken, and nobody waits.
        assert_eq!(whoami(&house, &token[..length]), 401, "{length}");
        assert_eq!(whoami(&house, &token), 200);
        let other = if &token[length..=length] == "A" { "B" } else { "A" };
        let altered = format!("{}{other}{}", &token[..length], &token[length + 1..]);
        assert_eq!(whoami(&house, &altered), 401, "{altered}");
    }
    let log = house.daemon.log();
    assert!(!log.contains(&token) && !log.contains("mk_live_"), "a token stands in the log");
}

#[test]
fn a_token_ends_by_its_time_or_by_command_and_keeps_to_its_project() {
    let house = House::start();
    house.project("a");
    house.project("b");
    let (a, b) = (house.token("a", "admin"), house.token("b", "admin"));
    let create = ["token", "create", "--project", "a", "--role", "viewer", "--expires", "1s"];
    let brief = house.printed(&create);
    assert!(house.printed(&["token", "list", "--project", "a"]).contains(&brief[8..19]));
    crate::support::process::wait_for("the end of a token", || whoami(&house, &brief) == 401);
    let words = json!({ "subject": "s", "text": "t" });
    let put = ask("PUT", "/v1/templates/hi").json(&words);
    assert_eq!(put.token(&a).to(house.api).status, 201);
    let get = ask("GET", "/v1/templates/hi");
    assert_eq!(get.clone().token(&b).to(house.api).status, 404);
    let named = get.clone().field("Maily-Project", "a");
    assert_eq!(named.token(&b).to(house.api).status, 403);
    house.printed(&["token", "revoke", &a[8..19]]);
    assert_eq!(get.token(&a).to(house.api).status, 401);
}

#[test]
fn a_jwt_of_another_algorithm_opens_nothing_and_ends_with_its_token() {
    let house = House::start();
    house.project("a");
    let token = house.token("a", "admin");
    let made = ask("POST", "/v1/auth/jwt").json(&json!({})).token(&token).to(house.api);
    assert_eq!(made.status, 201, "{}", made.body);
    let jwt = made.body["token"].as_str().unwrap();
    assert_eq!(whoami(&house, jwt), 200);
    let [head, claims, signature] = jwt.split('.').collect::<Vec<_>>().try_into().unwrap();
    let head = String::from_utf8(URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    for algorithm in ["none", "HS256", "RS256"] {
        let forged = URL_SAFE_NO_PAD.encode(head.replace("EdDSA", algorithm));
        assert_eq!(whoami(&house, &format!("{forged}.{claims}.{signature}")), 401);
        assert_eq!(whoami(&house, &format!("{forged}.{claims}.")), 401);
    }
    house.printed(&["token", "revoke", &token[8..19]]);
    assert_eq!(whoami(&house, jwt), 401);
}
