//! The reason of each refusal, in the words of access records.
//!
//! Relies on each step for the words of its own errors, where it has some. No match here has a
//! catch-all arm, so the compiler finds a refusal that was forgotten.

use std::time::Duration;

use super::{reason::RefusalReason, refusal::Refusal};
use crate::{
    auth::RejectedToken,
    body::{BodyRefusal, FieldError},
    closed_set::ClosedSet,
    form_data::FormError,
    json::{CutError, ScanError},
    qiniu::{
        response::InvalidResponse,
        upstream_call::{UpstreamFailure, UpstreamFailureKind},
    },
    session::ticket::TicketError,
    verify_once::ClaimError,
};

impl Refusal {
    /// The reason; `None` if the error code says it all.
    pub fn reason(&self) -> Option<RefusalReason> {
        let word = |word| Some(RefusalReason::new(word));
        match self {
            Self::Malformed(fault) => Some(fault.reason()),
            Self::Host(_) => word("host"),
            Self::Auth(rejected) => Some(reason_of_token(rejected)),
            Self::Scope(_) => word("insufficient_scope"),
            Self::Consent(_) => word("missing_consent"),
            Self::Unaudited => word("audit_failing"),
            Self::AddressRate { .. } => word("address"),
            Self::Rate(_) => word("rate"),
            Self::Quota(_) => word("quota"),
            Self::Concurrent => word("concurrent"),
            Self::MediaType(fault) => word(fault.reason()),
            Self::Body(refusal) => reason_of_body(refusal),
            Self::UnreadUploads => word("unread_uploads"),
            Self::Session(ClaimError::Timeout) => word("earlier_try"),
            Self::Session(ClaimError::Full) => word("sessions"),
            Self::Upstream(failure) => Some(reason_of_call(failure)),
            Self::HeadTooLarge
            | Self::UnknownRoute
            | Self::Method(_)
            | Self::Session(
                ClaimError::InUse
                | ClaimError::Used
                | ClaimError::OutcomeUnknown
                | ClaimError::Expired,
            )
            | Self::ShuttingDown
            | Self::Internal => None,
        }
    }
}

fn reason_of_token(rejected: &RejectedToken) -> RefusalReason {
    let word = rejected.refusal.reason();
    match rejected.refusal.claim().or(rejected.off_by.map(unit)) {
        Some(name) => RefusalReason::about(word, name),
        None => RefusalReason::new(word),
    }
}

/// The largest unit of which a time has one.
fn unit(time: Duration) -> &'static str {
    match time.as_secs() {
        0..60 => "seconds",
        60..3_600 => "minutes",
        3_600..86_400 => "hours",
        86_400.. => "days",
    }
}

fn reason_of_body(refusal: &BodyRefusal) -> Option<RefusalReason> {
    let word = match refusal {
        BodyRefusal::TooLarge => "max_body",
        BodyRefusal::NoRoom => "memory_full",
        BodyRefusal::UserShare => "body_memory",
        BodyRefusal::TooSlow => "slow",
        BodyRefusal::Displaced => "displaced",
        BodyRefusal::Broken => "broken",
        BodyRefusal::Json(error) => reason_of_json(error),
        BodyRefusal::Form(error) => reason_of_form(*error),
        BodyRefusal::Field(error) => return Some(reason_of_field(*error)),
        BodyRefusal::Video(finding) => finding.name(),
        BodyRefusal::Session(TicketError::Rejected | TicketError::Expired) => return None,
    };
    Some(RefusalReason::new(word))
}

fn reason_of_json(error: &CutError) -> &'static str {
    match error {
        CutError::Scan(ScanError::Unexpected | ScanError::Number) => "json_syntax",
        CutError::Scan(ScanError::Incomplete) => "json_incomplete",
        CutError::Scan(ScanError::Depth) => "json_depth",
        CutError::Scan(
            ScanError::ControlCharacter
            | ScanError::Escape
            | ScanError::Surrogate
            | ScanError::Utf8,
        ) => "json_string",
        CutError::NotAnObject => "json_not_object",
        CutError::DuplicateKey => "json_duplicate_name",
        CutError::TooManyMembers => "json_too_many_members",
    }
}

fn reason_of_form(error: FormError) -> &'static str {
    match error {
        FormError::Incomplete => "form_incomplete",
        FormError::LineEnd | FormError::Boundary => "form_syntax",
        FormError::Head | FormError::RepeatedField | FormError::LongHead | FormError::NoName => {
            "form_part"
        }
        FormError::TooManyParts => "form_too_many_parts",
    }
}

fn reason_of_field(error: FieldError) -> RefusalReason {
    let (word, name) = match error {
        FieldError::Missing(name) => ("missing_member", name),
        FieldError::Empty(name) => ("empty_member", name),
        FieldError::Repeated(name) => ("duplicate_member", name),
        FieldError::TooLong(name) => ("long_member", name),
        FieldError::NotString(name) | FieldError::NotNumber(name) => ("member_type", name),
        FieldError::NotUtf8(name) => ("member_not_utf8", name),
        FieldError::Encoded(name) => ("member_encoded", name),
        FieldError::NotNonce(name) => ("malformed_member", name),
        FieldError::OtherNonce(name) => ("different_member", name),
    };
    RefusalReason::about(word, name)
}

fn reason_of_call(failure: &UpstreamFailure) -> RefusalReason {
    let word = failure.kind.outcome().as_str();
    let UpstreamFailureKind::Invalid(invalid) = &failure.kind else {
        return RefusalReason::new(word);
    };
    RefusalReason::about(
        word,
        match invalid {
            InvalidResponse::Malformed(_) => "http",
            InvalidResponse::Status => "status",
            InvalidResponse::Encoded => "encoding",
            InvalidResponse::TooLarge => "size",
            InvalidResponse::Json(_) => "json",
            InvalidResponse::Early => "early",
            InvalidResponse::NoErrorCode => "error_code",
            InvalidResponse::NoSessionId => "session_id",
            InvalidResponse::NotSealed => "seal",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthRefusal;

    #[test]
    fn a_reason_names_what_it_is_about_and_how_far_a_time_is_off() {
        let token = |refusal, seconds: Option<u64>| {
            let rejected = RejectedToken {
                off_by: seconds.map(Duration::from_secs),
                ..RejectedToken::from(refusal)
            };
            Refusal::Auth(rejected).reason().unwrap().text()
        };
        assert_eq!(token(AuthRefusal::WrongAudience, None), "wrong_audience");
        let missing = AuthRefusal::MissingClaim("exp");
        assert_eq!(token(missing, None), "missing_claim:exp");
        for (seconds, unit) in [
            (0, "seconds"),
            (59, "seconds"),
            (60, "minutes"),
            (3_599, "minutes"),
            (3_600, "hours"),
            (86_400, "days"),
            (u64::MAX, "days"),
        ] {
            let text = token(AuthRefusal::Expired, Some(seconds));
            assert_eq!(text, format!("expired:{unit}"), "{seconds}");
        }
        let field = BodyRefusal::from(FieldError::Missing("session_id"));
        let reason = Refusal::from(field).reason().unwrap();
        assert_eq!(reason.word(), "missing_member");
        assert_eq!(reason.text(), "missing_member:session_id");
    }
}
