//! The program's entry: the command line, logging, the runtime, `server::run`, the exit code.

use std::process::ExitCode;

use anyhow::Context;
use cairn::cli::{self, Command, Flags, Invocation};
use cairn::{server, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most threads for work that blocks: disk, queries, compression. Queries have their own, lower limit.
const BLOCKING_THREADS_MAX: usize = 64;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Invocation::Serve { flags, warnings }) => match serve(*flags, warnings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                tracing::error!(component = "server", "{e:#}");
                ExitCode::FAILURE
            }
        },
        Ok(Invocation::Once(command)) => once(&command),
        Err(e) => e.exit(),
    }
}

fn once(command: &Command) -> ExitCode {
    match cli::run(command, &mut std::io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        // A closed pipe (`| head`) is the reader's business.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(flags: Flags, warnings: Vec<String>) -> anyhow::Result<()> {
    // A huge page is resident as a whole once a byte of it is used: an idle appliance takes twice the memory with them.
    // Kernels without them refuse, which is as good.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    telemetry::start_logs(flags.log_level.as_str())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(server::run(flags, warnings))
}
