//! `maily completions` and `maily man`: made of the commands themselves, so that they are never out
//! of date.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man as Page;

use crate::exit::{Exit, Failure};

/// Print what a shell completes commands and options with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    maily completions bash > /etc/bash_completion.d/maily\n  \
    maily completions zsh > /usr/local/share/zsh/site-functions/_maily\n  \
    maily completions fish > ~/.config/fish/completions/maily.fish")]
pub struct Completions {
    /// For which shell.
    shell: Shell,
}

/// Print the manual page of a command, or write all of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  maily man | man -l -\n  maily man plugin test | man -l -\n  \
    maily man --into /usr/local/share/man/man1")]
pub struct Man {
    /// Of which command; of maily itself without.
    command: Vec<String>,
    /// Write the pages of all commands into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    into: Option<PathBuf>,
}

/// Prints completions of these commands.
pub fn completions(arguments: &Completions, mut command: Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "maily", &mut script);
    print(&script)
}

/// Prints or writes manual pages of these commands.
pub fn man(arguments: &Man, mut command: Command) -> Result<Exit, Failure> {
    // Names of commands within commands: maily-plugin-test.
    command.build();
    if let Some(folder) = &arguments.into {
        return write(&command, folder);
    }
    let mut found = &command;
    for name in &arguments.command {
        found = found.find_subcommand(name).ok_or_else(|| {
            Failure::new(Exit::Nothing, anyhow!("there is no command {name:?} here; maily --help"))
        })?;
    }
    print(&page(found)?)
}

fn print(octets: &[u8]) -> Result<Exit, Failure> {
    // Whoever reads it may have read enough.
    let _closed = std::io::stdout().lock().write_all(octets);
    Ok(Exit::Ok)
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    Page::new(command.clone()).render(&mut octets)?;
    Ok(octets)
}

fn write(command: &Command, folder: &Path) -> Result<Exit, Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| pages(command, folder))
        .with_context(|| folder.display().to_string())
        .map_err(|error| Failure::new(Exit::Io, error))?;
    Ok(Exit::Ok)
}

fn pages(command: &Command, folder: &Path) -> std::io::Result<()> {
    let page = Page::new(command.clone());
    let mut octets = Vec::new();
    page.render(&mut octets)?;
    std::fs::write(folder.join(page.get_filename()), octets)?;
    for within in command.get_subcommands().filter(|within| within.get_name() != "help") {
        pages(within, folder)?;
    }
    Ok(())
}
