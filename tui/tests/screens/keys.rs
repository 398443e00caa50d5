//! What follows from keys and from what the daemon says.

use crossterm::event::KeyCode;
use crossterm::event::KeyModifiers;
use crossterm::event::MouseButton;
use crossterm::event::MouseEvent;
use crossterm::event::MouseEventKind;
use maily_api::directive::Verb;
use maily_api::view::ViewQuery;
use maily_tui::effect::Effect;
use maily_tui::look::Look;
use maily_tui::model::Screen;
use maily_tui::tail;
use maily_tui::tail::Said;
use maily_tui::tail::Tail;
use maily_tui::update::Msg;
use maily_tui::update::update;

use crate::world;
use crate::world::console;
use crate::world::frame;
use crate::world::key;
use crate::world::typed;

fn view(name: &str, filter: Option<&str>) -> Effect {
    let query =
        ViewQuery { filter: filter.map(Into::into), limit: Some(19), ..ViewQuery::default() };
    Effect::Follow(Screen::View { name: name.into(), query })
}

#[test]
fn screens_are_opened_left_and_found_again() {
    let mut model = console(Look::default(), 24);
    assert_eq!(typed(&mut model, "2"), [view("queues", None)]);
    update(&mut model, Msg::Window(Box::new(world::queues())));
    typed(&mut model, "/waiting>1k");
    assert_eq!(update(&mut model, key(KeyCode::Enter)), [view("queues", Some("waiting>1k"))]);
    let selector = "domain=gmail.example".to_owned();
    assert_eq!(typed(&mut model, "w"), [Effect::Follow(Screen::Why { selector })]);
    update(&mut model, Msg::Why(world::why()));
    let wanted = "domain=gmail.example and site=mx.google.example";
    assert_eq!(update(&mut model, key(KeyCode::Enter)), [view("messages", Some(wanted))]);
    assert_eq!(model.screens.len(), 4);
    update(&mut model, key(KeyCode::Esc));
    typed(&mut model, "q");
    assert_eq!(model.screen().crumb(), "queues");
    assert_eq!(
        typed(&mut model, "1-"),
        [Effect::Follow(Screen::Overview), view("queues", Some("waiting>1k"))]
    );
    typed(&mut model, "1");
    assert_eq!(typed(&mut model, "q"), [Effect::Quit(false)]);
}

#[test]
fn nothing_is_done_without_a_dialog_whose_focus_is_on_cancel() {
    let mut model = console(Look::default(), 24);
    typed(&mut model, "2");
    update(&mut model, Msg::Window(Box::new(world::queues())));
    let effects = typed(&mut model, "b");
    let [Effect::Direct(asked)] = &effects[..] else { panic!("{effects:?}") };
    assert!(
        asked.dry_run && asked.verb == Verb::Bounce && asked.selector == "domain=gmail.example"
    );
    update(&mut model, Msg::Directive(Box::new(world::would(64_210))));
    // Enter on Cancel does nothing.
    assert_eq!(update(&mut model, key(KeyCode::Enter)), []);
    assert!(model.dialog.is_none());
    typed(&mut model, "b");
    update(&mut model, Msg::Directive(Box::new(world::would(64_210))));
    update(&mut model, key(KeyCode::BackTab));
    assert_eq!(update(&mut model, key(KeyCode::Enter)), [], "no reason yet");
    assert!(model.notice.as_ref().unwrap().1.contains("say why"));
    update(&mut model, key(KeyCode::BackTab));
    typed(&mut model, "domain=gmail.exampl");
    update(&mut model, key(KeyCode::BackTab));
    typed(&mut model, "wrong price");
    update(&mut model, key(KeyCode::BackTab));
    update(&mut model, key(KeyCode::BackTab));
    assert_eq!(update(&mut model, key(KeyCode::Enter)), [], "not typed whole");
    update(&mut model, key(KeyCode::BackTab));
    typed(&mut model, "e");
    update(&mut model, key(KeyCode::Tab));
    let effects = update(&mut model, key(KeyCode::Enter));
    let [Effect::Direct(order)] = &effects[..] else { panic!("{effects:?}") };
    assert!(!order.dry_run && order.expected == Some(64_210) && order.reason == "wrong price");
    let mut given = world::would(64_210);
    given.id = "d-118".into();
    update(&mut model, Msg::Directive(Box::new(given)));
    assert!(model.dialog.is_none());
    assert_eq!(typed(&mut model, "u"), [Effect::Undo("d-118".into())]);
}

#[test]
fn who_may_not_change_anything_is_told_so() {
    let mut model = console(Look::default(), 24);
    update(&mut model, Msg::Whoami(world::whoami(&["queue:read"])));
    assert_eq!(typed(&mut model, "r"), []);
    assert!(model.notice.as_ref().unwrap().1.contains("read-only"));
    assert!(frame(&model, 80, 24).contains("read-only"));
}

#[test]
fn what_is_frozen_stays_what_is_old_is_called_so_and_what_is_wrong_is_said() {
    let mut model = console(Look::default(), 24);
    typed(&mut model, "f");
    let mut newer = world::overview();
    newer.waiting = 1;
    update(&mut model, Msg::Overview(Box::new(newer)));
    assert!(
        frame(&model, 100, 24).contains("412,880") && frame(&model, 100, 24).contains("frozen")
    );
    typed(&mut model, "f");
    update(&mut model, Msg::Tick(world::NOW + 7));
    assert!(frame(&model, 100, 24).contains("stale 7s"));
    typed(&mut model, ":colour");
    update(&mut model, key(KeyCode::Enter));
    assert!(frame(&model, 100, 24).contains("there is no command colour"));
    update(
        &mut model,
        Msg::Refused("sit=x\n^^^\nthere is no field sit\ndid you mean site?".into()),
    );
    assert!(frame(&model, 100, 24).contains("did you mean site?"));
}

#[test]
fn marks_and_pages_move_what_is_in_sight() {
    let mut model = console(Look::default(), 24);
    typed(&mut model, "2");
    update(&mut model, Msg::Window(Box::new(world::queues())));
    typed(&mut model, "  ");
    let both = "domain=gmail.example or \
                domain=a-very-long-domain-name-that-goes-on-and-on.example";
    assert_eq!(model.selected().as_deref(), Some(both));
    assert_eq!(model.marks.len(), 2);
    typed(&mut model, "G");
    let effects = typed(&mut model, "j");
    let Effect::Follow(Screen::View { query, .. }) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(query.offset, Some(19));
    let effects = typed(&mut model, "g");
    let Effect::Follow(Screen::View { query, .. }) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(query.offset, Some(0));
}

#[test]
fn what_is_said_is_followed_until_the_cursor_is_moved() {
    let mut model = console(Look::default(), 24);
    assert_eq!(typed(&mut model, "L"), [Effect::Follow(Screen::Tail(Tail::Events(String::new())))]);
    let said = |n: usize| Said { text: format!("no. {n}"), ..tail::over() };
    update(&mut model, Msg::Said((0..100).map(said).collect(), false));
    assert!(frame(&model, 80, 24).contains("no. 99"));
    update(&mut model, Msg::Said(vec![said(100)], false));
    assert!(frame(&model, 80, 24).contains("no. 100"), "the newest is in sight");
    typed(&mut model, "g");
    update(&mut model, Msg::Said(vec![said(101)], false));
    let drawn = frame(&model, 80, 24);
    assert!(drawn.contains("no. 0") && !drawn.contains("no. 101"), "{drawn}");
    typed(&mut model, "C");
    assert!(frame(&model, 120, 24).contains("/v1/events/stream"));
    typed(&mut model, ":session s-7");
    let wanted = [Effect::Follow(Screen::Tail(Tail::Session("s-7".into())))];
    assert_eq!(update(&mut model, key(KeyCode::Enter)), wanted);
    assert!(frame(&model, 80, 24).contains("nothing was said yet"));
    typed(&mut model, "C");
    assert!(frame(&model, 120, 24).contains("maily sessions --follow s-7"));
    update(&mut model, key(KeyCode::Esc));
    assert_eq!(model.screen().crumb(), "events");
}

#[test]
fn the_mouse_moves_the_cursor_and_opens_and_does_nothing_to_mail() {
    let mut model = console(Look::default(), 24);
    typed(&mut model, "2");
    update(&mut model, Msg::Window(Box::new(world::queues())));
    let mouse =
        |kind, row| Msg::Mouse(MouseEvent { kind, column: 5, row, modifiers: KeyModifiers::NONE });
    let click = |row| mouse(MouseEventKind::Down(MouseButton::Left), row);
    let second = frame(&model, 80, 24).lines().nth(4).unwrap().to_owned();
    assert_eq!(update(&mut model, click(4)), []);
    assert_eq!(model.cursor, 1);
    let selector = model.selected().unwrap();
    assert!(second.contains(selector.trim_start_matches("domain=")), "{selector}: {second}");
    update(&mut model, click(23));
    update(&mut model, click(0));
    assert_eq!(model.cursor, 1, "there is no row");
    update(&mut model, mouse(MouseEventKind::ScrollUp, 9));
    assert_eq!(model.cursor, 0);
    let selector = model.selected().unwrap();
    assert_eq!(update(&mut model, click(3)), [Effect::Follow(Screen::Why { selector })]);
    update(&mut model, key(KeyCode::Esc));
    update(&mut model, Msg::Window(Box::new(world::queues())));
    typed(&mut model, "b");
    update(&mut model, click(3));
    assert!(model.dialog.is_some(), "a dialog is answered by keys");
}
