//! A request's body on its way in: counted, timed, checked, cut and signed as it arrives, and held as it came.

pub mod attempt;
pub mod incoming;
mod pieces;
pub mod raw_video;
pub mod receive;
mod rules;

pub use rules::BodyRules;

use crate::{json::CutError, media::VideoFinding, session::ticket::TicketError};

/// Why a body was refused.
#[derive(Debug)]
pub enum BodyRefusal {
    /// Over the route's cap.
    TooLarge,
    /// No memory for it now.
    NoRoom,
    /// Under the minimum rate.
    TooSlow,
    /// The connection or its framing broke.
    Broken,
    /// Not JSON, or ambiguous.
    Json(CutError),
    /// A member is missing or of a wrong type.
    Field(String),
    /// Not a video that Qiniu would look at.
    Video(VideoFinding),
    /// The session is not this caller's, or over.
    Session(TicketError),
}
