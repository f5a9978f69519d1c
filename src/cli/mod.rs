//! The command line: the server's flags and the subcommands that need no server.
//!
//! Here: parsing, and refusing in words what Prometheus has and Cairn has not, yet.
//! Elsewhere: what the flags do (`server`), what the subcommands do (the files beside this one).
//!
//! Invariant: nothing here prints by itself; subcommands write to the output they are given.

mod accepted;
mod check;
mod features;
mod flags;
mod healthcheck;
mod promql;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use flags::{Flags, LogFormat, LogLevel, bind_candidates};
pub use promql::{Asked, Output, Promql, Window};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Run the server.
    Serve {
        /// The flags.
        flags: Box<Flags>,
        /// Flags that were accepted and have no effect, one sentence each, to be logged.
        warnings: Vec<String>,
    },
    /// Run a subcommand and leave.
    Once(Command),
}

/// The subcommands.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Check files without starting the server.
    Check {
        /// What to check.
        #[command(subcommand)]
        what: Check,
    },
    /// Ask a running server whether it is healthy; exits with 0 or 1.
    Healthcheck {
        /// The address to ask.
        #[arg(long, env = "CAIRN_HEALTHCHECK_URL", default_value = "http://127.0.0.1:9090/-/healthy")]
        url: String,
    },
    /// Read everything in a data directory that no server has open, and say what is damaged and what that costs.
    /// Exits with 0 if all is well, 1 if something is damaged, 2 if the directory cannot be read.
    Verify {
        /// Set damaged pieces aside in quarantine/, so that the rest opens clean. Nothing is removed.
        #[arg(long)]
        repair: bool,
        /// A data directory (the one with tenants/ in it), or one tenant's.
        dir: PathBuf,
    },
    /// Ask a running server, or a data directory, in PromQL.
    Promql {
        /// What to do.
        #[command(subcommand)]
        what: Box<promql::Promql>,
    },
    /// Print the version.
    Version,
}

/// What `cairn check` checks.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Check {
    /// Configuration files (prometheus.yml), the files they point at, and their rule files.
    Config {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Features that the server will run with.
        #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
        features: Vec<String>,
    },
    /// Rule files.
    Rules {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Features that the server will run with.
        #[arg(long = "enable-feature", value_name = "NAMES", value_delimiter = ',')]
        features: Vec<String>,
    },
}

#[derive(Parser)]
#[command(
    name = "cairn",
    about = "A self-contained monitoring appliance",
    version,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

/// Reads the command line, the program's name first. The error prints itself and knows its exit code (0 for `--help`).
pub fn parse<I, T>(args: I) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    parse_with(args, &|name| std::env::var(name).ok())
}

/// `lookup` answers for the variables that are not ours; clap reads those that begin with `CAIRN_` by itself.
fn parse_with<I, T>(args: I, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut parser = accepted::augment(Cli::command());
    let matches = parser.try_get_matches_from_mut(args).map_err(|error| name_missing_flag(error, &mut parser))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if matches.value_source("listen_addresses") == Some(ValueSource::DefaultValue) {
        cli.flags.listen_addresses = flags::default_listen_addresses(lookup);
    }
    match cli.command {
        Some(command) => Ok(Invocation::Once(command)),
        None => {
            let mut warnings = accepted::warnings(&matches);
            warnings.extend(features::warnings(&cli.flags.features));
            Ok(Invocation::Serve { flags: Box::new(cli.flags), warnings })
        }
    }
}

/// Runs a subcommand; the answer is the exit code.
pub fn run(command: &Command, out: &mut dyn Write) -> io::Result<u8> {
    match command {
        Command::Check { what: Check::Config { files, features } } => {
            check::configs(files, features::syntax(features), out)
        }
        Command::Check { what: Check::Rules { files, features } } => {
            check::rules(files, features::syntax(features), out)
        }
        Command::Healthcheck { url } => healthcheck::run(url, out),
        Command::Verify { repair, dir } => verify::run(dir, *repair, out),
        Command::Promql { what } => promql::run(what, out),
        Command::Version => {
            writeln!(out, "{}", version())?;
            Ok(0)
        }
    }
}

/// `cairn, version 0.1.0 (linux/x86_64)`
pub fn version() -> String {
    format!("cairn, version {} ({}/{})", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH)
}

/// An unknown flag that Prometheus has is named as such.
fn name_missing_flag(error: clap::Error, parser: &mut clap::Command) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let name = flag.trim_start_matches("--").split('=').next().unwrap_or_default();
    if error.kind() != ErrorKind::UnknownArgument || !accepted::NOT_YET.contains(&name) {
        return error;
    }
    let message = format!("flag --{name} of Prometheus is not supported yet by this version of Cairn; remove it\n");
    parser.error(ErrorKind::UnknownArgument, message)
}

#[cfg(test)]
mod tests;
