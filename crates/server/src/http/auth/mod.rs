//! `/api/auth`: signing in and out, and devices.

pub mod devices;
pub mod login;
pub mod logout;
pub mod password;
pub mod public_keys;
pub mod refresh;
pub mod validate;

pub use devices::{list_devices, rename_device, revoke_device};
pub use login::login;
pub use logout::logout;
pub use password::change_password;
pub use public_keys::public_keys;
pub use refresh::refresh;
pub use validate::validate;

pub use devices::{DeviceView, Devices};
pub use password::check_password;
