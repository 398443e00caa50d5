//! The loop: the terminal on one side, the daemon on the other.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::DisableBracketedPaste;
use crossterm::event::DisableMouseCapture;
use crossterm::event::EnableBracketedPaste;
use crossterm::event::EnableMouseCapture;
use crossterm::event::Event;
use crossterm::event::EventStream;
use crossterm::event::KeyEventKind;
use crossterm::event::MouseEventKind;
use crossterm::execute;
use crossterm::terminal::BeginSynchronizedUpdate;
use crossterm::terminal::EndSynchronizedUpdate;
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use ratatui::TerminalOptions;
use ratatui::Viewport;
use ratatui::buffer::Buffer;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use maily_core::clock::Clock;

use crate::client::Client;
use crate::client::Server;
use crate::draw::draw;
use crate::effect::Effect;
use crate::look::Look;
use crate::model::Model;
use crate::model::Screen;
use crate::update::Msg;
use crate::update::update;

/// Messages that wait to be looked at; more make the network wait.
const MESSAGES_MAX: usize = 256;
/// What is looked at before the screen is drawn again.
const TOGETHER_MAX: usize = 64;
/// The most octets that are copied: terminals take no more.
const COPY_OCTETS_MAX: usize = 74_994;

/// What an operator chose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the daemon is.
    pub server: Server,
    /// How it looks.
    pub look: Look,
    /// Whether anything may be changed.
    pub writable: bool,
    /// How many rows below the prompt; the whole screen without.
    pub inline: Option<u16>,
    /// Whether the mouse is heard; then the terminal selects text only with shift.
    pub mouse: bool,
    /// Where each frame is written as text.
    pub record: Option<PathBuf>,
}

/// Runs until somebody leaves.
///
/// # Errors
/// The terminal cannot be used.
pub async fn run(options: Options, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    let viewport = options.inline.map(Viewport::Inline);
    let terminal = match viewport {
        Some(viewport) => ratatui::try_init_with_options(TerminalOptions { viewport }),
        None => ratatui::try_init(),
    };
    let mut terminal = terminal.context("this is no terminal that can be drawn on")?;
    let _pasting = execute!(std::io::stdout(), EnableBracketedPaste);
    let inline = options.inline.is_some();
    let mouse = options.mouse && !inline;
    if mouse {
        let _heard = execute!(std::io::stdout(), EnableMouseCapture);
    }
    let kept = Console::begin(options, &mut terminal, clock).await;
    let _pasting = execute!(std::io::stdout(), DisableBracketedPaste);
    if mouse {
        let _heard = execute!(std::io::stdout(), DisableMouseCapture);
    }
    ratatui::restore();
    if let Ok(Some(screen)) = &kept
        && !inline
    {
        let mut out = std::io::stdout();
        writeln!(out, "{screen}")?;
    }
    kept.map(|_| ())
}

struct Console {
    model: Model,
    client: Client,
    following: JoinHandle<()>,
    record: Option<std::fs::File>,
    dirty: bool,
    /// Whether to leave, and whether the screen stays.
    left: Option<bool>,
}

impl Console {
    /// Gives the last frame, if it is to stay.
    async fn begin(
        options: Options,
        terminal: &mut DefaultTerminal,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Option<String>> {
        let (heard, mut hearing) = mpsc::channel(MESSAGES_MAX);
        let client = Client { server: options.server, heard };
        let height = options.inline.unwrap_or(terminal.size()?.height);
        let mut model = Model::new(options.look, options.writable, height);
        model.now = clock.now().as_secs();
        let record = options.record.map(std::fs::File::create).transpose()?;
        let following = tokio::spawn(client.clone().follow(Screen::Overview));
        tokio::spawn(client.clone().once(Effect::Introduce));
        let mut this = Self { model, client, following, record, dirty: true, left: None };
        let mut keys = EventStream::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let mut last = String::new();
        while this.left.is_none() {
            if std::mem::take(&mut this.dirty) {
                last = this.show(terminal)?;
            }
            tokio::select! {
                biased;
                key = keys.next() => match key {
                    Some(Ok(event)) => this.on_event(event),
                    // The terminal has gone.
                    Some(Err(_)) | None => this.left = Some(false),
                },
                Some(msg) = hearing.recv() => {
                    this.on_msg(msg);
                    for _ in 0..TOGETHER_MAX {
                        let Ok(msg) = hearing.try_recv() else { break };
                        this.on_msg(msg);
                    }
                }
                _ = tick.tick() => this.on_msg(Msg::Tick(clock.now().as_secs())),
                _ = term.recv() => this.left = Some(false),
                _ = hup.recv() => this.left = Some(false),
            }
        }
        this.following.abort();
        Ok(this.left.filter(|stays| *stays).map(|_| last))
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Press => self.on_msg(Msg::Key(key)),
            Event::Mouse(event) if event.kind != MouseEventKind::Moved => {
                self.on_msg(Msg::Mouse(event));
            }
            Event::Paste(text) => self.on_msg(Msg::Pasted(text)),
            Event::Resize(_, height) => self.on_msg(Msg::Resized(height)),
            _ => {}
        }
    }

    fn on_msg(&mut self, msg: Msg) {
        // A second that changes nothing on the screen is not drawn.
        let quiet = matches!(msg, Msg::Tick(_) | Msg::Link(Ok(())));
        let stale = self.model.is_stale();
        let effects = update(&mut self.model, msg);
        let ages = stale || self.model.is_stale() || self.model.relative;
        self.dirty |= !quiet || ages;
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Follow(screen) => {
                self.following.abort();
                self.following = tokio::spawn(self.client.clone().follow(screen));
            }
            Effect::Copy(text) => copy(&text),
            Effect::Quit(stays) => self.left = Some(stays),
            once => {
                tokio::spawn(self.client.clone().once(once));
            }
        }
    }

    /// Draws the screen; gives it as text.
    fn show(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<String> {
        execute!(std::io::stdout(), BeginSynchronizedUpdate)?;
        let model = &self.model;
        let drawn = terminal.draw(|frame| draw(model, frame)).map(|frame| text(frame.buffer));
        execute!(std::io::stdout(), EndSynchronizedUpdate)?;
        let text = drawn?;
        if let Some(record) = &mut self.record {
            writeln!(record, "{text}\n\x0c")?;
        }
        Ok(text)
    }
}

/// OSC 52: the terminal puts it where it copies to, also over ssh.
fn copy(text: &str) {
    if text.len() <= COPY_OCTETS_MAX {
        let mut out = std::io::stdout();
        // A terminal that has gone is noticed elsewhere.
        let _gone = write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(text));
        let _gone = out.flush();
    }
}

/// A frame as text.
pub fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y: u16| {
        let cells = (area.left()..area.right()).filter_map(|x| buffer.cell((x, y)));
        let line: String = cells.map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    (area.top()..area.bottom()).map(line).collect::<Vec<_>>().join("\n")
}
