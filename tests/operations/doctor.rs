//! `maily doctor` sees what is wrong with the machine, the names, the keys and the certificates.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use maily::dev::dns::Zone;
use maily::sink::behaviour::Behaviour;
use serde_json::Value;

use crate::support::process::run;
use crate::support::tools::tool;
use crate::support::world::World;

/// No machine has it (RFC 5737), and nothing is sent to it.
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 66));
const HOST: &str = "mail.maily.example";

struct Bench {
    folder: tempfile::TempDir,
    world: World,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::behaving(folder.path(), Behaviour::Accept);
        let this = Self { folder, world };
        this.key("one");
        this.certificate(2_090);
        this
    }

    fn key(&self, name: &str) {
        let path = self.folder.path().join(name);
        let mut make = Command::new(tool("openssl"));
        run(make.args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(path));
    }

    /// A certificate that ends with this year.
    fn certificate(&self, year: i32) {
        let mut wanted = rcgen::CertificateParams::new([HOST.to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(2_000, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        std::fs::write(self.folder.path().join("cert.pem"), made.pem()).unwrap();
        std::fs::write(self.folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn maily(&self, zone: Zone, command: &str, more: &[&str]) -> std::process::Output {
        let source = match more.contains(&"--port-25-to") {
            true => String::new(),
            false => format!("[[source]]\nname = \"one\"\naddress = \"{SOURCE}\"\n"),
        };
        let text = format!(
            "[node]\nhostname = \"{HOST}\"\n[spool]\nfolder = \"{0}/spool\"\n\
             [events]\nfolder = \"{0}/events\"\n\
             [tls]\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n\
             [dns]\nservers = [\"{1}\"]\n{source}\
             [[dkim]]\ndomain = \"shop.example\"\nselector = \"s1\"\nkey = \"{0}/one\"\n",
            self.folder.path().display(),
            self.world.answer(zone),
        );
        let path = self.folder.path().join("maily.toml");
        std::fs::write(&path, text).unwrap();
        let mut maily = Command::new(env!("CARGO_BIN_EXE_maily"));
        maily.arg(command).args(more).arg("--config").arg(path).output().unwrap()
    }

    /// The record that the key wants.
    fn record(&self) -> String {
        let said = self.maily(Zone::default(), "check", &["--offline"]).stderr;
        let said = String::from_utf8(said).unwrap();
        said.lines().find(|line| line.contains("p=")).unwrap().trim().to_owned()
    }

    /// What it finds, and its exit code.
    fn doctor(&self, zone: Zone, more: &[&str]) -> (Vec<Value>, i32) {
        let output = self.maily(zone, "doctor", &[more, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let told: Value =
            serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{output:?}"));
        (told["findings"].as_array().unwrap().clone(), output.status.code().unwrap())
    }
}

/// A world in which all is right, but for what a test takes away.
fn right(record: &str) -> Zone {
    let mut zone = Zone::default();
    zone.address(HOST, SOURCE);
    zone.pointer(SOURCE, HOST);
    zone.text("s1._domainkey.shop.example", record);
    zone
}

/// The level of what is said of this and with these words.
fn level(findings: &[Value], about: &str, words: &str) -> String {
    let said =
        |one: &&Value| one["about"] == about && one["what"].as_str().unwrap().contains(words);
    let found = findings.iter().find(said);
    found.unwrap_or_else(|| panic!("{about} {words}: {findings:#?}"))["level"]
        .as_str()
        .unwrap()
        .into()
}

#[test]
fn where_all_is_right_it_says_so_and_mail_gets_out() {
    let bench = Bench::new();
    let sink = bench.world.sink.to_string();
    let (found, code) = bench.doctor(right(&bench.record()), &["--port-25-to", &sink]);
    assert_eq!(code, 0, "{found:#?}");
    for (about, words) in [
        ("name", HOST),
        ("dkim", "is of our key"),
        ("certificate", "it holds until 2090-12-31"),
        ("disk", "a sync takes"),
        ("port-25", "greets: 220"),
    ] {
        assert_eq!(level(&found, about, words), "ok", "{found:#?}");
    }
    let (found, code) = bench.doctor(right(&bench.record()), &[]);
    assert_eq!(level(&found, "source", "mail.maily.example, and mail.maily.example has it"), "ok");
    assert_eq!(level(&found, "source", "says EHLO"), "ok");
    assert_eq!((level(&found, "source", "cannot send from").as_str(), code), ("fail", 2));
    assert!(!bench.folder.path().join("spool").exists(), "it leaves nothing behind");
    let text = bench.maily(right(&bench.record()), "doctor", &[]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("ok      dkim ") && text.contains(": 1 fail, "), "{text}");
    assert!(text.contains("unknown port-25      not tried"), "{text}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let bench = Bench::new();
    let record = bench.record();
    let mut zone = Zone::default();
    zone.address(HOST, SOURCE);
    let (found, _) = bench.doctor(zone.clone(), &[]);
    assert_eq!(level(&found, "source", "192.0.2.66 does not exist"), "fail", "no PTR");
    let (found, code) = bench.doctor(zone, &["--port-25-to", "127.44.55.66:1"]);
    assert_eq!(code, 2);
    assert_eq!(level(&found, "dkim", "does not exist"), "fail");
    assert_eq!(level(&found, "port-25", "refused"), "fail");
    let dkim = found.iter().find(|one| one["about"] == "dkim").unwrap();
    assert!(dkim["next"].as_str().unwrap().ends_with(&record), "{dkim}");

    let mut zone = Zone::default();
    zone.address(HOST, IpAddr::from([127, 1, 2, 3]));
    zone.pointer(SOURCE, HOST);
    bench.key("two");
    std::fs::rename(bench.folder.path().join("two"), bench.folder.path().join("one")).unwrap();
    zone.text("s1._domainkey.shop.example", &record);
    bench.certificate(2_020);
    let (found, _) = bench.doctor(zone, &[]);
    assert_eq!(level(&found, "source", "which does not have it"), "fail");
    assert_eq!(level(&found, "source", "which does not have 192"), "warn");
    assert_eq!(level(&found, "dkim", "of another key"), "fail");
    assert_eq!(level(&found, "certificate", "it ended at 2020-12-31"), "fail");

    let (found, _) = bench.doctor(right("v=DKIM1; p="), &[]);
    assert_eq!(level(&found, "dkim", "revoked"), "fail");
    // Where nothing can be written.
    std::fs::write(bench.folder.path().join("spool"), "a file").unwrap();
    let (found, code) = bench.doctor(right(&record), &[]);
    assert_eq!((level(&found, "disk", "events in"), code), ("ok".to_owned(), 2));
    let mut broken = Zone::default();
    broken.servfail(HOST);
    let (found, _) = bench.doctor(broken, &[]);
    let name = found.iter().find(|one| one["about"] == "name").unwrap();
    assert!(name["next"].as_str().unwrap().contains("dns.servers"), "{name}");
}

/// What bash offers behind these words.
fn completed(script: &Path, words: &[&str]) -> Vec<String> {
    let line = words.join(" ");
    let text = format!(
        "source {}; COMP_WORDS=({line}); COMP_CWORD={}; _maily maily '{}' ''; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.len() - 1,
        words.last().unwrap()
    );
    let output = run(Command::new("bash").args(["--norc", "-c", &text]));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn shells_complete_commands_and_each_has_a_page_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let maily =
        |arguments: &[&str]| run(Command::new(env!("CARGO_BIN_EXE_maily")).args(arguments)).stdout;
    let script = folder.path().join("maily.bash");
    std::fs::write(&script, maily(&["completions", "bash"])).unwrap();
    assert_eq!(completed(&script, &["maily", "su"]), ["suppress", "suspend"]);
    assert_eq!(completed(&script, &["maily", "plugin", "rep"]), ["replay"]);
    assert!(completed(&script, &["maily", "why", "--j"]).contains(&"--json".to_owned()));
    for shell in ["zsh", "fish"] {
        assert!(String::from_utf8(maily(&["completions", shell])).unwrap().contains("doctor"));
    }
    let pages = folder.path().join("man");
    maily(&["man", "--into", pages.to_str().unwrap()]);
    let mut names: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 40, "{names:?}");
    for name in ["maily.1", "maily-doctor.1", "maily-plugin-replay.1"] {
        assert!(names.contains(&pages.join(name)), "{name}: {names:?}");
    }
    let mut groff = Command::new(tool("groff"));
    let checked = run(groff.args(["-Kutf8", "-man", "-Tutf8", "-ww", "-z"]).args(&names));
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "");
    let why = String::from_utf8(maily(&["man", "why"])).unwrap();
    assert!(
        why.contains("maily\\-why") && why.contains("EXAMPLES") || why.contains("Example"),
        "{why}"
    );
}
