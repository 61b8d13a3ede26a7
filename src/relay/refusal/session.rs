//! What a caller is told of a session that is no good.

use super::Told;
use crate::session::{ledger::ClaimError, ticket::TicketError};

pub(super) fn not_opened(refusal: TicketError) -> Told {
    match refusal {
        // One answer for all, so that nobody learns which ids are real.
        TicketError::Rejected => Told::new(
            403,
            "session_rejected",
            "the session was not given to this user here; begin with a new one",
        ),
        TicketError::Expired => expired(),
    }
}

pub(super) fn not_claimed(refusal: ClaimError) -> Told {
    match refusal {
        ClaimError::InUse => Told::new(
            409,
            "session_in_use",
            "another video of this session is being verified; one session, one video",
        ),
        ClaimError::Used => Told::new(
            409,
            "session_used",
            "another video of this session was verified; begin with a new one",
        ),
        ClaimError::OutcomeUnknown => Told::new(
            409,
            "outcome_unknown",
            "this session's video was sent and its answer was lost; begin with a new one",
        ),
        ClaimError::Expired => expired(),
        ClaimError::Full => {
            Told::new(503, "overloaded", "too many sessions at once; try again").later(10)
        }
    }
}

fn expired() -> Told {
    Told::new(
        410,
        "session_expired",
        "the session is older than five minutes; begin with a new one",
    )
}
