//! In the place of `wire` in a build without the cargo feature `redis`: there is no address, so nothing is ever called.

use std::convert::Infallible;

use super::{
    StoreKey,
    fault::StoreError,
    script::{Reply, Script},
};
use crate::{outbound::connection::ClientTls, secret::Secret};

/// There is none.
#[derive(Clone)]
pub struct Address(Infallible);

/// There is none.
#[derive(Clone)]
pub(super) struct Connection(Infallible);

impl Address {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &Secret, _: &ClientTls) -> Result<Self, &'static str> {
        Err("can't be used: this program was built without Redis (cargo feature `redis`)")
    }
}

impl Connection {
    pub(super) async fn open(address: &Address) -> Result<Self, StoreError> {
        match address.0 {}
    }

    pub(super) async fn run(
        &self,
        _: &Script,
        _: &[&StoreKey],
        _: &[&[u8]],
    ) -> Result<Reply, StoreError> {
        match self.0 {}
    }

    pub(super) async fn closed(&self) {
        match self.0 {}
    }
}
