//! `/api/auth`: signing in and out, and devices.

mod devices;
mod login;
mod logout;
mod password;
mod refresh;
mod validate;

pub use devices::{list_devices, rename_device, revoke_device};
pub use login::login;
pub use logout::logout;
pub use password::change_password;
pub use refresh::refresh;
pub use validate::validate;

pub use devices::{DeviceView, Devices};
pub use password::check_password;
