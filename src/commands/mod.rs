//! One file a command.

pub mod check;
pub mod completions;
pub mod emulator;
pub mod healthcheck;
pub mod keygen;
pub mod sandbox;
pub mod schema;
pub mod serve;
pub mod sign;
pub mod token;
