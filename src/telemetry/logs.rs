//! The log subscriber: one logfmt line for each event, on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
pub fn start_logs(level: &str) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(format!("warn,cairn={level},storage={level}"))
        .map_err(|e| LogError::Level { level: level.to_owned(), reason: e.to_string() })?;
    let lines = tracing_subscriber::fmt::layer()
        .event_format(tracing_logfmt::EventsFormatter::default())
        .fmt_fields(tracing_logfmt::FieldsFormatter::default())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| LogError::Started)
}
