//! From outcomes of mutations to answers of REST.

use axum::http::StatusCode;
use syncline_core::change::{Outcome, OutcomeKind};
use syncline_core::protocol::{Code, Problem};

use super::problem::{ApiError, ApiResult};
use crate::push::WriteError;

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy(busy) => busy.into(),
            WriteError::PreconditionFailed => precondition_failed(),
            WriteError::Unavailable => {
                let mut problem =
                    Problem::new(Code::Unavailable, "The store cannot be written now. Try again in a moment.");
                problem.retry_ms = Some(crate::random::between(500, 2_000));
                Self::from(problem)
            }
            WriteError::Failed => Self::internal(),
            WriteError::Refused(problem) if problem.code == Code::BackendMismatch => {
                let message = "This Idempotency-Key was used with another request. Use a key once per request.";
                Self::new(Code::Validation, message).with_field("Idempotency-Key")
            }
            WriteError::Refused(problem) => Self::from(*problem),
        }
    }
}

/// `If-Match` named another state than the record's.
pub fn precondition_failed() -> ApiError {
    let message = "The record has changed since: get it again and decide with its present values.";
    ApiError::new(Code::PreconditionFailed, message)
}

/// The outcome, unless the mutation was rejected.
pub fn accepted(outcome: Outcome, entity: &str) -> ApiResult<Outcome> {
    if outcome.outcome != OutcomeKind::Rejected {
        return Ok(outcome);
    }
    let code = outcome.code.unwrap_or(Code::Rule);
    let message = outcome.detail.unwrap_or_else(|| "The change was rejected.".to_owned());
    let mut problem = Problem::new(code, message);
    problem.entity = Some(entity.to_owned());
    let error = ApiError::from(problem);
    // An op on a record outside the grants is `forbidden` in sync; over REST what one may not see is not there.
    Err(error)
}

/// 202 when a part of the change waits for review, otherwise `done`.
pub fn status(outcome: &Outcome, done: StatusCode) -> StatusCode {
    match outcome.outcome {
        OutcomeKind::InReview => StatusCode::ACCEPTED,
        OutcomeKind::Applied | OutcomeKind::Merged | OutcomeKind::Superseded | OutcomeKind::Rejected => done,
    }
}

/// The outcome's kind as it stands on the wire.
pub fn kind_text(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Applied => "applied",
        OutcomeKind::Merged => "merged",
        OutcomeKind::Superseded => "superseded",
        OutcomeKind::InReview => "in_review",
        OutcomeKind::Rejected => "rejected",
    }
}
