//! What follows from a key, from the time, and from what the daemon says.

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;
use crossterm::event::MouseButton;
use crossterm::event::MouseEvent;
use crossterm::event::MouseEventKind;

use maily_api::directive::Directive;
use maily_api::directive::Verb;
use maily_api::overview::Overview;
use maily_api::session::Whoami;
use maily_api::story::Story;
use maily_api::view::ViewInfo;
use maily_api::view::ViewQuery;
use maily_api::view::Window;
use maily_api::view::WindowDiff;
use maily_api::why::Why;

use crate::acting::act;
use crate::acting::ask;
use crate::acting::asked;
use crate::acting::follow;
use crate::acting::open;
use crate::acting::step;
use crate::acting::undo;
use crate::command;
use crate::command::Command;
use crate::dialog::Focus;
use crate::effect::Effect;
use crate::keys;
use crate::keys::Action;
use crate::model::Model;
use crate::model::Screen;
use crate::model::Typing;
use crate::tail;
use crate::tail::Said;

/// The most characters that are typed into one line.
const TYPED_MAX: usize = 2_000;
/// Rows that a notch of the wheel moves.
const WHEEL_ROWS: i64 = 3;
/// The line of the screen at which the rows of a view begin: behind the border, what is in sight,
/// and the titles.
const FIRST_ROW: u16 = 3;
/// Commands that are remembered.
const HISTORY_MAX: usize = 100;

/// What has happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// A text was put in.
    Pasted(String),
    /// So many rows fit on the screen.
    Resized(u16),
    /// A second has passed: what time it is, in seconds since 1970.
    Tick(u64),
    /// The daemon can be reached, or cannot and why.
    Link(Result<(), String>),
    /// All at a glance.
    Overview(Box<Overview>),
    /// What is in sight.
    Window(Box<Window>),
    /// What has changed of it.
    Diff(Box<WindowDiff>),
    /// Why mail waits.
    Why(Why),
    /// The life of a message.
    Story(Box<Story>),
    /// What was said; all that is known of it if so.
    Said(Vec<Said>, bool),
    /// The views that there are.
    Views(Vec<ViewInfo>),
    /// Who we are.
    Whoami(Whoami),
    /// What would happen, or has been done.
    Directive(Box<Directive>),
    /// Something that was asked for was refused.
    Refused(String),
}

/// Does what follows.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => return on_key(model, key),
        Msg::Mouse(event) => return on_mouse(model, event),
        Msg::Pasted(text) => on_pasted(model, &text),
        Msg::Resized(height) => {
            model.height = height;
            return vec![Effect::Follow(asked(model))];
        }
        Msg::Tick(now) => model.now = now,
        Msg::Link(Ok(())) => (model.link.up, model.link.heard) = (true, Some(model.now)),
        Msg::Link(Err(why)) => {
            model.link.up = false;
            model.notice = Some((false, why));
        }
        Msg::Refused(why) => {
            model.notice = Some((false, why));
            if let Some(dialog) = &mut model.dialog
                && dialog.would.is_none()
            {
                model.dialog = None;
            }
        }
        Msg::Whoami(whoami) => {
            let may = whoami.permissions.iter().any(|name| name == "queue:write");
            model.writable &= may;
            model.known.whoami = Some(whoami);
        }
        Msg::Views(views) => model.known.views = views,
        Msg::Directive(directive) => on_directive(model, directive),
        data => {
            model.link.heard = Some(model.now);
            model.link.up = true;
            if !model.frozen {
                on_data(model, data);
            }
        }
    }
    Vec::new()
}

fn on_data(model: &mut Model, data: Msg) {
    let shown = match model.screen() {
        Screen::View { name, .. } => Some(name.clone()),
        _ => None,
    };
    match data {
        Msg::Overview(overview) => model.known.overview = Some(overview),
        Msg::Window(window) if shown.as_ref() == Some(&window.view) => {
            model.known.window = Some(window);
        }
        Msg::Diff(diff) => {
            if let Some(window) = &mut model.known.window {
                window.apply(*diff);
            }
        }
        Msg::Why(why) => model.known.why = Some(why),
        Msg::Story(story) => model.known.story = Some(story),
        Msg::Said(lines, all) => return on_said(model, lines, all),
        _ => {}
    }
    model.cursor = model.cursor.min(model.rows().saturating_sub(1));
}

/// The cursor stays at the newest line, if it is there.
fn on_said(model: &mut Model, lines: Vec<Said>, all: bool) {
    let follows = model.cursor + 1 >= model.known.tail.len();
    if all {
        model.known.tail.clear();
    }
    tail::push(&mut model.known.tail, lines);
    let last = model.known.tail.len().saturating_sub(1);
    model.cursor = if follows { last } else { model.cursor.min(last) };
}

fn on_directive(model: &mut Model, directive: Box<Directive>) {
    if directive.id == "dry-run" {
        if let Some(dialog) = &mut model.dialog {
            dialog.would = Some(directive);
        }
        return;
    }
    let undo = match directive.verb {
        Verb::Resume | Verb::Release | Verb::Retry => "",
        _ => ", u undoes it",
    };
    let state = format!("{:?}", directive.state).to_lowercase();
    let (id, matched, verb) = (&directive.id, directive.matched, directive.verb.word());
    model.notice = Some((true, format!("{id}: {verb} {state}, {matched} messages{undo}")));
    model.known.given = Some(directive);
    model.dialog = None;
    model.marks.clear();
}

fn on_pasted(model: &mut Model, text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some(typed) = typed_mut(model) {
        typed.push_str(&line);
        bound(typed);
    }
}

fn bound(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TYPED_MAX) {
        text.truncate(end);
    }
}

fn typed_mut(model: &mut Model) -> Option<&mut String> {
    if let Some(dialog) = &mut model.dialog {
        return dialog.text_mut();
    }
    match &mut model.typing {
        Typing::Command(text) | Typing::Filter(text) => Some(text),
        Typing::Nothing => None,
    }
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    if interrupt {
        return vec![Effect::Quit(false)];
    }
    if model.dialog.is_some() {
        return on_dialog_key(model, key);
    }
    if model.typing != Typing::Nothing {
        return on_typing_key(model, key);
    }
    model.notice = None;
    match keys::action(key) {
        Some(action) => act(model, action),
        None => Vec::new(),
    }
}

/// The wheel moves the cursor, a click puts it there, and a click where it is opens. What is done
/// to mail is done by keys.
fn on_mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    if model.dialog.is_some() || model.typing != Typing::Nothing {
        return Vec::new();
    }
    match event.kind {
        MouseEventKind::ScrollDown => step(model, WHEEL_ROWS),
        MouseEventKind::ScrollUp => step(model, -WHEEL_ROWS),
        MouseEventKind::Down(MouseButton::Left) => match row_at(model, event.row) {
            Some(row) if row == model.cursor => act(model, Action::Open),
            Some(row) => {
                model.cursor = row;
                Vec::new()
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The row of a view that is drawn at this line of the screen.
fn row_at(model: &Model, line: u16) -> Option<usize> {
    let Screen::View { .. } = model.screen() else { return None };
    let fit = usize::from(model.rows_wanted());
    let first = (model.cursor + 1).saturating_sub(fit);
    let row = first + usize::from(line.checked_sub(FIRST_ROW)?);
    (row < model.rows().min(first + fit)).then_some(row)
}

fn on_dialog_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(dialog) = &mut model.dialog else { return Vec::new() };
    match key.code {
        KeyCode::Esc => model.dialog = None,
        KeyCode::Tab | KeyCode::Down => dialog.turn(false),
        KeyCode::BackTab | KeyCode::Up => dialog.turn(true),
        KeyCode::Enter => match dialog.focus {
            Focus::Cancel => model.dialog = None,
            Focus::Reason | Focus::Typed => dialog.turn(false),
            Focus::Do => match dialog.lacks() {
                Some(why) => model.notice = Some((false, why.to_owned())),
                None => return vec![Effect::Direct(Box::new(dialog.order()))],
            },
        },
        KeyCode::Backspace => {
            dialog.text_mut().and_then(String::pop);
        }
        KeyCode::Char(c) => match dialog.text_mut() {
            Some(text) => {
                text.push(c);
                bound(text);
            }
            None if c == 'C' => {
                let command = dialog.would.as_ref().map(|would| would.command.clone());
                model.notice = command.map(|command| (true, command));
            }
            None => {}
        },
        _ => {}
    }
    Vec::new()
}

fn on_typing_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => model.typing = Typing::Nothing,
        KeyCode::Enter => return on_typed(model),
        KeyCode::Tab => {
            if let Typing::Command(text) = &mut model.typing
                && let Some(first) = command::completions(text, &model.known.views).first()
            {
                *text = format!("{first} ");
            }
        }
        KeyCode::Up => {
            if let (Typing::Command(text), Some(last)) = (&mut model.typing, model.history.last()) {
                text.clone_from(last);
            }
        }
        KeyCode::Backspace => {
            typed_mut(model).and_then(String::pop);
        }
        KeyCode::Char(c) => {
            if let Some(text) = typed_mut(model) {
                text.push(c);
                bound(text);
            }
        }
        _ => {}
    }
    Vec::new()
}

fn on_typed(model: &mut Model) -> Vec<Effect> {
    match std::mem::replace(&mut model.typing, Typing::Nothing) {
        Typing::Nothing => Vec::new(),
        Typing::Filter(text) => {
            if let Some(Screen::View { query, .. }) = model.screens.last_mut() {
                query.filter = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                query.offset = None;
            } else if let Some(Screen::Why { selector }) = model.screens.last_mut() {
                text.trim().clone_into(selector);
            }
            follow(model)
        }
        Typing::Command(text) => {
            model.history.push(text.clone());
            if model.history.len() > HISTORY_MAX {
                model.history.remove(0);
            }
            match command::parse(&text, &model.known.views) {
                Ok(command) => on_command(model, command),
                Err(why) => {
                    model.notice = Some((false, why));
                    Vec::new()
                }
            }
        }
    }
}

fn on_command(model: &mut Model, command: Command) -> Vec<Effect> {
    match command {
        Command::Overview => open(model, Screen::Overview),
        Command::View(name, selector) => {
            let filter = Some(selector).filter(|selector| !selector.is_empty());
            open(model, Screen::View { name, query: ViewQuery { filter, ..ViewQuery::default() } })
        }
        Command::Why(selector) => open(model, Screen::Why { selector }),
        Command::Trace(message) => open(model, Screen::Story { message }),
        Command::Tail(tail) => open(model, Screen::Tail(tail)),
        Command::Help => open(model, Screen::Help),
        Command::Quit => vec![Effect::Quit(false)],
        Command::Undo(name) => undo(model, name),
        Command::Do { verb, selector, pool, reason } => {
            let effects = ask(model, verb, &selector);
            if let Some(dialog) = &mut model.dialog {
                (dialog.request.pool, dialog.request.reason) = (pool, reason);
                let request = Box::new(dialog.request.clone());
                return vec![Effect::Direct(request)];
            }
            effects
        }
    }
}
