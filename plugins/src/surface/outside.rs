//! Host functions that reach out: log, store, other machines, metrics, secrets.

use std::time::Duration;

use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;
use rhai::NativeCallContext;

use crate::fault::Code;
use crate::host::Host;
use crate::host::HostError;
use crate::host::Level;
use crate::host::SecretName;
use crate::host::Told;
use crate::host::not_permitted;
use crate::host::with_host;
use crate::http::HeaderText;
use crate::http::HttpResponse;
use crate::kv::Change;
use crate::limits;
use crate::quantity;
use crate::surface::Builder;
use crate::value;

#[derive(Clone, Copy, Debug)]
pub(super) struct Log;
#[derive(Clone, Copy, Debug)]
pub(super) struct Store;
#[derive(Clone, Copy, Debug)]
pub(super) struct Http;
#[derive(Clone, Copy, Debug)]
pub(super) struct Metrics;
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretNames;

pub(super) fn register(builder: &mut Builder) {
    builder.module.set_custom_type::<Log>("Log");
    builder.module.set_custom_type::<Store>("Kv");
    builder.module.set_custom_type::<Http>("Http");
    builder.module.set_custom_type::<Metrics>("Metrics");
    builder.module.set_custom_type::<SecretNames>("Secrets");
    logging(builder);
    keeping(builder);
    asking(builder);
    counting(builder);
}

fn logging(builder: &mut Builder) {
    let line = |level: Level, name: &'static str| {
        move |context: NativeCallContext<'_>, _log: &mut Log, line: &str| {
            with_host(&context, name, |host| Ok(host.log(level, line)?))
        }
    };
    builder.add(
        "log.info(line: string)",
        "Writes a line to the plugin's log. Needs the permission `log`.",
        line(Level::Info, "log.info"),
    );
    builder.add("log.warn(line: string)", "The same, worth a look.", line(Level::Warn, "log.warn"));
    builder.add(
        "log.debug(line: string)",
        "The same, for whoever writes the plugin.",
        line(Level::Debug, "log.debug"),
    );
}

fn keeping(builder: &mut Builder) {
    builder.add(
        "kv.get(key: string) -> any",
        "A value of the plugin's store, or `()`. Needs the permission `kv`.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str| {
            with_host(&context, "kv.get", |host| stored(host, key))
        },
    );
    builder.add(
        "kv.set(key: string, value: any)",
        "Keeps a value of at most 16 KiB, for as long as the manifest says.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str, value: Dynamic| {
            with_host(&context, "kv.set", |host| keep(host, key, &value, None))
        },
    );
    builder.add(
        "kv.set(key: string, value: any, ttl: string)",
        "Keeps a value for a shorter time, such as `\"1h\"`.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str, value: Dynamic, ttl: &str| {
            with_host(&context, "kv.set", |host| {
                let ttl = quantity::duration(ttl).ok_or_else(|| {
                    HostError::new(Code::Type, format!("`{ttl}` is no time, such as 1h"))
                })?;
                keep(host, key, &value, Some(ttl))
            })
        },
    );
    builder.add(
        "kv.incr(key: string, by: int) -> int",
        "Adds to a number, which begins at 0, and says what it is for this run.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str, by: i64| {
            with_host(&context, "kv.incr", |host| increase(host, key, by))
        },
    );
    builder.add(
        "kv.incr(key: string) -> int",
        "Adds 1.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str| {
            with_host(&context, "kv.incr", |host| increase(host, key, 1))
        },
    );
    builder.add(
        "kv.remove(key: string)",
        "Keeps a value no longer.",
        |context: NativeCallContext<'_>, _kv: &mut Store, key: &str| {
            with_host(&context, "kv.remove", |host| Ok(host.kv_write(key, Change::Remove, None)?))
        },
    );
}

fn stored(host: &mut Host, key: &str) -> Told<Dynamic> {
    let Some(text) = host.kv_get(key)? else { return Ok(Dynamic::UNIT) };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(value::owned(&value, 1))
}

fn keep(host: &mut Host, key: &str, value: &Dynamic, ttl: Option<Duration>) -> Told<()> {
    let json = value::to_json(value, 1)
        .map_err(|error| HostError::new(Code::Type, format!("kv.set: {error}")))?;
    Ok(host.kv_write(key, Change::Set(json.to_string()), ttl)?)
}

fn increase(host: &mut Host, key: &str, by: i64) -> Told<i64> {
    host.kv_write(key, Change::Add(by), None)?;
    let now = host.kv_get(key)?;
    Ok(now.and_then(|text| text.parse().ok()).unwrap_or(by))
}

fn asking(builder: &mut Builder) {
    builder.add(
        "http.get(url: string) -> map",
        "Asks another machine: `#{ status, body, json }`. The status is 0 if there was no answer, \
         and json `()` if the body is none. Needs the permission `http`; not in hot hooks.",
        |context: NativeCallContext<'_>, _http: &mut Http, url: &str| {
            with_host(&context, "http.get", |host| answer(&host.ask("GET", url, Vec::new(), "")?))
        },
    );
    builder.add(
        "http.get(url: string, options: map) -> map",
        "The same, with `headers`.",
        |context: NativeCallContext<'_>, _http: &mut Http, url: &str, options: Map| {
            with_host(&context, "http.get", |host| {
                let (_, headers, body) = request(&options)?;
                answer(&host.ask("GET", url, headers, &body)?)
            })
        },
    );
    builder.add(
        "http.post(url: string, body: any) -> map",
        "Sends a text as it is, and anything else as JSON.",
        |context: NativeCallContext<'_>, _http: &mut Http, url: &str, body: Dynamic| {
            with_host(&context, "http.post", |host| {
                let (headers, body) = content(&body, Vec::new())?;
                answer(&host.ask("POST", url, headers, &body)?)
            })
        },
    );
    builder.add(
        "http.post(url: string, body: any, options: map) -> map",
        "The same, with `headers` and another `method`.",
        |context: NativeCallContext<'_>,
         _http: &mut Http,
         url: &str,
         body: Dynamic,
         options: Map| {
            with_host(&context, "http.post", |host| {
                let (method, headers, _) = request(&options)?;
                let (headers, body) = content(&body, headers)?;
                answer(&host.ask(method.as_deref().unwrap_or("POST"), url, headers, &body)?)
            })
        },
    );
    builder.add(
        "secrets.get(name: string) -> Secret",
        "A secret for a header field; its value is put in when the request is sent.",
        |context: NativeCallContext<'_>, _secrets: &mut SecretNames, name: &str| {
            with_host(&context, "secrets.get", |host| secret(host, name, ""))
        },
    );
    builder.add(
        "secrets.with_prefix(prefix: string, name: string) -> Secret",
        "The same behind a text: `secrets.with_prefix(\"Bearer \", \"api_key\")`.",
        |context: NativeCallContext<'_>, _secrets: &mut SecretNames, prefix: &str, name: &str| {
            with_host(&context, "secrets.with_prefix", |host| secret(host, name, prefix))
        },
    );
}

fn secret(host: &mut Host, name: &str, prefix: &str) -> Told<SecretName> {
    if !host.profile.permissions.secrets.iter().any(|known| known == name) {
        let message = format!("the secret {name}");
        return Err(not_permitted(&message, &format!("secrets = [\"{name}\"]")).into());
    }
    Ok(SecretName { name: name.to_owned(), prefix: prefix.to_owned() })
}

type Headers = Vec<(String, HeaderText)>;

/// The options of a request: its method, header fields and body.
fn request(options: &Map) -> Told<(Option<String>, Headers, String)> {
    let mut headers = Headers::new();
    let mut method = None;
    let mut body = String::new();
    for (key, value) in options {
        match key.as_str() {
            "method" => method = Some(value.to_string()),
            "body" => body = value.to_string(),
            "headers" => {
                let wrong = || HostError::new(Code::Type, "headers are a map of texts");
                let map = value.read_lock::<Map>().ok_or_else(wrong)?;
                for (name, value) in map.iter() {
                    headers.push((name.to_string(), header(value)?));
                }
            }
            other => {
                let message = format!("`{other}` is no option of a request");
                return Err(HostError::new(Code::Type, message).into());
            }
        }
    }
    Ok((method, headers, body))
}

fn header(value: &Dynamic) -> Told<HeaderText> {
    if let Some(secret) = value.read_lock::<SecretName>() {
        let (text, secret) = (secret.prefix.clone(), Some(secret.name.clone()));
        return Ok(HeaderText { text, secret });
    }
    match value.read_lock::<ImmutableString>() {
        Some(text) => Ok(HeaderText { text: text.to_string(), secret: None }),
        None => Err(HostError::new(Code::Type, "a header field is a text or a secret").into()),
    }
}

fn content(body: &Dynamic, mut headers: Headers) -> Told<(Headers, String)> {
    if let Some(text) = body.read_lock::<ImmutableString>() {
        return Ok((headers, text.to_string()));
    }
    let json = value::to_json(body, 1)
        .map_err(|error| HostError::new(Code::Type, format!("http.post: {error}")))?;
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !named {
        let text = "application/json".to_owned();
        headers.push(("Content-Type".to_owned(), HeaderText { text, secret: None }));
    }
    Ok((headers, json.to_string()))
}

fn answer(response: &HttpResponse) -> Told<Map> {
    if response.body.len() > limits::STRING_OCTETS_MAX {
        return Err(HostError::new(Code::Size, "the answer has more than 64 KiB").into());
    }
    let json: serde_json::Value = serde_json::from_str(&response.body).unwrap_or_default();
    let mut map = Map::new();
    map.insert("status".into(), Dynamic::from_int(i64::from(response.status)));
    map.insert("body".into(), Dynamic::from(ImmutableString::from(response.body.as_str())));
    map.insert("json".into(), value::owned(&json, 1));
    Ok(map)
}

fn counting(builder: &mut Builder) {
    builder.add(
        "metrics.count(name: string)",
        "Counts one. Needs the permission `metrics`.",
        |context: NativeCallContext<'_>, _metrics: &mut Metrics, name: &str| {
            with_host(&context, "metrics.count", |host| Ok(host.metric(name, 1.0, true)?))
        },
    );
    builder.add(
        "metrics.count(name: string, by: int)",
        "Counts more.",
        |context: NativeCallContext<'_>, _metrics: &mut Metrics, name: &str, by: i64| {
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            with_host(&context, "metrics.count", |host| Ok(host.metric(name, by as f64, true)?))
        },
    );
    builder.add(
        "metrics.observe(name: string, value: float)",
        "Notes a value, of which count and sum are kept.",
        |context: NativeCallContext<'_>, _metrics: &mut Metrics, name: &str, value: f64| {
            with_host(&context, "metrics.observe", |host| Ok(host.metric(name, value, false)?))
        },
    );
    builder.also(
        "observe",
        |context: NativeCallContext<'_>, _metrics: &mut Metrics, name: &str, value: i64| {
            #[expect(clippy::cast_precision_loss, reason = "as anyone writes 3 for 3.0")]
            with_host(&context, "metrics.observe", |host| {
                Ok(host.metric(name, value as f64, false)?)
            })
        },
    );
}
