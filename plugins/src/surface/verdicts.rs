//! The answers of `on_accept`, as functions that make maps of them.

use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;

use crate::surface::Builder;

pub(super) fn register(builder: &mut Builder) {
    builder.add(
        "accept() -> map",
        "on_accept: the message is taken. Add `headers` to the map to change header fields.",
        || verdict("accept", None, ""),
    );
    builder.add(
        "reject(status: string, text: string) -> map",
        "on_accept: 550 with an enhanced status such as `5.7.1`, and a text for the sender.",
        |status: &str, text: &str| verdict("reject", Some(status), text),
    );
    builder.add("reject(text: string) -> map", "on_accept: the same with 5.7.1.", |text: &str| {
        verdict("reject", Some("5.7.1"), text)
    });
    builder.add(
        "defer(status: string, text: string) -> map",
        "on_accept: 450 with an enhanced status such as `4.7.1`: the sender tries again.",
        |status: &str, text: &str| verdict("defer", Some(status), text),
    );
    builder.add("defer(text: string) -> map", "on_accept: the same with 4.7.1.", |text: &str| {
        verdict("defer", Some("4.7.1"), text)
    });
    builder.add(
        "hold(why: string) -> map",
        "on_accept: the message is taken and waits for somebody.",
        |why: &str| verdict("hold", None, why),
    );
    builder.add(
        "discard(why: string) -> map",
        "on_accept: 250, and the message is thrown away.",
        |why: &str| verdict("discard", None, why),
    );
}

fn verdict(what: &str, status: Option<&str>, text: &str) -> Map {
    let string = |text: &str| Dynamic::from(ImmutableString::from(text));
    let mut map = Map::new();
    map.insert("verdict".into(), string(what));
    if let Some(status) = status {
        map.insert("status".into(), string(status));
    }
    if !text.is_empty() {
        map.insert("text".into(), string(text));
    }
    map
}
