//! End to end through the binary.
fn main() {}
