//! The `maily` command.

use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use maily::clock::WallClock;
use maily::command::audit;
use maily::command::bounces;
use maily::command::check;
use maily::command::console;
use maily::command::doctor;
use maily::command::plugin;
use maily::command::project;
use maily::command::queue;
use maily::command::send;
use maily::command::serve;
use maily::command::sessions;
use maily::command::shell;
use maily::command::sink;
use maily::command::steer;
use maily::command::suppress;
use maily::command::token;
use maily::command::top;
use maily::command::trace;
use maily::command::view;
use maily::command::why;
use maily::dev::run as dev;
use maily::exit::Exit;
use maily::exit::Failure;
use maily_api::directive::Verb;
use maily_core::clock::Clock;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mail transfer engine: takes mail, keeps it safe, delivers it.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "New here? `maily dev` sends a sample mailing on this machine, without any \
        configuration.\nA wrong command line is exit code 64 (sysexits.h)."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until TERM; HUP reads the configuration again.
    #[command(after_help = "Example:\n  maily serve --config /etc/maily/maily.toml\n\n\
        Exit codes: 0 ended in order, 69 an address is taken, 74 files cannot be read or written,\n\
        77 not permitted, 78 the configuration is wrong.")]
    Serve(serve::Arguments),
    /// Read the configuration and say what is wrong with it, or what would run.
    #[command(after_help = "Example:\n  maily check --config /etc/maily/maily.toml\n\n\
        Exit code 78: something is wrong.")]
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Dev(dev::Arguments),
    Project(project::Arguments),
    Token(token::Arguments),
    Suppress(suppress::Arguments),
    Audit(audit::Arguments),
    Bounces(bounces::Arguments),
    Plugin(plugin::Arguments),
    Queue(queue::QueueArguments),
    Why(why::Arguments),
    View(view::Arguments),
    Top(top::Arguments),
    Console(console::Arguments),
    /// Send nothing of this mail, also of what comes later, until it is resumed.
    Suspend(steer::Arguments),
    /// End a suspension: mail goes again, bit by bit.
    Resume(steer::Arguments),
    /// Send nothing of what waits now, until it is released.
    Hold(steer::Arguments),
    /// Let go what is held, by an operator or a plugin.
    Release(steer::Arguments),
    /// Try now what waits for its time.
    Retry(steer::Arguments),
    /// Give mail up, with a report to each sender; held first, so that it can be undone.
    Bounce(steer::Arguments),
    /// Remove mail without a word to its senders; held first, so that it can be undone.
    Drop(steer::Arguments),
    /// Send mail by the egress sources of another pool.
    Move(steer::Arguments),
    Undo(steer::Undo),
    Jobs(steer::Jobs),
    Sessions(sessions::Arguments),
    Trace(trace::TraceArguments),
    Send(send::Arguments),
    Sink(sink::Arguments),
    Completions(shell::Completions),
    Man(shell::Man),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = !error.use_stderr();
            // A closed terminal cannot be told anything.
            let _closed = error.print();
            // sysexits.h: 64 is a usage error.
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(64) };
        }
    };
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("maily: {:#}", failure.error);
            failure.exit.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let clock = Arc::new(WallClock::start());
    match arguments.command {
        Command::Serve(arguments) => runtime.block_on(serve::serve(arguments, clock)),
        Command::Check(arguments) => check::check(&arguments),
        Command::Doctor(arguments) => runtime.block_on(doctor::run(&arguments, clock)),
        Command::Dev(arguments) => runtime.block_on(dev::run(arguments, clock)),
        Command::Project(arguments) => runtime.block_on(project::run(arguments, clock)),
        Command::Token(arguments) => runtime.block_on(token::run(arguments, clock)),
        Command::Suppress(arguments) => runtime.block_on(suppress::run(arguments, clock)),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Bounces(arguments) => bounces::run(&arguments, clock.now()),
        Command::Plugin(arguments) => runtime.block_on(plugin::run(&arguments, clock)),
        Command::Queue(arguments) => queue::queue(&arguments),
        Command::Why(arguments) => runtime.block_on(why::run(arguments, clock)),
        Command::View(arguments) => runtime.block_on(view::run(arguments, clock)),
        Command::Console(arguments) => runtime.block_on(console::run(arguments, clock)),
        Command::Top(arguments) => runtime.block_on(console::top(arguments, clock)),
        Command::Suspend(it) => runtime.block_on(steer::run(Verb::Suspend, it, clock)),
        Command::Resume(it) => runtime.block_on(steer::run(Verb::Resume, it, clock)),
        Command::Hold(it) => runtime.block_on(steer::run(Verb::Hold, it, clock)),
        Command::Release(it) => runtime.block_on(steer::run(Verb::Release, it, clock)),
        Command::Retry(it) => runtime.block_on(steer::run(Verb::Retry, it, clock)),
        Command::Bounce(it) => runtime.block_on(steer::run(Verb::Bounce, it, clock)),
        Command::Drop(it) => runtime.block_on(steer::run(Verb::Drop, it, clock)),
        Command::Move(it) => runtime.block_on(steer::run(Verb::Move, it, clock)),
        Command::Undo(arguments) => runtime.block_on(steer::undo(arguments, clock)),
        Command::Jobs(arguments) => runtime.block_on(steer::jobs(arguments, clock)),
        Command::Sessions(arguments) => runtime.block_on(sessions::run(arguments)),
        Command::Trace(arguments) => trace::trace(&arguments),
        Command::Send(arguments) => runtime.block_on(send::run(arguments)),
        Command::Completions(it) => shell::completions(&it, Arguments::command()),
        Command::Man(arguments) => shell::man(&arguments, Arguments::command()),
        Command::Sink(arguments) => runtime.block_on(sink::run(arguments, clock)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn no_two_arguments_are_called_alike() {
        Arguments::command().debug_assert();
    }
}
