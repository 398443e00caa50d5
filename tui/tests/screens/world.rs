//! What a daemon could have said.

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;
use maily_api::directive::Directive;
use maily_api::event::Event;
use maily_api::live::Transcript;
use maily_api::overview::Overview;
use maily_api::session::Whoami;
use maily_api::story::Story;
use maily_api::view::Window;
use maily_api::why::Why;
use maily_tui::draw::draw;
use maily_tui::effect::Effect;
use maily_tui::look::Look;
use maily_tui::model::Model;
use maily_tui::run;
use maily_tui::update::Msg;
use maily_tui::update::update;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

/// 2026-11-27T14:02:11Z
pub(crate) const NOW: u64 = 1_795_788_131;

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn overview() -> Overview {
    read(json!({
        "at": "2026-11-27T14:02:11.000Z", "node": "mta-1", "version": "0.1.0", "draining": false,
        "uptime_seconds": 90_000, "waiting": 412_880, "in_flight": 120, "deferred": 210_000,
        "oldest_seconds": 11_520,
        "rates": {
            "accepted": [900, 1_000, 1_100, 1_204], "delivered": [800, 990, 1_050, 1_187],
            "deferred": [3, 9, 40, 31], "bounced": [0, 1, 0, 2],
        },
        "totals": { "accepted": 1, "delivered": 1, "deferred": 1, "bounced": 1 },
        "resources": {
            "sessions_out": 1_910, "sessions_in": 84, "spool_octets": 2_100_000_000_u64,
            "disk_free_octets": 900_000_000, "disk_percent": 61.2,
            "memory_octets": 380_000_000, "cpu_percent": 44.1, "descriptors": 2_011,
            "descriptors_max": 1_048_576,
        },
        "attention": [
            { "severity": "problem", "subject": "remote:rate_limited bounces.rules:31",
              "held": 218_402,
              "text": "mx.google.example by out7 rests: 421 4.7.28 \u{1b}[31mrate\u{1b}[0m limited",
              "since": "2026-11-27T13:41:00.000Z", "selector": "site=mx.google.example" },
            { "severity": "intended", "subject": "admin d-118", "held": 64_210,
              "text": "suspended campaign=flash-1126: wrong price (uid:1000)",
              "since": "2026-11-27T13:40:00.000Z",
              "selector": "tenant=shop and campaign=flash-1126" },
            { "severity": "warning", "subject": "plugin/geo", "held": 0,
              "text": "on_enrich rests after errors; then: open", "selector": "" },
        ],
        "sites": [
            { "site": "mx.google.example", "domains": 4, "waiting": 218_402,
              "out_per_second": 212.0,
              "defer_percent": 31.4, "connections": 40, "binds": "remote:rate_limited" },
            { "site": "größe.example", "domains": 1, "waiting": 11_240, "out_per_second": 0.6,
              "defer_percent": 0.0, "connections": 2, "binds": "policy:connections" },
        ],
        "pools": [
            { "pool": "default", "sources": 4, "resting": [] },
            { "pool": "bulk", "sources": 8,
              "resting": ["out7 at mx.google.example: 421 4.7.28 rate limited"] },
        ],
    }))
}

pub(crate) fn queues() -> Window {
    let column = |name: &str, title: &str, kind: &str, rank: u8| -> Value {
        let about = "";
        json!({ "name": name, "title": title, "kind": kind, "rank": rank, "about": about })
    };
    let row = |domain: &str, waiting: u64, cause: &str| {
        json!({
            "key": domain, "selector": format!("domain={domain}"),
            "cells": [domain, "mx.google.example", waiting, waiting / 2, 0, 12, waiting / 3, 0,
                      waiting / 9, 11_520, cause],
        })
    };
    read(json!({
        "view": "queues", "at": "2026-11-27T14:02:11.000Z", "sort": "-waiting",
        "total": 8_214, "selected": 37, "offset": 0,
        "columns": [
            column("domain", "DOMAIN", "text", 0), column("site", "SITE", "text", 6),
            column("waiting", "WAIT", "count", 0), column("timed", "TIMED", "count", 4),
            column("held", "HELD", "count", 4), column("in_flight", "FLY", "count", 5),
            column("m5", "<5m", "count", 7), column("m10", "10m", "count", 7),
            column("older", ">5h", "count", 7), column("oldest", "OLDEST", "seconds", 3),
            column("cause", "BY", "text", 1),
        ],
        "rows": [
            row("gmail.example", 201_117, "remote:rate_limited"),
            row("a-very-long-domain-name-that-goes-on-and-on.example", 9_204, "turn"),
            row("evil\u{1b}]0;x\u{7}.example", 7, "admin"),
        ],
    }))
}

pub(crate) fn why() -> Why {
    read(json!({
        "at": "2026-11-27T14:02:11.000Z", "waiting": 201_117, "in_flight": 12,
        "causes": [
            { "cause": "remote:rate_limited", "count": 176_900,
              "detail": "mx.google.example by out7 rests: 421 4.7.28 rate limited, \
                         write to ann@gmail.example",
              "since": "2026-11-27T13:41:00.000Z", "until": "2026-11-27T14:07:40.000Z",
              "where": "config/bounces.rules:31", "remedy": "wait for the probe",
              "selector": "site=mx.google.example" },
            { "cause": "schedule", "count": 18_200, "detail": "its next time is not reached",
              "where": "", "remedy": "maily retry SELECTOR", "selector": "cause=schedule" },
            { "cause": "admin", "count": 6_017, "detail": "suspended domain=gmail.example: test",
              "where": "d-7", "remedy": "maily resume SELECTOR",
              "selector": "domain=gmail.example" },
        ],
    }))
}

pub(crate) fn story() -> Story {
    read(json!({
        "message": "6h19jz8580000", "reverse_path": "news@shop.example",
        "recipients": ["ann@gmail.example"],
        "steps": [
            { "at": "2026-11-27T13:02:08.114Z", "kind": "accepted", "text": "41200 octets" },
            { "at": "2026-11-27T13:02:09.001Z", "kind": "attempt",
              "text": "1 at gmail.example from out7 to mx.google.example [192.0.2.1] TLSv1.3",
              "lines": ["ann@gmail.example put off: 421 4.7.28 \u{1b}[2Jrate limited\u{202e}"] },
        ],
        "waiting": [
            { "domain": "gmail.example", "attempts": 1, "next": "2026-11-27T14:17:10.000Z",
              "expires": "2026-11-29T13:02:08.000Z", "why": "remote:rate_limited: 421 4.7.28" },
        ],
    }))
}

pub(crate) fn would(matched: u64) -> Directive {
    read(json!({
        "id": "dry-run", "verb": "bounce", "selector": "campaign=flash-1126", "reason": "",
        "author": "uid:1000", "at": "2026-11-27T14:02:11.000Z", "state": "dry_run", "future": false,
        "matched": matched, "in_flight": 12, "done": 0,
        "effect": ["64210 messages are given up, with a report 5.7.1 to each sender",
                   "recipients are not suppressed", "12 are under way, and go on"],
        "sites": [{ "name": "mx.google.example", "count": 30_118 }], "samples": [],
        "command": "maily bounce 'campaign=flash-1126'",
    }))
}

pub(crate) fn transcripts() -> Vec<Transcript> {
    read(json!([{
        "session": "s-2", "direction": "out", "peer": "mx.google.example [192.0.2.1]",
        "site": "mx.google.example", "source": "out7", "began_at": "2026-11-27T14:01:00.000Z",
        "message": "6h19jz8580000", "over": true, "failed": true, "cut": 0,
        "lines": [
            { "at": "2026-11-27T14:01:00.100Z", "by": "note", "text": "TLSv1_3" },
            { "at": "2026-11-27T14:01:00.200Z", "by": "client",
              "text": "MAIL FROM:<a@shop.example>" },
            { "at": "2026-11-27T14:01:00.300Z", "by": "server",
              "text": "421 4.7.28 \u{1b}[31mrate\u{1b}[0m limited" },
        ],
    }]))
}

pub(crate) fn events() -> Vec<Event> {
    let event = |kind: &str, more: Value| {
        json!({
            "id": "1-1", "schema": 1, "type": kind, "time": "2026-11-27T14:02:10.000Z",
            "project": "shop", "data": more,
        })
    };
    read(json!([
        event(
            "message.delivered",
            json!({
                "message": "6h19jz8580000", "recipient": "ann@gmail.example", "status": "2.0.0",
                "site": "mx.google.example", "text": "OK",
            })
        ),
        event(
            "message.bounced",
            json!({
                "message": "6h19jz8580001", "recipient": "bob@gmail.example", "status": "5.1.1",
                "text": "no such \u{1b}[2Juser",
            })
        ),
        event(
            "message.suppressed",
            json!({
                "message": "6h19jz8580002", "recipient": "eve@gmail.example",
                "reason": "complained",
            })
        ),
    ]))
}

pub(crate) fn whoami(permissions: &[&str]) -> Whoami {
    read(json!({
        "actor": "uid:1000", "role": "owner", "project": null, "permissions": permissions,
        "expires_at": null, "scopes": [],
    }))
}

pub(crate) fn key(code: KeyCode) -> Msg {
    Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Types these characters.
pub(crate) fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| update(model, key(KeyCode::Char(c)))).collect()
}

/// A console that has heard of everything a moment ago.
pub(crate) fn console(look: Look, height: u16) -> Model {
    let mut model = Model::new(look, true, height);
    for msg in [
        Msg::Tick(NOW),
        Msg::Link(Ok(())),
        Msg::Whoami(whoami(&["queue:read", "queue:write"])),
        Msg::Overview(Box::new(overview())),
    ] {
        assert_eq!(update(&mut model, msg), []);
    }
    model
}

pub(crate) fn frame(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, frame)).unwrap();
    run::text(terminal.backend().buffer())
}
