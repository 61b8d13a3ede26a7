//! A request body on its way in: counted, paced, checked, cut and signed while it arrives.
//!
//! [`receive`] is the entry point. `incoming` admits the body and yields its chunks; [`memory`],
//! `registry`, `large` and `pace` say who has room and for how long. `pieces` holds and signs what
//! stays, [`raw_video`] and [`multipart`] handle a video that is not wrapped in JSON, [`attempt`]
//! opens the session, [`nonce`] ties an upload to a transaction, and `rules` says which members a
//! route accepts. Relies on [`crate::json`], [`crate::form_data`], [`crate::media`],
//! [`crate::limit`] and [`crate::qiniu::request`]. Nothing here writes a byte of a body to a file,
//! or reads one before [`receive::receive`] is called.

pub mod attempt;
pub mod incoming;
mod large;
pub mod memory;
pub mod multipart;
pub mod nonce;
mod pace;
mod pieces;
pub mod raw_video;
pub mod receive;
mod registry;
mod rules;

pub use rules::{BodyRules, FieldError};

use crate::{
    form_data::FormError, json::CutError, media::VideoFinding, session::ticket::TicketError,
};

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
pub enum BodyRefusal {
    /// It exceeds the route's maximum size.
    #[error("the body is too large")]
    TooLarge,
    /// The memory for bodies is exhausted.
    #[error("no body memory left")]
    NoRoom,
    /// The user's bodies hold their share of the memory.
    #[error("the user's share of the body memory is used up")]
    UserShare,
    /// It did not begin in time, or arrived slower than its pace.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// It was behind its pace when another body found no memory.
    #[error("the body arrived too slowly while others needed its memory")]
    Displaced,
    /// The connection or the framing broke.
    #[error("the body is incomplete or its framing is invalid")]
    Broken,
    /// It is not JSON, or ambiguous.
    #[error(transparent)]
    Json(#[from] CutError),
    /// It is not a form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A member is missing or has the wrong type.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The video is one that Qiniu rejects.
    #[error("the video was rejected: {0}")]
    Video(#[source] VideoFinding),
    /// The session id is not this caller's, or has expired.
    #[error("the session id was rejected")]
    Session(#[source] TicketError),
}
