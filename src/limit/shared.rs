//! How often a caller may call a route, all replicas together: counted in the store, by the same arithmetic as here.
//!
//! Every request is counted here as well. So when the store goes away, this replica's own limiter takes over with what it has seen,
//! and nobody starts with a fresh burst.

use super::{
    CallerKey,
    rate::{RateLimit, Standing, Wait},
};
use crate::{
    auth::Caller,
    store::{Away, Store},
};

/// Counts one request.
///
/// # Errors
/// The caller has used up the burst.
pub async fn check(
    store: &Store,
    limit: &RateLimit,
    route: &str,
    caller: &Caller,
    key: CallerKey,
) -> Result<Standing, Wait> {
    let here = limit.check(key);
    let Ok(name) = store.name("rate", route, caller) else {
        return here;
    };
    let (interval, burst) = limit.terms();
    match store.charge(&name, interval, burst.get()).await {
        Ok(charged) => limit.told(charged),
        Err(Away) => here,
    }
}
