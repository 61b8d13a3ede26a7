//! The request's journey: [`handle`] is the whole of it, top to bottom.
//!
//! [`endpoint`] says what a path does, [`cors`] and [`headers`] look at a request's head, [`conclude`] makes the last of an answer, [`reply`] is
//! how it is answered, [`refusal`] and [`problem`] how it is told no, [`record`] the one line that stays of it.

mod call;
pub mod calls;
mod charge;
pub mod conclude;
pub mod cors;
pub mod endpoint;
pub mod handle;
pub mod headers;
mod outcome;
pub mod problem;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod request_id;
mod to_the_end;
mod turn;
