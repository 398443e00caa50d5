//! Host functions that only work out something: texts, time, hashes, addresses, HTML, tables.

use maily_core::clock::Timestamp;
use rhai::Dynamic;
use rhai::ImmutableString;
use rhai::Map;
use rhai::NativeCallContext;

use crate::fault::Code;
use crate::hashing;
use crate::host::HostError;
use crate::host::Told;
use crate::host::with_host;
use crate::limits;
use crate::surface::Builder;

#[derive(Clone, Copy, Debug)]
pub(super) struct Text;
#[derive(Clone, Copy, Debug)]
pub(super) struct Time;
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash;
#[derive(Clone, Copy, Debug)]
pub(super) struct Address;
#[derive(Clone, Copy, Debug)]
pub(super) struct Html;
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists;

pub(super) fn register(builder: &mut Builder) {
    builder.module.set_custom_type::<Text>("Text");
    builder.module.set_custom_type::<Time>("Time");
    builder.module.set_custom_type::<Hash>("Hash");
    builder.module.set_custom_type::<Address>("Address");
    builder.module.set_custom_type::<Html>("Html");
    builder.module.set_custom_type::<Lists>("List");
    texts(builder);
    times(builder);
    chances(builder);
    mails(builder);
}

fn texts(builder: &mut Builder) {
    builder.add(
        "text.title(line: string) -> string",
        "Each word with a capital letter: `ann lee` is `Ann Lee`.",
        |_text: &mut Text, line: &str| ImmutableString::from(title(line)),
    );
    builder.add(
        "text.trim(line: string) -> string",
        "Without white space around it.",
        |_text: &mut Text, line: &str| ImmutableString::from(line.trim()),
    );
    builder.add(
        "text.cut(line: string, characters: int) -> string",
        "At most so many characters, the last of which is … if some are missing.",
        |_text: &mut Text, line: &str, most: i64| ImmutableString::from(cut(line, most)),
    );
    builder.add(
        "text.join(parts: array, between: string) -> string",
        "The texts of an array, one behind the other.",
        |_text: &mut Text, parts: rhai::Array, between: &str| join(&parts, between),
    );
    builder.add(
        "text.slug(line: string) -> string",
        "Only small letters, digits and dashes.",
        |_text: &mut Text, line: &str| ImmutableString::from(slug(line)),
    );
    builder.add(
        "html.escape(line: string) -> string",
        "With `&`, `<`, `>` and quotes written as references.",
        |_html: &mut Html, line: &str| ImmutableString::from(escaped(line)),
    );
    builder.add(
        "list.has(table: string, key: string) -> bool",
        "Whether a table of data/ has a row.",
        |context: NativeCallContext<'_>, _list: &mut Lists, table: &str, key: &str| {
            with_host(&context, "list.has", |host| Ok(host.table_has(table, key)?))
        },
    );
}

fn title(line: &str) -> String {
    let mut begins = true;
    let mut titled = String::with_capacity(line.len());
    for c in line.chars() {
        if begins {
            titled.extend(c.to_uppercase());
        } else {
            titled.extend(c.to_lowercase());
        }
        begins = !(c.is_alphanumeric() || c == '\'' || c == '’');
    }
    titled
}

fn cut(line: &str, most: i64) -> String {
    let most = usize::try_from(most).unwrap_or(0);
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn join(parts: &[Dynamic], between: &str) -> Told<ImmutableString> {
    let mut joined = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            joined.push_str(between);
        }
        match part.read_lock::<ImmutableString>() {
            Some(text) => joined.push_str(&text),
            None => joined.push_str(&part.to_string()),
        }
        if joined.len() > limits::STRING_OCTETS_MAX {
            return Err(HostError::new(Code::Size, "the joined text has more than 64 KiB").into());
        }
    }
    Ok(joined.into())
}

fn slug(line: &str) -> String {
    let mut slug = String::new();
    for c in line.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn times(builder: &mut Builder) {
    builder.add(
        "time.now() -> int",
        "Seconds since 1970, the same during one call. Not in pure hooks.",
        |context: NativeCallContext<'_>, _time: &mut Time| {
            with_host(&context, "time.now", |host| {
                host.impure("clock")?;
                Ok(i64::try_from(host.now.as_secs()).unwrap_or(i64::MAX))
            })
        },
    );
    builder.add(
        "time.parts(seconds: int) -> map",
        "The time in UTC: `#{ year, month, day, hour, minute, second, weekday }`; Sunday is 0.",
        |_time: &mut Time, seconds: i64| parts(seconds),
    );
    builder.add(
        "time.iso(seconds: int) -> string",
        "The time as `2026-11-22T12:00:00Z`.",
        |_time: &mut Time, seconds: i64| {
            let utc = Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0)).to_string();
            let whole = utc.split('.').next().unwrap_or_default();
            ImmutableString::from(format!("{whole}Z"))
        },
    );
}

fn parts(seconds: i64) -> Map {
    let utc = Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0)).to_utc();
    let mut map = Map::new();
    for (name, value) in [
        ("year", utc.year),
        ("month", i64::from(utc.month)),
        ("day", i64::from(utc.day)),
        ("hour", i64::from(utc.hour)),
        ("minute", i64::from(utc.minute)),
        ("second", i64::from(utc.second)),
        ("weekday", i64::from(utc.weekday)),
    ] {
        map.insert(name.into(), Dynamic::from_int(value));
    }
    map
}

fn chances(builder: &mut Builder) {
    builder.add(
        "hash.bucket(key: string, buckets: int) -> int",
        "0 up to one less than the buckets, always the same for a key.",
        |_hash: &mut Hash, key: &str, buckets: i64| -> Told<i64> {
            match u64::try_from(buckets) {
                Ok(buckets) if buckets > 0 => {
                    Ok(i64::try_from(hashing::bucket(key, buckets)).unwrap_or(0))
                }
                _ => Err(HostError::new(Code::Type, "there is at least one bucket").into()),
            }
        },
    );
    builder.add(
        "hash.of(key: string) -> string",
        "16 hexadecimal digits, always the same for a key. No secret is kept by it.",
        |_hash: &mut Hash, key: &str| ImmutableString::from(format!("{:016x}", hashing::hash(key))),
    );
    builder.add(
        "rand(seed: string) -> float",
        "0 up to less than 1, always the same for a text, such as an address.",
        |seed: &str| hashing::fraction(seed),
    );
}

fn mails(builder: &mut Builder) {
    builder.add(
        "address.parse(address: string) -> map",
        "`#{ local, domain, tld }`, the domain in small letters; `()` if it is no address.",
        |_address: &mut Address, address: &str| parse(address),
    );
}

fn parse(address: &str) -> Dynamic {
    let inner = address.trim().trim_start_matches('<').trim_end_matches('>');
    let Some((local, domain)) = inner.rsplit_once('@') else { return Dynamic::UNIT };
    let domain = domain.to_lowercase();
    let label = |label: &str| !label.is_empty() && !label.contains(char::is_whitespace);
    if local.is_empty() || inner.chars().any(char::is_control) || !domain.split('.').all(label) {
        return Dynamic::UNIT;
    }
    let string = |text: &str| Dynamic::from(ImmutableString::from(text));
    let mut map = Map::new();
    map.insert("local".into(), string(local));
    map.insert("tld".into(), string(domain.rsplit('.').next().unwrap_or_default()));
    map.insert("domain".into(), string(&domain));
    Dynamic::from_map(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_worked_out() {
        assert_eq!(title("aNN o'neil-lee"), "Ann O'neil-Lee");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(slug(" Spring Sale: 50% off! "), "spring-sale-50-off");
        assert_eq!(escaped("<a href='x'>&"), "&lt;a href=&#39;x&#39;&gt;&amp;");
        assert!(parse("nobody").is_unit());
        assert_eq!(parse("<Ann@X.Test>").cast::<Map>()["domain"].to_string(), "x.test");
    }
}
