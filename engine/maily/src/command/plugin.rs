//! `maily plugin`: begins, checks, tests, tries, measures and describes plugins in their folders;
//! and says and chooses what the running daemon does with its plugins.

use std::path::PathBuf;
use std::sync::Arc;

use maily_core::clock::Clock;
use maily_plugins::hook::Hook;

use crate::command::plugin::choosing::Choice;
use crate::exit::Exit;
use crate::exit::Failure;

mod checking;
mod choosing;
mod measuring;
mod reading;
mod replaying;
mod testing;
mod trying;

/// Write, check and test plugins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  maily plugin new promo --hook on_personalize\n  \
    maily plugin test promo\n  maily plugin check scripts --format sarif\n\n\
    A folder is a plugin, or holds plugins. Exit codes: 0 all is well, 2 something is not,\n\
    74 files cannot be read or written.")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Begin a plugin: a folder with a script and a case that passes.
    New {
        /// Its name, which its folder gets too.
        name: String,
        /// Where it is asked.
        #[arg(long, default_value = "on_personalize")]
        hook: Hook,
        /// The folder in which its folder is made.
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// Compile plugins, run their cases and say what is wrong or odd.
    Check(checking::Arguments),
    /// Run the cases of plugins. One without cases is tried with samples.
    Test(testing::Arguments),
    /// Measure how long the hooks of plugins take.
    Bench(measuring::Arguments),
    /// Call a hook once and print what it answers.
    Run(trying::Arguments),
    /// Run two versions of a plugin over recorded inputs and show where they differ.
    Replay(replaying::Arguments),
    /// Print what there is to know about a plugin, as Markdown.
    Doc {
        /// The plugin's folder; without it, what the host offers.
        folder: Option<PathBuf>,
        /// Print the definitions for editors (.d.rhai).
        #[arg(long)]
        definitions: bool,
    },
    /// Say how the plugins of the running daemon fare.
    Status(choosing::Status),
    /// Let the running daemon load a plugin again.
    Enable(choosing::Named),
    /// Let the running daemon load a plugin no longer. It is kept over restarts.
    Disable(choosing::Named),
    /// Try a version of a plugin on a part of all mail of the running daemon.
    Stage(choosing::Stage),
    /// Use the version that is tried for all mail.
    Promote(choosing::Named),
    /// End the trial of a version; if none is tried, go back to the version before.
    Rollback(choosing::Named),
    /// List plugins with their hooks, in the order in which they are asked.
    List {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does what is asked.
pub async fn run(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    match &arguments.what {
        What::New { name, hook, folder } => reading::begin(folder, name, *hook),
        What::Check(arguments) => checking::check(arguments, clock),
        What::Test(arguments) => testing::test(arguments, clock),
        What::Bench(arguments) => measuring::bench(arguments, clock),
        What::Replay(arguments) => replaying::replay(arguments, clock).await,
        What::Run(arguments) => trying::run(arguments, clock),
        What::Doc { folder, definitions } => reading::doc(folder.as_deref(), *definitions),
        What::List { folder, json } => reading::list(folder, *json),
        What::Status(status) => choosing::status(status, clock).await,
        What::Enable(named) => choosing::choose(named, Choice::Enable, clock).await,
        What::Disable(named) => choosing::choose(named, Choice::Disable, clock).await,
        What::Stage(stage) => choosing::stage(stage, clock).await,
        What::Promote(named) => choosing::choose(named, Choice::Promote, clock).await,
        What::Rollback(named) => choosing::choose(named, Choice::RollBack, clock).await,
    }
}
