//! `healthcheck`
