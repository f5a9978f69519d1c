//! The log subscriber: one line an event on standard error, logfmt unless text for people is asked for.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `ts=… level=info target=… message="…"`
    Logfmt,
    /// For people at a terminal.
    Text,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not one.
    #[error("log level {level:?} is not one of error, warn, info, debug, trace: {reason}")]
    Level {
        /// As given.
        level: String,
        /// The parser's words.
        reason: String,
    },
    /// Somebody else logs already.
    #[error("logging is set up already")]
    Started,
}

/// Starts logging for the whole process. Libraries below us are heard from `warn` on.
pub fn start_logs(level: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(format!("warn,cairn={level},storage={level}"))
        .map_err(|e| LogError::Level { level: level.to_owned(), reason: e.to_string() })?;
    let base = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Logfmt => {
            let layer = tracing_subscriber::fmt::layer()
                .event_format(tracing_logfmt::EventsFormatter::default())
                .fmt_fields(tracing_logfmt::FieldsFormatter::default())
                .with_writer(std::io::stderr);
            base.with(layer).try_init()
        },
        LogFormat::Text => base.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).compact()).try_init(),
    };
    started.map_err(|_| LogError::Started)
}
