//! What differs between two configurations, key by key, and which of it needs a restart.

use crate::compare::Compare;
use crate::config::Config;

pub use crate::compare::Change;

/// All that differs.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    old.compare(new, "", &mut changes);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::RESTART;
    use crate::load::parse;

    fn read(text: &str) -> Config {
        parse(text, "test").unwrap()
    }

    #[test]
    fn what_changed_is_named_with_both_values() {
        let old = read("[retry]\ndelay_min = \"1m\"\n[[source]]\nname = \"a\"\n");
        let new = read(
            "drain_timeout = \"5s\"\n[[source]]\nname = \"b\"\n[[source]]\nname = \"c\"\n\
             [[site]]\nmatch = \"x.example\"\n",
        );
        let told: Vec<_> = changes(&old, &new).iter().map(ToString::to_string).collect();
        let [drain, a, c, site, retry] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!(drain, "drain_timeout: 30s -> 5s");
        assert_eq!(a, "source.0.name: \"a\" -> \"b\"");
        assert!(c.starts_with("source.1: added Source { name: \"c\""), "{c}");
        assert!(site.starts_with("site.0: added Site { match: \"x.example\""), "{site}");
        assert_eq!(retry, "retry.delay_min: 60s -> 300s");
        assert!(changes(&old, &old).is_empty());
        let back: Vec<_> = changes(&new, &old).iter().map(ToString::to_string).collect();
        assert!(back.iter().any(|change| change.starts_with("source.1: removed")), "{back:?}");
    }

    #[test]
    fn what_is_open_needs_a_restart_and_nothing_else_does() {
        let old = read("");
        let new = read(
            "[node]\nid = 3\nhostname = \"a.example\"\n[spool]\nfolder = \"/x\"\n\
             [[listener]]\naddress = \"127.0.0.1:26\"\n[[listener]]\naddress = \"127.0.0.1:27\"\n\
             [log]\nfilter = \"debug\"\nformat = \"json\"\n",
        );
        let all = changes(&old, &new);
        let (restart, live): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.needs_restart());
        let keys = |some: Vec<&Change>| some.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
        let expected =
            ["node.id", "spool.folder", "listener.0.address", "listener.1", "log.format"];
        assert_eq!(keys(restart), expected);
        assert_eq!(keys(live), ["node.hostname", "log.filter"]);
    }

    #[test]
    fn what_is_kept_open_is_what_needs_a_restart() {
        let old = read("");
        let text: Vec<_> = RESTART
            .iter()
            .map(|name| match *name {
                "node.id" => "node.id = 3",
                "listener.*.address" => "listener = [{ address = \"127.0.0.1:26\" }]",
                "dkim_threads" => "dkim_threads = 3",
                "plugins.state" => "plugins.state = \"/s\"",
                "registry.folder" => "registry.folder = \"/z\"",
                "http.public.listen" => "http.public.listen = \"127.0.0.1:2\"",
                "http.public.base_url" => "http.public.base_url = \"https://l.example\"",
                "http.api.listen" => "http.api.listen = \"127.0.0.1:3\"",
                "http.admin.listen" => "http.admin.listen = \"/s\"",
                "bounces.domain" => "bounces.domain = \"b.example\"",
                "ops.listen" => "ops.listen = \"127.0.0.1:1\"",
                "log.format" => "log.format = \"json\"",
                "spool.folder" => "spool.folder = \"/x\"",
                "events.folder" => "events.folder = \"/y\"",
                "spool.segment_size" => "spool.segment_size = \"1MiB\"",
                "events.segment_size" => "events.segment_size = \"1MiB\"",
                "spool.hot_size" => "spool.hot_size = \"1MiB\"",
                other => panic!("give {other} another value here"),
            })
            .collect();
        let mut new = read(&text.join("\n"));
        assert_eq!(changes(&old, &new).len(), RESTART.len());
        new.keep_open(&old);
        assert_eq!(changes(&old, &new), []);
    }

    #[test]
    fn a_listener_is_known_by_its_address() {
        let two = |first: &str, second: &str| {
            read(&format!("[[listener]]\n{first}\n[[listener]]\n{second}\n"))
        };
        let (a, b) = ("address = \"127.0.0.1:26\"", "address = \"127.0.0.1:27\"");
        let from = "proxy_protocol_from = [\"192.0.2.1\"]";
        let mut new = two(&format!("{b}\n{from}"), "address = \"127.0.0.1:28\"");
        new.keep_open(&two(a, b));
        assert_eq!(new.listener, two(a, &format!("{b}\n{from}")).listener);
    }

    #[test]
    fn keys_that_need_a_restart_exist() {
        let known = |name: &str| {
            let (header, key) = name.rsplit_once('.').unwrap_or(("", name));
            let header = header.trim_end_matches(".*");
            crate::config::SECTIONS.iter().any(|section| {
                section.header.trim_matches(['[', ']']) == header
                    && section.keys.iter().any(|each| each.written() == key)
            })
        };
        for name in RESTART {
            assert!(known(name), "{name}");
        }
    }

    #[test]
    fn no_change_shows_a_secret() {
        let user = |hash: &str| {
            read(&format!(
                "[[user]]\nname = \"a\"\npassword_hash = \"$argon2id$v=19$m=1$s${hash}\""
            ))
        };
        let told = format!("{:?}", changes(&user("canary1"), &user("canary2")));
        assert!(told.contains("user.0.password_hash"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}
