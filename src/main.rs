//! Arguments in, one command run, a sentence and an exit code out.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use latchkey::cli::{self, Cli, NobodyReads, Terminal, Told};

/// What shells say of a program that a closed pipe ended (128 + SIGPIPE).
const PIPE: u8 = 141;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|wrong| wrong.exit());
    // An error says that one is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::run(cli, &mut Terminal::standard()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<NobodyReads>() => ExitCode::from(PIPE),
        Err(error) if error.is::<Told>() => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell if this fails too.
            let _ = writeln!(io::stderr(), "latchkey: {error:#}");
            ExitCode::FAILURE
        }
    }
}
