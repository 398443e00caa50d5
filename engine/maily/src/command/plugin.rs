//! `maily plugin`: begins, checks, tests, tries, measures and describes plugins. It works on their
//! folders and asks no daemon.

use std::path::PathBuf;
use std::sync::Arc;

use maily_core::clock::Clock;
use maily_plugins::hook::Hook;

use crate::exit::Exit;
use crate::exit::Failure;

mod checking;
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
pub fn run(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    match &arguments.what {
        What::New { name, hook, folder } => reading::begin(folder, name, *hook),
        What::Check(arguments) => checking::check(arguments, clock),
        What::Test(arguments) => testing::test(arguments, clock),
        What::Bench(arguments) => measuring::bench(arguments, clock),
        What::Replay(arguments) => replaying::replay(arguments, clock),
        What::Run(arguments) => trying::run(arguments, clock),
        What::Doc { folder, definitions } => reading::doc(folder.as_deref(), *definitions),
        What::List { folder, json } => reading::list(folder, *json),
    }
}
