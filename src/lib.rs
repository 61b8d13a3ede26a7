//! liveness-gateway
pub mod auth;
pub mod body;
pub mod commands;
pub mod config;
pub mod emulator;
pub mod json;
pub mod limit;
pub mod qiniu;
pub mod relay;
pub mod sandbox;
pub mod server;
pub mod telemetry;
