//! `/api/admin`: people, their access, and what needs an administrator's eye. Every endpoint asks for owner or admin.

pub mod alerts;
pub mod audit;
pub mod clients;
pub mod devices;
pub mod identities;
pub mod members;
pub mod rejected;
pub mod users;
pub mod webhooks;
mod write;

pub use alerts::alerts;
pub use audit::audit;
pub use clients::clients;
pub use devices::devices;
pub use identities::unlink_identity;
pub use members::update_member;
pub use rejected::rejected;
pub use users::{create_user, deactivate_user, get_user, list_users, update_user};
pub use webhooks::{
    create_webhook, delete_webhook, deliveries, get_webhook, list_webhooks, retry_delivery, update_webhook,
};

/// Devices or clients of one page, at most and by default.
const PAGE_MAX: u64 = 1_000;
