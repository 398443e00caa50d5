//! The names that stand for the host in scripts: `log`, `kv` and the others.

use rhai::Dynamic;

use crate::surface::Builder;
use crate::surface::outside;
use crate::surface::tools;

pub(super) fn register(builder: &mut Builder) {
    let objects: [(&str, Dynamic); 11] = [
        ("log", Dynamic::from(outside::Log)),
        ("kv", Dynamic::from(outside::Store)),
        ("http", Dynamic::from(outside::Http)),
        ("metrics", Dynamic::from(outside::Metrics)),
        ("secrets", Dynamic::from(outside::SecretNames)),
        ("text", Dynamic::from(tools::Text)),
        ("time", Dynamic::from(tools::Time)),
        ("hash", Dynamic::from(tools::Hash)),
        ("address", Dynamic::from(tools::Address)),
        ("html", Dynamic::from(tools::Html)),
        ("list", Dynamic::from(tools::Lists)),
    ];
    for (name, object) in objects {
        builder.module.set_var(name, object);
    }
}
