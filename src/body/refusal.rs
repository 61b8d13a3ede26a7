//! Why a body is refused, at whatever step. What a caller is told of it is decided elsewhere.

use crate::{json::cut::CutError, media::VideoFinding, session::ticket::TicketError};

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
