//! Replaces `wire` in a build without the cargo feature `redis`: no address can be made, so nothing
//! is ever called.

use std::{convert::Infallible, time::Duration};

use super::{
    error::{AddressError, StoreError},
    keys::StoreKey,
    script::{Script, ScriptReply},
};
use crate::{
    outbound::{connection::ClientTls, dial::Dialer},
    secret::Secret,
};

/// The address of a store; it has no value.
#[derive(Clone)]
pub struct StoreAddress(Infallible);

/// A connection to a store; it has no value.
#[derive(Clone)]
pub(super) struct StoreConnection(Infallible);

impl StoreAddress {
    /// Refuses every address.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &Secret, _: &ClientTls) -> Result<Self, AddressError> {
        Err(AddressError::NotBuilt)
    }
}

impl StoreConnection {
    pub(super) async fn open(
        address: &StoreAddress,
        _: &Dialer,
        _: Duration,
    ) -> Result<Self, StoreError> {
        match address.0 {}
    }

    pub(super) async fn run(
        &self,
        _: &Script,
        _: &[&StoreKey],
        _: &[&[u8]],
    ) -> Result<ScriptReply, StoreError> {
        match self.0 {}
    }

    pub(super) async fn closed(&self) {
        match self.0 {}
    }
}
