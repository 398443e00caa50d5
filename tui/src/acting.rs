//! What follows from the keys that do something.

use maily_api::directive::Verb;
use maily_api::view::ViewQuery;

use crate::dialog::Dialog;
use crate::effect::Effect;
use crate::keys::Action;
use crate::keys::NUMBERED;
use crate::model::Model;
use crate::model::SCREENS_MAX;
use crate::model::Screen;
use crate::model::Typing;
use crate::tail::Tail;

/// Why nothing may be changed; none if something may.
fn read_only(model: &Model) -> Option<String> {
    (!model.writable).then(|| "read-only: start with --rw, as somebody who may".to_owned())
}

pub(crate) fn undo(model: &mut Model, name: String) -> Vec<Effect> {
    match read_only(model) {
        Some(why) => {
            model.notice = Some((false, why));
            Vec::new()
        }
        None => vec![Effect::Undo(name)],
    }
}

/// Asks the daemon what would happen, in a dialog.
pub(crate) fn ask(model: &mut Model, verb: Verb, selector: &str) -> Vec<Effect> {
    if let Some(why) = read_only(model) {
        model.notice = Some((false, why));
        return Vec::new();
    }
    let dialog = Dialog::new(verb, selector);
    let request = Box::new(dialog.request.clone());
    model.dialog = Some(dialog);
    vec![Effect::Direct(request)]
}

fn ask_of_cursor(model: &mut Model, verb: Verb) -> Vec<Effect> {
    match model.selected() {
        Some(selector) => ask(model, verb, &selector),
        None => {
            model.notice = Some((false, format!("{}: nothing is chosen here", verb.word())));
            Vec::new()
        }
    }
}

pub(crate) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Down => return step(model, 1),
        Action::Up => return step(model, -1),
        Action::PageDown => return step(model, i64::from(model.rows_wanted())),
        Action::PageUp => return step(model, -i64::from(model.rows_wanted())),
        Action::Top => return step(model, i64::MIN / 2),
        Action::Bottom => model.cursor = model.rows().saturating_sub(1),
        Action::Open => return on_open(model),
        Action::Back => return back(model),
        Action::Last => {
            if let Some(screen) = model.left.clone() {
                return open(model, screen);
            }
        }
        Action::Command => model.typing = Typing::Command(String::new()),
        Action::Filter => {
            let text = match model.screen() {
                Screen::View { query, .. } => query.filter.clone().unwrap_or_default(),
                Screen::Why { selector } => selector.clone(),
                _ => return open(model, Screen::view("queues")),
            };
            model.typing = Typing::Filter(text);
        }
        Action::Help => return open(model, Screen::Help),
        Action::Screen(1) => return open(model, Screen::Overview),
        Action::Screen(number) => {
            let place = usize::from(number).saturating_sub(2);
            if let Some(name) = NUMBERED.get(place) {
                return open(model, Screen::view(name));
            }
        }
        Action::Mark => mark(model),
        Action::Sort | Action::Reverse | Action::Group => return reorder(model, action),
        Action::Freeze => model.frozen = !model.frozen,
        Action::Why => {
            let selector = model.selected().unwrap_or_default();
            return open(model, Screen::Why { selector });
        }
        Action::Jobs => return open(model, Screen::view("jobs")),
        Action::Log => return open(model, Screen::Tail(Tail::Events(String::new()))),
        Action::Talk => return talk(model),
        Action::Copy => return copy(model),
        Action::Show => {
            model.notice = Some((true, equivalent(model)));
        }
        Action::Privacy => model.private = !model.private,
        Action::Time => model.relative = !model.relative,
        Action::Refresh => return follow(model),
        Action::QuitKeeping => return vec![Effect::Quit(true)],
        Action::Quit => return vec![Effect::Quit(false)],
        other => return steer(model, other),
    }
    Vec::new()
}

/// What is said in the session that the cursor is at.
fn talk(model: &mut Model) -> Vec<Effect> {
    match model.screen() {
        Screen::View { name, .. } if name == "sessions" => match cell(model, "session") {
            Some(session) => open(model, Screen::Tail(Tail::Session(session))),
            None => Vec::new(),
        },
        _ => open(model, Screen::Tail(Tail::Failed)),
    }
}

/// The command that shows the same.
fn equivalent(model: &Model) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    match model.screen() {
        Screen::Overview | Screen::Help => "maily top".to_owned(),
        Screen::View { name, query } => {
            let mut words = vec!["maily view".to_owned(), name.clone()];
            words.extend(query.filter.as_deref().map(quote));
            words.extend(query.sort.as_ref().map(|sort| format!("--sort {sort}")));
            words.extend(query.group.as_ref().map(|group| format!("--group {group}")));
            words.join(" ")
        }
        Screen::Why { selector } => format!("maily why {}", quote(selector)),
        Screen::Story { message } => format!("maily trace {message}"),
        Screen::Tail(tail) => tail.command(),
    }
}

/// What is done with the mail that the cursor is at.
fn steer(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Pause => {
            let verb = if is_paused(model) { Verb::Resume } else { Verb::Suspend };
            return ask_of_cursor(model, verb);
        }
        Action::Retry => return ask_of_cursor(model, Verb::Retry),
        Action::Bounce => return ask_of_cursor(model, Verb::Bounce),
        Action::Hold => return ask_of_cursor(model, Verb::Hold),
        Action::Release => return ask_of_cursor(model, Verb::Release),
        Action::Move => {
            let selector = model.selected().unwrap_or_default();
            model.typing = Typing::Command(format!("move {selector} --pool "));
        }
        Action::Undo => {
            let name = model.known.given.as_ref().map(|given| given.id.clone());
            let name = name.or_else(|| job(model));
            return match name {
                Some(name) => undo(model, name),
                None => {
                    model.notice = Some((false, "nothing was done here: see J".to_owned()));
                    Vec::new()
                }
            };
        }
        _ => {}
    }
    Vec::new()
}

/// Whether what the cursor is at is held back by an operator.
fn is_paused(model: &Model) -> bool {
    match model.screen() {
        Screen::Why { .. } => {
            let why = model.known.why.as_ref();
            let cause = why.and_then(|why| why.causes.get(model.cursor));
            cause.is_some_and(|cause| cause.cause == "admin")
        }
        Screen::Overview => {
            let overview = model.known.overview.as_ref();
            let one = overview.and_then(|overview| overview.attention.get(model.cursor));
            one.is_some_and(|one| one.severity == maily_api::overview::Severity::Intended)
        }
        Screen::View { .. } => {
            let row = model.known.window.as_ref().and_then(|w| w.rows.get(model.cursor));
            row.is_some_and(|row| row.cells.iter().any(|cell| cell == "admin"))
        }
        Screen::Story { .. } | Screen::Tail(_) | Screen::Help => false,
    }
}

fn cell(model: &Model, name: &str) -> Option<String> {
    let window = model.known.window.as_ref()?;
    let place = window.columns.iter().position(|column| column.name == name)?;
    let cell = window.rows.get(model.cursor)?.cells.get(place)?;
    Some(cell.as_str().map_or_else(|| cell.to_string(), ToOwned::to_owned))
}

/// The directive that the cursor is at.
fn job(model: &Model) -> Option<String> {
    match model.screen() {
        Screen::View { name, .. } if name == "jobs" => cell(model, "id"),
        _ => None,
    }
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let text = match model.screen() {
        Screen::Story { message } => Some(message.clone()),
        Screen::View { .. } => {
            let window = model.known.window.as_ref();
            let first = window.and_then(|window| window.columns.first());
            first.map(|column| column.name.clone()).and_then(|name| cell(model, &name))
        }
        _ => model.selected(),
    };
    model.notice = Some(match &text {
        Some(text) => (true, format!("copied {text}")),
        None => (false, "nothing is chosen here".to_owned()),
    });
    text.map(Effect::Copy).into_iter().collect()
}

fn mark(model: &mut Model) {
    let row = model.known.window.as_ref().and_then(|window| window.rows.get(model.cursor));
    let Some(key) = row.map(|row| row.key.clone()) else { return };
    if !model.marks.remove(&key) {
        model.marks.insert(key);
    }
    model.cursor = (model.cursor + 1).min(model.rows().saturating_sub(1));
}

fn reorder(model: &mut Model, action: Action) -> Vec<Effect> {
    let name = match model.screen() {
        Screen::View { name, .. } => name.clone(),
        _ => return Vec::new(),
    };
    let info = model.known.views.iter().find(|view| view.name == name).cloned();
    let (Some(info), Some(Screen::View { query, .. })) = (info, model.screens.last_mut()) else {
        return Vec::new();
    };
    let sort = query.sort.clone().unwrap_or_else(|| info.sort.clone());
    let (column, falls) = (sort.trim_start_matches('-').to_owned(), sort.starts_with('-'));
    match action {
        Action::Sort => {
            let place = info.columns.iter().position(|c| c.name == column).unwrap_or(0);
            let next = info.columns.get((place + 1) % info.columns.len().max(1));
            query.sort = next.map(|next| format!("-{}", next.name));
        }
        Action::Reverse => {
            query.sort = Some(if falls { column } else { format!("-{column}") });
        }
        _ => {
            let groups = &info.groups;
            let place = groups.iter().position(|name| Some(name) == query.group.as_ref());
            query.group = match place {
                None => groups.first().cloned(),
                Some(place) => groups.get(place + 1).cloned(),
            };
        }
    }
    follow(model)
}

pub(crate) fn step(model: &mut Model, rows: i64) -> Vec<Effect> {
    let (cursor, last) = (model.cursor as i64, model.rows() as i64 - 1);
    let wanted = cursor.saturating_add(rows);
    if (0..=last).contains(&wanted) {
        model.cursor = wanted as usize;
        return Vec::new();
    }
    let more = model.known.window.as_ref().map_or(0, |window| window.selected);
    let height = u32::from(model.rows_wanted());
    model.cursor = if wanted < 0 { 0 } else { last.max(0) as usize };
    let Some(Screen::View { query, .. }) = model.screens.last_mut() else { return Vec::new() };
    let offset = query.offset.unwrap_or(0);
    let next = match wanted < 0 {
        true if rows < -1_000_000 => 0,
        true => offset.saturating_sub(height),
        false if u64::from(offset) + (last as u64) + 1 < more => offset.saturating_add(height),
        false => offset,
    };
    if next == offset {
        return Vec::new();
    }
    query.offset = Some(next);
    model.cursor = if wanted < 0 { last.max(0) as usize } else { 0 };
    follow(model)
}

fn on_open(model: &mut Model) -> Vec<Effect> {
    let next = match model.screen() {
        Screen::View { name, .. } if name == "messages" => {
            cell(model, "id").map(|message| Screen::Story { message })
        }
        Screen::View { name, .. } if name == "sessions" => {
            cell(model, "session").map(|session| Screen::Tail(Tail::Session(session)))
        }
        Screen::Why { .. } => model.selected().map(|selector| {
            let query = ViewQuery { filter: Some(selector), ..ViewQuery::default() };
            Screen::View { name: "messages".into(), query }
        }),
        _ => model.selected().map(|selector| Screen::Why { selector }),
    };
    match next {
        Some(screen) => open(model, screen),
        None => Vec::new(),
    }
}

pub(crate) fn open(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.left = Some(model.screen().clone());
    if screen == Screen::Overview {
        model.screens.clear();
    }
    model.screens.push(screen);
    if model.screens.len() > SCREENS_MAX {
        model.screens.remove(0);
    }
    (model.cursor, model.frozen) = (0, false);
    model.marks.clear();
    forget(model);
    follow(model)
}

/// What was said of another screen.
fn forget(model: &mut Model) {
    (model.known.window, model.known.why, model.known.story) = (None, None, None);
    model.known.tail.clear();
}

fn back(model: &mut Model) -> Vec<Effect> {
    if model.screens.len() < 2 {
        return vec![Effect::Quit(false)];
    }
    model.left = model.screens.pop();
    (model.cursor, model.frozen) = (0, false);
    model.marks.clear();
    forget(model);
    follow(model)
}

/// The screen with as many rows as fit.
pub(crate) fn asked(model: &Model) -> Screen {
    match model.screen() {
        Screen::View { name, query } => {
            let limit = Some(model.rows_wanted());
            Screen::View { name: name.clone(), query: ViewQuery { limit, ..query.clone() } }
        }
        other => other.clone(),
    }
}

pub(crate) fn follow(model: &Model) -> Vec<Effect> {
    vec![Effect::Follow(asked(model))]
}
