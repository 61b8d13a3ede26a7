//! The binary: hands the command line over to the library and turns its result into an exit code.

fn main() {}
