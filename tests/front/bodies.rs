//! What is too large, too deep, encoded or no text of one line is refused, and the daemon goes on.

use serde_json::json;

use crate::web::ask;
use crate::web::say;
use crate::world::House;

#[test]
fn what_is_too_much_is_refused_and_costs_no_memory() {
    let house = House::start();
    house.project("a");
    let token = house.token("a", "admin");
    let post = |kind: &str, body: &[u8]| {
        ask("POST", "/v1/tokens").token(&token).text(kind, body).to(house.api)
    };
    let (kind, ten) = ("application/json", vec![b' '; 10 << 20]);
    assert_eq!(post(kind, &ten).status, 413);
    let template = ask("PUT", "/v1/templates/x").token(&token).text(kind, &ten);
    assert_eq!(template.to(house.api).status, 413);
    // Without a length: it is cut off where it grows too large.
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let long = format!("{head}{chunk}1\r\n \r\n0\r\n\r\n");
    assert_eq!(say(house.api, long.as_bytes()).status, 413);
    let deep = format!("{{\"role\":{}{}}}", "[".repeat(60_000), "]".repeat(60_000));
    assert!([400, 413, 422].contains(&post(kind, deep.as_bytes()).status));
    let deep = format!("{{\"label\":{}", "{\"a\":".repeat(10_000));
    assert!([400, 422].contains(&post(kind, deep.as_bytes()).status));
    let bomb = ask("POST", "/v1/tokens").token(&token).field("Content-Encoding", "gzip");
    let bomb = bomb.text(kind, b"\x1f\x8b\x08\0\0\0\0\0\0\x03").to(house.api);
    assert_eq!((bomb.status, &bomb.body["type"]), (415, &json!("urn:maily:problem:encoded")));
    assert_eq!(post("text/plain", b"{}").status, 415);
    assert_eq!(post(kind, b"{\"role\":\"viewer\"}").status, 201);
}

#[test]
fn a_line_break_is_refused_in_every_text_of_one_line() {
    let house = House::start();
    house.project("a");
    let token = house.token("a", "admin");
    for control in ["\r\n", "\n", "\r", "\0", "\u{85}"] {
        let text = format!("x{control}Bcc: y@z.example");
        for (method, path, body) in [
            ("PUT", "/v1/templates/x", json!({ "subject": text, "text": "t" })),
            ("POST", "/v1/tokens", json!({ "role": "viewer", "label": text })),
        ] {
            let answer = ask(method, path).token(&token).json(&body).to(house.api);
            assert_eq!(answer.status, 422, "{path} {control:?} {}", answer.body);
        }
        for (path, body) in [
            ("/v1/projects", json!({ "name": text })),
            ("/v1/projects", json!({ "name": "n", "description": text })),
        ] {
            let answer = ask("POST", path).json(&body).to_socket(&house.socket());
            assert_eq!(answer.status, 422, "{path} {control:?} {}", answer.body);
        }
    }
    let path = "/v1/templates/x%0d%0aSet-Cookie:%20a=b";
    let answer = ask("GET", path).token(&token).to(house.api);
    assert_eq!(answer.status, 404);
    assert!(!answer.head.contains("Set-Cookie"), "{}", answer.head);
}
