//! The whole story on one machine: a pretend ConnectWise PSA, Autotask PSA and HaloPSA, a pretend Entra tenant, small web
//! pages for each, and the real service as a child process with a clock that can be moved.
//!
//! Everything listens on loopback only and is gone when this process ends. What is weaker here than
//! in the shipped binary (the movable clock, secrets on show) exists in this package alone.

mod bench;
mod child;
mod clock;
mod counted;
mod documents;
mod install;
mod kills;
mod pages;
mod psas;
mod run;
mod sandbox;
mod service;
mod story;
mod tenant;
mod vendors;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use bench::{BenchOptions, engine::Engine};
use child::ChildOptions;
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "latchkey-sandbox", about = "Latchkey with pretend PSAs and a pretend tenant, on this machine alone")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// How the sandbox itself runs.
#[derive(Debug, Args)]
struct Options {
    /// An empty directory for everything that is written, kept afterwards [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the front page on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Plays the main job unattended on a movable clock, and exits 1 naming the first step that did not happen
    #[arg(long)]
    story: bool,
    /// Kills the service so often, at random moments, under load; counts at the vendors what became of every request, and exits 1 naming what is wrong
    #[arg(long, value_name = "N", conflicts_with = "story")]
    kills: Option<u32>,
    /// Kills it on this engine [default: sqlite]
    #[arg(long, value_enum, requires = "kills")]
    engine: Option<Engine>,
    /// Kills this program, the shipped one, in real time [default: the sandbox's own, on a clock that is moved]
    #[arg(long, value_name = "PATH", requires = "kills")]
    binary: Option<PathBuf>,
    /// Begins the dice of --kills where an earlier run began [default: anew]
    #[arg(long, value_name = "S", requires = "kills")]
    seed: Option<u64>,
}

/// How the vendors run alone.
#[derive(Debug, Args)]
struct VendorsOptions {
    /// Where the CA and what an administrator would note down are written, and kept afterwards [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the vendors' pages on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Only the pretend vendors, to connect a Latchkey of your own to: prints one line of JSON, ends with standard input or Ctrl-C
    Vendors(VendorsOptions),
    /// Measures the service on this machine, in a release build, against its goals; every figure in one run
    Bench(BenchOptions),
    /// The service, as the sandbox starts it
    #[command(hide = true)]
    Service(ChildOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    latchkey_simulators::authority::use_ring();
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Service(options)) => child::run(&options).await,
        Some(Command::Bench(options)) => bench::run(&options).await,
        Some(Command::Vendors(options)) => vendors::run(&options).await,
        None if arguments.options.story => story::play(arguments.options.data.as_deref()).await,
        None if let Some(kills) = arguments.options.kills => kills::run(&arguments.options, kills).await,
        None => run::run(&arguments.options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _ = writeln!(io::stderr(), "latchkey-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}
