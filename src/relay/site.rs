//! The site of a program that embeds the gateway, at paths beside the gateway's own: the sandbox's
//! page and what belongs to it.
//!
//! A site is asked only for paths that are neither a document nor a route, so no other request
//! pays for it. Reads a small body, whole, before it asks. A gateway that serves a configuration
//! file has no site.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{Response, body::Incoming, http::request::Parts};
use tokio::time::timeout;

use super::{access_record::AccessRecord, refusal::Refusal};
use crate::body::BodyRefusal;

/// Maximum size of a request's body, in bytes.
const MAX_SITE_BODY: usize = 1024;
/// Time limit for a whole body.
const SITE_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Responds to a request, given its head and its body. It must not block.
pub type Site = Arc<dyn Fn(&Parts, &[u8]) -> Result<Response<Bytes>, Refusal> + Send + Sync>;

/// Receives the body and asks the site.
pub(super) async fn visit(
    site: &Site,
    parts: &Parts,
    body: &mut Incoming,
    record: &mut AccessRecord,
) -> Result<Box<Response<Bytes>>, Refusal> {
    let whole = Limited::new(body, MAX_SITE_BODY).collect();
    let received = match timeout(SITE_BODY_TIMEOUT, whole).await {
        Err(_) => return Err(BodyRefusal::TooSlow.into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(BodyRefusal::TooLarge.into());
        }
        Ok(Err(_)) => return Err(BodyRefusal::Broken.into()),
        Ok(Ok(received)) => received.to_bytes(),
    };
    record.bytes_in = received.len() as u64;
    site(parts, &received).map(Box::new)
}
