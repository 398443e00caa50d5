//! The command line: help, and an exit code that tells what went wrong (sysexits.h).

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::process::Output;

fn maily(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maily")).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("maily.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_command_has_its_help() {
    let help = maily(&["--help"]);
    assert_eq!(code(&help), 0);
    let text = String::from_utf8(help.stdout).unwrap();
    for command in
        ["serve", "check", "dev", "project", "token", "audit", "queue", "trace", "send", "sink"]
    {
        assert!(text.contains(&format!("\n  {command} ")), "{text}");
        let help = maily(&[command, "--help"]);
        assert_eq!(code(&help), 0, "{command}");
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.contains("\nUsage: maily "), "{text}");
        assert!(text.contains("Example"), "{command} shows no example: {text}");
    }
}

#[test]
fn a_wrong_command_line_is_64() {
    for arguments in [&["serv"][..], &[], &["serve", "--confg", "x"], &["check", "--set", "x"]] {
        assert_eq!(code(&maily(arguments)), 64, "{arguments:?}");
    }
}

#[test]
fn a_wrong_configuration_is_78_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "[retry]\ndelai_min = \"1m\"\n");
    for command in ["serve", "check"] {
        let output = maily(&[command, "--config", &path]);
        assert_eq!(code(&output), 78, "{}", said(&output));
        let told = said(&output);
        assert!(told.contains("maily.toml:2:1: unknown key `delai_min`"), "{told}");
        assert!(told.contains("did you mean `delay_min`?"), "{told}");
        assert!(told.contains("\n 2 | delai_min = …\n   | ^^^^^^^^^"), "{told}");
    }
    let nowhere = folder.path().join("nowhere.toml");
    assert_eq!(code(&maily(&["check", "--config", nowhere.to_str().unwrap()])), 78);
}

#[test]
fn what_the_configuration_names_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    for (text, told) in [
        (
            "[tls]\ncertificate = \"/nonexistent/c\"\nkey = \"/nonexistent/k\"\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"starttls\"\n",
            "maily.toml:2:15: no certificate can be read from /nonexistent/c",
        ),
        ("[log]\nfilter = \"a=b=c\"\n", "maily.toml:2:10: `a=b=c` is not a filter"),
        ("[[listener]]\naddress = \"192.0.2.1:25\"\n", "maily.toml:2:11: cannot listen here"),
        ("[[listener]]\naddress = \"127.0.0.1:0\"\n[ops]\nlisten = \"192.0.2.1:1\"", ":4:10: "),
        (
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[source]]\nname = \"a\"\n\
             address = \"192.0.2.1\"\n",
            "maily.toml:5:11: cannot send from here",
        ),
    ] {
        let path = write(folder.path(), text);
        let output = maily(&["check", "--config", &path]);
        assert_eq!(code(&output), 78, "{text}: {}", said(&output));
        assert!(said(&output).contains(told), "{told}: {}", said(&output));
    }
}

#[test]
fn check_says_what_would_run() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let path = write(folder.path(), &format!("[[listener]]\naddress = \"{address}\"\n"));
    let output = maily(&["check", "--config", &path, "--set", "node.hostname=mx.example.net"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with(&format!("{path}, the argument --set node.hostname: good")), "{text}");
    assert!(text.contains("is called       mx.example.net"), "{text}");
    assert!(text.contains(&format!("takes mail on   {address} (no TLS)")), "{text}");
    assert!(said(&output).contains("is in use"), "{}", said(&output));
    let offline = maily(&["check", "--config", &path, "--offline"]);
    assert_eq!((code(&offline), said(&offline).as_str()), (0, ""));
    // The daemon itself cannot do without the address.
    let output = maily(&["serve", "--config", &path, "--set", &spool(folder.path())]);
    assert_eq!(code(&output), 69, "{}", said(&output));
}

fn spool(folder: &Path) -> String {
    let folder = folder.display();
    format!("spool.folder={folder}/spool")
}

#[test]
fn a_spool_that_cannot_be_opened_is_74() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "[[listener]]\naddress = \"127.0.0.1:0\"\n");
    std::fs::write(folder.path().join("spool"), "no folder").unwrap();
    let output = maily(&["serve", "--config", &path, "--set", &spool(folder.path())]);
    assert_eq!(code(&output), 74, "{}", said(&output));
}

#[test]
fn nothing_that_matches_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    assert_eq!(code(&maily(&["trace", "nobody@example.net", "--events", folder])), 1);
    assert_eq!(code(&maily(&["queue", "--spool", folder])), 1);
}
