//! What scripts can do with what the host shows them.

use rhai::Array;
use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;
use rhai::Module;

use crate::fault::Code;
use crate::host::HostError;
use crate::host::SecretName;
use crate::host::Told;
use crate::surface::Builder;
use crate::value::NotShown;
use crate::value::View;

pub(super) fn register(builder: &mut Builder) {
    builder.module.set_custom_type::<View>("View");
    builder.module.set_custom_type::<SecretName>("Secret");
    builder.module.set_custom_type::<HostError>("Error");
    builder.module.set_indexer_get_fn(|view: &mut View, key: &str| read(view, key));
    builder.add(
        "view.get(key: string) -> any",
        "A field, or `()` if there is none.",
        |view: &mut View, key: &str| -> Told<Dynamic> {
            match view.get(key) {
                Err(NotShown::Missing(_)) => Ok(Dynamic::UNIT),
                other => other.map_err(|why| not_shown(key, why).into()),
            }
        },
    );
    builder.add(
        "view.contains(key: string) -> bool",
        "Whether there is such a field; also `key in view`.",
        |view: &mut View, key: &str| view.has(key),
    );
    builder.add("view.keys() -> array", "The names of all fields, in order.", |view: &mut View| {
        view.keys().map(|key| Dynamic::from(key.clone())).collect::<Array>()
    });
    builder.add("view.to_map() -> map", "A copy that can be changed.", |view: &mut View| -> Map {
        view.to_map()
    });
    builder.add("view.len() -> int", "How many fields there are.", |view: &mut View| -> i64 {
        i64::try_from(view.keys().count()).unwrap_or(i64::MAX)
    });
    for name in ["to_string", "to_debug"] {
        builder.also(name, |view: &mut View| ImmutableString::from(format!("[{}]", view.name())));
        builder.also(name, |secret: &mut SecretName| {
            ImmutableString::from(format!("[secret {}]", secret.name))
        });
        builder.also(name, |error: &mut HostError| ImmutableString::from(error.message.as_str()));
    }
    builder.also("==", |view: &mut View, (): ()| {
        let _shown = view;
        false
    });
    builder.also("!=", |view: &mut View, (): ()| {
        let _shown = view;
        true
    });
}

/// Direct access to the fields that a script names, so that none of them is looked for in vain.
pub(crate) fn getters<'a>(module: &mut Module, names: impl Iterator<Item = &'a str>) {
    for name in names {
        let key = ImmutableString::from(name);
        module.set_getter_fn(name, move |view: &mut View| read(view, &key));
    }
}

fn read(view: &View, key: &str) -> Told<Dynamic> {
    view.get(key).map_err(|why| not_shown(key, why).into())
}

fn not_shown(key: &str, why: NotShown) -> HostError {
    match why {
        NotShown::Missing(name) => {
            HostError::new(Code::MissingProperty, format!("no property `{key}` on `{name}`"))
        }
        NotShown::Hidden(path) => {
            let field = path.strip_prefix("contact.").unwrap_or(&path);
            HostError::new(Code::NotPermitted, format!("{path} is not among the contact_fields"))
                .with_help(format!("add `{field}` to contact_fields in plugin.toml, with its path"))
        }
    }
}
