//! Frames, as they are kept beside this file.

use maily_tui::look::Look;
use maily_tui::look::Theme;
use maily_tui::model::Model;
use maily_tui::tail;
use maily_tui::update::Msg;
use maily_tui::update::update;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use crate::world;
use crate::world::console;
use crate::world::frame;
use crate::world::typed;

const SIZES: [(u16, u16); 3] = [(120, 40), (80, 24), (60, 20)];

type Screen = (&'static str, fn(&mut Model));

fn queues(model: &mut Model) {
    typed(model, "2");
    update(model, Msg::Window(Box::new(world::queues())));
}

fn why(model: &mut Model) {
    queues(model);
    typed(model, "w");
    update(model, Msg::Why(world::why()));
}

fn story(model: &mut Model) {
    typed(model, ":trace 6h19jz8580000");
    update(model, world::key(crossterm::event::KeyCode::Enter));
    update(model, Msg::Story(Box::new(world::story())));
}

fn dialog(model: &mut Model) {
    queues(model);
    typed(model, "b");
    update(model, Msg::Directive(Box::new(world::would(64_210))));
}

fn help(model: &mut Model) {
    typed(model, "?");
}

fn filter(model: &mut Model) {
    queues(model);
    typed(model, "/waiting>1k and ");
}

fn failed(model: &mut Model) {
    typed(model, "t");
    update(model, Msg::Said(tail::transcripts(world::transcripts()), true));
}

fn events(model: &mut Model) {
    typed(model, "L");
    update(model, Msg::Said(world::events().iter().map(tail::event).collect(), false));
}

fn stale(model: &mut Model) {
    update(model, Msg::Link(Err("no daemon at /run/maily/admin.sock".into())));
    update(model, Msg::Tick(world::NOW + 7));
}

const SCREENS: [Screen; 10] = [
    ("overview", |_| ()),
    ("queues", queues),
    ("why", why),
    ("story", story),
    ("dialog", dialog),
    ("help", help),
    ("filter", filter),
    ("failed", failed),
    ("events", events),
    ("stale", stale),
];

#[test]
fn each_screen_is_drawn_as_it_was_at_each_size() {
    for (name, go) in SCREENS {
        for (width, height) in SIZES {
            let mut model = console(Look::default(), height);
            go(&mut model);
            let drawn = frame(&model, width, height);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), drawn);
        }
    }
}

#[test]
fn in_ascii_nothing_but_ascii_is_drawn_and_without_colours_none() {
    let look = Look { theme: Theme::Mono, ascii: true };
    for (name, go) in SCREENS {
        for (width, height) in SIZES {
            let mut model = console(look, height);
            go(&mut model);
            let drawn = frame(&model, width, height);
            assert!(drawn.is_ascii(), "{name}: {drawn}");
            if (width, height) == SIZES[1] {
                insta::assert_snapshot!(format!("{name}-ascii"), drawn);
            }
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| maily_tui::draw::draw(&model, frame)).unwrap();
            let buffer = terminal.backend().buffer();
            let plain = |colour: Color| colour == Color::Reset;
            assert!(buffer.content.iter().all(|cell| plain(cell.fg) && plain(cell.bg)), "{name}");
        }
    }
}

#[test]
fn nothing_that_came_from_outside_moves_the_cursor_and_no_size_is_too_small() {
    for (name, go) in SCREENS {
        for (width, height) in [(120, 40), (60, 20), (30, 8), (19, 5), (20, 4), (1, 1)] {
            let mut model = console(Look::default(), height);
            go(&mut model);
            let drawn = frame(&model, width, height);
            let odd = drawn.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
            assert_eq!(odd, None, "{name} at {width}x{height}");
        }
    }
    let mut model = console(Look::default(), 40);
    story(&mut model);
    assert!(frame(&model, 120, 40).contains("\\x1b[2Jrate limited\\u{202e}"));
}
