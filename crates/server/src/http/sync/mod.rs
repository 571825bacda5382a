//! `/api/sync`: what a replica and its person ask over HTTP.

mod downloads;
mod encoder;
pub mod history;
pub mod rejected;
pub mod snapshot;
pub mod status;
pub mod trigger;

pub use downloads::Downloads;
pub use history::history;
pub use rejected::{RejectedList, rejected, take_limit};
pub use snapshot::snapshot;
pub use status::{ClientView, client_views, status};
pub use trigger::trigger;
