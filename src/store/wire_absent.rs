//! Replaces `wire` in a build without the cargo feature `redis`: no address can be made, so nothing
//! is ever connected.

use std::{convert::Infallible, path::Path};

use super::{
    address::StoreLogin,
    error::StoreError,
    keys::StoreKey,
    script::{Script, ScriptReply},
};
use crate::outbound::{connection::OutboundConnection, origin::Origin};

/// A connection to a store; it has no value.
#[derive(Clone)]
pub(super) struct StoreConnection(Infallible);

impl StoreConnection {
    pub(super) async fn over(
        _: OutboundConnection,
        _: &Origin,
        _: &StoreLogin,
    ) -> Result<Self, StoreError> {
        Err(StoreError::Invalid)
    }

    pub(super) async fn over_socket(_: &Path, _: &StoreLogin) -> Result<Self, StoreError> {
        Err(StoreError::Invalid)
    }

    pub(super) fn server(&self) -> Option<&Origin> {
        match self.0 {}
    }

    pub(super) async fn run(
        &self,
        _: &Script,
        _: &[&StoreKey],
        _: &[&[u8]],
        _: bool,
    ) -> Result<ScriptReply, StoreError> {
        match self.0 {}
    }

    pub(super) async fn command(&self, _: &[&str]) -> Result<ScriptReply, StoreError> {
        match self.0 {}
    }

    pub(super) async fn closed(&self) -> StoreError {
        match self.0 {}
    }
}
