//! `/api/admin`: people, their access, and what needs an administrator's eye. Every endpoint asks for owner or admin.

mod alerts;
mod audit;
mod clients;
mod devices;
mod identities;
mod members;
mod rejected;
mod users;
mod write;

pub use alerts::alerts;
pub use audit::audit;
pub use clients::clients;
pub use devices::devices;
pub use identities::unlink_identity;
pub use members::update_member;
pub use rejected::rejected;
pub use users::{create_user, deactivate_user, get_user, list_users, update_user};
