//! `maily console` and `maily top`: the console, and its first screen below the prompt.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use maily_core::clock::Clock;
use maily_tui::client::Server;
use maily_tui::look::{Look, Theme};
use maily_tui::run;
use maily_tui::run::Options;

use crate::command::{serve, top};
use crate::exit::{Exit, Failure};

/// Look at a running daemon, and steer it, in the terminal.
///
/// It asks by the admin socket (http.admin.listen), or by HTTP with a token. It changes nothing
/// unless --rw is given.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  maily console\n  maily console --rw\n  \
    maily console --connect 127.0.0.1:8025 --token-file token\n\n\
    ? shows the keys. NO_COLOR=1 draws without colours, MAILY_ASCII=1 as --ascii.\n\
    Exit code 69: the terminal cannot be used.")]
pub struct Arguments {
    /// Let it change something, if you may.
    #[arg(long)]
    rw: bool,
    /// Draw with ASCII alone.
    #[arg(long)]
    ascii: bool,
    /// Colours: dark, light or mono.
    #[arg(long, value_name = "THEME", value_parser = theme)]
    theme: Option<Theme>,
    /// Leave the mouse to the terminal.
    #[arg(long)]
    no_mouse: bool,
    /// Ask an API listener at this address instead of the admin socket.
    #[arg(long, value_name = "HOST:PORT", requires = "token_file")]
    connect: Option<String>,
    /// The file with the token for it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Write each frame as text into this file.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    serve: serve::Arguments,
}

fn theme(text: &str) -> Result<Theme, String> {
    match text {
        "dark" => Ok(Theme::Dark),
        "light" => Ok(Theme::Light),
        "mono" => Ok(Theme::Mono),
        _ => Err("write dark, light or mono".to_owned()),
    }
}

/// How it looks: what is asked for, and what the environment says.
fn look(ascii: bool, theme: Option<Theme>) -> Look {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let theme = theme.unwrap_or_default();
    Look {
        theme: if set("NO_COLOR") { Theme::Mono } else { theme },
        ascii: ascii || set("MAILY_ASCII"),
    }
}

fn socket(arguments: &serve::Arguments) -> Result<Server, Failure> {
    let config = serve::read_only(arguments)?;
    let listen = config.http.admin.listen;
    listen.map(Server::Socket).ok_or_else(|| {
        Failure::new(Exit::Config, anyhow!("set http.admin.listen: the console asks there"))
    })
}

/// Runs it.
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let server = match (arguments.connect, &arguments.token_file) {
        (Some(host), Some(file)) => {
            let token = std::fs::read_to_string(file)
                .with_context(|| file.display().to_string())
                .map_err(|error| Failure::new(Exit::Io, error))?;
            Server::Address { host, token: token.trim().to_owned() }
        }
        _ => socket(&arguments.serve)?,
    };
    let options = Options {
        server,
        look: look(arguments.ascii, arguments.theme),
        writable: arguments.rw,
        inline: None,
        mouse: !arguments.no_mouse,
        record: arguments.record,
    };
    draw(options, clock).await
}

/// Runs the first screen below the prompt, or prints it once.
pub async fn top(arguments: top::Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    if arguments.once {
        return top::once(&arguments, clock).await;
    }
    let options = Options {
        server: socket(&arguments.serve)?,
        look: look(false, None),
        writable: false,
        inline: arguments.inline,
        mouse: false,
        record: None,
    };
    draw(options, clock).await
}

async fn draw(options: Options, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let drawn = run::run(options, clock).await;
    drawn.map(|()| Exit::Ok).map_err(|error| Failure::new(Exit::Unavailable, error))
}
