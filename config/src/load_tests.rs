//! The errors of the configuration, each as the operator sees it.

use super::*;
use crate::lines::LimitLines;
use crate::value::Rate;
use crate::value::Secret;

/// The one error text of a configuration.
fn check(text: &str, expected: &str) {
    let errors = parse(text, "maily.toml").expect_err(text);
    let lines: Vec<&str> = expected.lines().map(|line| line.trim_start_matches("    ")).collect();
    assert_eq!(errors.to_string(), lines.join("\n"), "\n{errors}");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    check(
        "[retry]\ndelay_mni = \"5m\"\n",
        "maily.toml:2:1: unknown key `delay_mni`; did you mean `delay_min`?
 2 | delay_mni = …
   | ^^^^^^^^^",
    );
    check(
        "[ops]\ncolour = 5\n",
        "maily.toml:2:1: unknown key `colour`; known are listen
 2 | colour = …
   | ^^^^^^",
    );
    check(
        "[retri]\n",
        "maily.toml:1:2: unknown key `retri`; did you mean `retry`?
 1 | [retri]
   |  ^^^^^",
    );
}

#[test]
fn an_unknown_value_is_told_with_the_nearest_one() {
    check(
        "[egress]\n  tls = \"requir\"\n",
        "maily.toml:2:9: unknown value `requir`; did you mean `require`?
 2 |   tls = \"requir\"
   |         ^^^^^^^^",
    );
}

#[test]
fn a_value_of_the_wrong_form_is_told_with_a_right_one() {
    check(
        "[retry]\ndelay_min = \"5 minutes\"\n",
        "maily.toml:2:13: `5 minutes` is not a time: write a whole number and ms, s, m, h or d, \
         such as \"30s\"
 2 | delay_min = \"5 minutes\"
   |             ^^^^^^^^^^^",
    );
    check(
        "[smtp]\nmessage_size = \"50MB\"\n",
        "maily.toml:2:16: `50MB` is not a size: write a whole number and B, KiB, MiB, GiB or TiB, \
         such as \"10MiB\"
 2 | message_size = \"50MB\"
   |                ^^^^^^",
    );
    check(
        "[limits]\nmessage_rate = \"fast\"\n",
        "maily.toml:2:16: `fast` is not a rate: write a number above 0 and /s, /m, /h or /d, \
         such as \"100/s\"
 2 | message_rate = \"fast\"
   |                ^^^^^^",
    );
    check(
        "[egress]\nallow_networks = [\"10.0.0.0/40\"]\n",
        "maily.toml:2:18: `10.0.0.0/40` is not a network: write one such as \"192.0.2.0/24\" or \
         \"::1\"
 2 | allow_networks = [\"10.0.0.0/40\"]
   |                  ^^^^^^^^^^^^^^^",
    );
}

#[test]
fn a_missing_key_is_named() {
    check(
        "[[route]]\nhost = \"a\"\n",
        "maily.toml:1:1: the key `domain` is missing here
 1 | [[route]]
   | ^^^^^^^^^",
    );
    check(
        "[[route]]\ndomain = \"*\"\nhost = []\n",
        "maily.toml:3:8: a [[route]] needs a host, or tls
 3 | host = []
   |        ^^",
    );
}

#[test]
fn a_secret_that_is_written_out_is_refused_and_not_repeated() {
    let texts = [
        "[[route]]\ndomain = \"*\"\nhost = \"a\"\npassword = \"hunter2\"\n",
        "[[route]]\ndomain = \"*\"\nhost = \"a\"\npasword = \"hunter2\"\n",
        "[[route]]\ndomain = \"*\"\nhost = \"a\"\npassword = \"hunter2\n",
        "[[route]]\ndomain = \"*\"\nhost = \"a\"\npassword = { text = \"hunter2\" }\n",
        "[[user]]\nname = \"a\"\npassword_hash = \"hunter2\"\n",
        "[[user]]\nname = \"a\"\npassword = [\"hunter2\"]\n",
        "[[route]]\ndomain = \"*\"\nhost = \"a\"\n[route.password]\ntext = \"hunter2\"\n",
        "[[route]]\npassword = \"\"\"\nhunter2\"\"\"\n",
        "user = [{ name = \"a\", password = \"hunter2\" }]\n",
    ];
    for text in texts {
        let errors = parse(text, "maily.toml").expect_err(text);
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_place() {
    let errors = parse("[retry\n", "maily.toml").unwrap_err().to_string();
    assert!(errors.starts_with("maily.toml:1:7: "), "{errors}");
    assert!(errors.contains(" 1 | [retry\n"), "{errors}");
}

#[test]
fn what_does_not_hold_together_is_told() {
    let cases = [
        ("[tls]\ncertificate = \"a\"", "2:15: tls.certificate needs tls.key too"),
        ("[tls]\nkey = \"a\"", "2:7: tls.key needs tls.certificate too"),
        (
            "[[listener]]\naddress = \"[::]:25\"\ntls = \"starttls\"",
            "3:7: a listener with TLS needs tls.certificate and tls.key",
        ),
        ("listener = []", "1:12: there must be at least one [[listener]]"),
        ("[retry]\ndelay_min = \"5h\"", "2:13: retry.delay_min must not be above retry.delay_max"),
        (
            "[retry]\nexpire_after = \"4h\"",
            "2:16: retry.delay_max must be below retry.expire_after",
        ),
        ("[retry]\nfactor = 0.5", "2:10: retry.factor must be from 1 to 1000"),
        ("[retry]\njitter = nan", "2:10: retry.jitter must be from 0 to 1"),
        ("[egress]\nport = 0", "2:8: egress.port must not be 0"),
        (
            "[limits]\nconnections_max = 2",
            "2:19: limits.connections_initial must not be above limits.connections_max",
        ),
        ("[[user]]\nname = \"a\"", "2:8: user `a` needs password_hash or password"),
        (
            "[[source]]\nname = \"a\"\n[[source]]\nname = \"a\"",
            "4:8: there are two [[source]] with the name `a`",
        ),
        (
            "[[user]]\nname = \"a\"\npassword.env = \"A\"\n\
             [[user]]\nname = \"a\"\npassword.env = \"A\"",
            "5:8: there are two [[user]] with the name `a`",
        ),
        (
            "[[route]]\ndomain = \"*\"\nhost = \"a\"\nuser = \"a\"",
            "4:8: a route needs both user and password, or neither",
        ),
        (
            "[[route]]\ndomain = \"*\"\ntls = \"may\"\nuser = \"a\"\npassword.env = \"A\"",
            "4:8: a route with a user needs a host: a password is for one's own",
        ),
        (
            "[[route]]\ndomain = \"*\"\nhost = \"a\"\ntls = \"off\"\nuser = \"a\"\n\
             password.env = \"A\"",
            "4:7: a password is sent under TLS only, or to a host on this machine",
        ),
        (
            "[smtp]\nrelay_networks = [\"0.0.0.0/0\"]",
            "2:18: smtp.relay_networks must not hold 0.0.0.0/0: anyone could send mail to anyone \
             through this daemon (an open relay)",
        ),
    ];
    for (text, expected) in cases {
        let errors = parse(text, "maily.toml").expect_err(text).to_string();
        let first = errors.lines().next().unwrap();
        assert_eq!(first, format!("maily.toml:{expected}"), "{errors}");
        assert_eq!(errors.lines().count(), 3, "{errors}");
    }
}

#[test]
fn values_are_read() {
    let config = parse(
        "[limits]\nmessage_rate = \"100/s\"\n[[user]]\nname = \"a\"\npassword = { env = \"A\" }\n\
         [[listener]]\naddress = \"[::]:2525\"\n",
        "maily.toml",
    );
    let config = config.unwrap();
    assert_eq!(config.limits.message_rate, Some("100/s".parse::<Rate>().unwrap()));
    assert_eq!(config.user[0].password, Some(Secret::Env("A".to_owned())));
    assert_eq!(config.listener.len(), 1);
}

#[test]
fn files_of_conf_d_merge_and_append() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("maily.toml");
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\npassword.env = \"A\"\n");
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("maily.toml", &format!("[retry]\nfactor = 3.0\njitter = 0.5\n{}", user("ann")));
    put("conf.d/20.toml", &format!("[retry]\nfactor = 4.0\n{}", user("bob")));
    put("conf.d/10.toml", "[retry]\nfactor = 5.0\n[smtp]\nrelay_networks = [\"::1\"]\n");
    put("conf.d/note.txt", "no toml");
    let config = load(&main).unwrap();
    assert!((config.retry.factor - 4.0).abs() < f64::EPSILON);
    assert!((config.retry.jitter - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.smtp.relay_networks.len(), 1);
    let names: Vec<&str> = config.user.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["ann", "bob"]);

    put("conf.d/30.toml", &user("ann"));
    let errors = load(&main).unwrap_err().to_string();
    assert!(errors.contains("30.toml:2:8: there are two [[user]]"), "{errors}");
    put("conf.d/30.toml", "[retri]\n");
    put("conf.d/40.toml", "[smpt]\n");
    let errors = load(&main).unwrap_err();
    assert_eq!(errors.0.len(), 2, "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let errors = load(Path::new("/nonexistent/maily.toml")).unwrap_err().to_string();
    assert!(errors.starts_with("/nonexistent/maily.toml: cannot be read: "), "{errors}");
}

#[test]
fn single_keys_come_after_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("maily.toml");
    fs::write(&main, "[retry]\nfactor = 3.0\n[ops]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let overrides = [
        Override::of_variable("MAILY__RETRY__FACTOR", "4.0").unwrap(),
        Override::of_variable("MAILY__RETRY__DELAY_MIN", "1m").unwrap(),
        Override::of_argument("retry.factor = 5.0").unwrap(),
        Override::of_argument("egress.allow_networks=[\"127.0.0.0/8\"]").unwrap(),
        Override::of_argument("ops.listen=127.0.0.1:2").unwrap(),
    ];
    assert_eq!(Override::of_variable("MAILY_PASSWORD", "x"), None);
    assert_eq!(Override::of_argument("retry.factor"), None);
    let config = open(&main, &overrides).unwrap().config;
    assert!((config.retry.factor - 5.0).abs() < f64::EPSILON);
    assert_eq!(config.retry.delay_min.as_secs(), 60);
    assert_eq!(config.egress.allow_networks.len(), 1);
    assert_eq!(config.ops.listen.unwrap().port(), 2);
}

#[test]
fn a_wrong_single_key_is_told_with_the_place_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("maily.toml");
    fs::write(&main, "").unwrap();
    let told = |given: Override| open(&main, &[given]).unwrap_err().to_string();
    let unknown = told(Override::of_variable("MAILY__RETRY__DELAI_MIN", "1m").unwrap());
    assert!(unknown.starts_with("the variable MAILY__RETRY__DELAI_MIN"), "{unknown}");
    assert!(unknown.contains("did you mean `delay_min`?"), "{unknown}");
    let below = told(Override::of_argument("retry.factor=0.5").unwrap());
    assert!(below.starts_with("the argument --set retry.factor:1:16: "), "{below}");
}

#[test]
fn a_problem_found_later_is_shown_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("maily.toml");
    fs::write(&main, "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n").unwrap();
    let loaded = open(&main, &[]).unwrap();
    let shown = loaded.problem(&["tls.key"], "cannot be read".to_owned()).to_string();
    assert!(
        shown.ends_with("maily.toml:3:7: cannot be read\n 3 | key = \"/k\"\n   |       ^^^^"),
        "{shown}"
    );
    assert_eq!(loaded.places().collect::<Vec<_>>(), [main.display().to_string()]);
}

#[test]
fn tokens_do_not_go_in_clear_over_a_network() {
    check(
        "[http.api]\nlisten = \"192.0.2.1:8025\"\n",
        "maily.toml:2:10: http.api.listen must be a loopback address, or have certificate and key: \
         tokens are not sent in clear
 2 | listen = \"192.0.2.1:8025\"
   |          ^^^^^^^^^^^^^^^^",
    );
    let tls = "certificate = \"/c\"\nkey = \"/k\"\n";
    assert!(parse(&format!("[http.api]\nlisten = \"192.0.2.1:8025\"\n{tls}"), "x").is_ok());
    assert!(parse("[http.api]\nlisten = \"[::1]:8025\"\n", "x").is_ok());
    assert!(parse("[http.public]\nlisten = \"192.0.2.1:80\"\n", "x").is_ok());
    check(
        "[http.public]\ncertificate = \"/c\"\n",
        "maily.toml:2:15: http.public needs both certificate and key, or neither
 2 | certificate = \"/c\"
   |               ^^^^",
    );
    check(
        "[http.api]\nlisten = \"127.0.0.1:9925\"\n[ops]\nlisten = \"127.0.0.1:9925\"\n",
        "maily.toml:2:10: 127.0.0.1:9925 is another listener's already
 2 | listen = \"127.0.0.1:9925\"
   |          ^^^^^^^^^^^^^^^^",
    );
    check(
        "[http]\nconnections_max = 0\n",
        "maily.toml:2:19: http.connections_max must not be 0
 2 | connections_max = 0
   |                   ^",
    );
}

#[test]
fn links_begin_with_a_plain_url() {
    let read = |url: &str| parse(&format!("[http.public]\nbase_url = \"{url}\"\n"), "x").is_ok();
    for good in ["https://l.example", "http://127.0.0.1:8080", "https://[::1]/mail/t"] {
        assert!(read(good), "{good}");
    }
    for bad in [
        "",
        "l.example",
        "https://",
        "https://l.example/",
        "ftp://l.example",
        "https:///x",
        "https://l.example?a=b",
        "https://a@l.example",
        "https://l.example/<x>",
    ] {
        assert!(!read(bad), "{bad}");
    }
}

#[test]
fn limits_know_where_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maily.toml");
    let text = "[node]\nhostname = \"mx.example\"\n[limits]\nmessage_rate = \"9/s\"\n\
                [[site]]\nmatch = \"a.example\"\nconnections_max = 2\n";
    fs::write(&path, text).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    let beside = folder.path().join("conf.d").join("b.toml");
    let more = "[[site]]\nmatch = \"b.example\"\n\nmessage_rate = \"1/s\"\n";
    fs::write(&beside, more).unwrap();
    let set = Override::of_argument("egress.connections_max=7").unwrap();
    let lines = open(&path, &[set]).unwrap().config.lines;
    let at = |path: &Path, line: u32| Box::from(format!("{}:{line}", path.display()));
    let by_default = |key: &str| Box::from(format!("limits.{key} (by default)"));
    let limits = LimitLines {
        connections_max: by_default("connections_max"),
        message_rate: at(&path, 4),
        connection_rate: by_default("connection_rate"),
    };
    let first = LimitLines { connections_max: at(&path, 7), ..limits.clone() };
    let second = LimitLines { message_rate: at(&beside, 4), ..limits.clone() };
    assert_eq!((lines.limits, lines.sites), (limits, vec![first, second]));
    assert_eq!(&*lines.egress_connections_max, "the argument --set egress.connections_max:1");
}
