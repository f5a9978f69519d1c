//! The program's entry: flags, configuration, `server::run`, exit code.

fn main() {}
