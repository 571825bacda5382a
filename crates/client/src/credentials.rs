//! Who is signed in on this device, in `credentials.json`: readable by its owner only, replaced whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline_core::id::{DeviceId, UserId, WorkspaceId};
use syncline_core::{Name, TimestampMs};

use crate::error::ClientError;

const FILE: &str = "credentials.json";

/// A sign-in. The access token lives for minutes, the refresh token until it is used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Base address without a slash at the end.
    pub server: String,
    pub email: String,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub device_id: DeviceId,
    pub role: Name,
    pub(crate) access_token: String,
    /// On the device's clock.
    pub(crate) access_expires_ms: TimestampMs,
    pub(crate) refresh_token: String,
    /// The device was revoked: this token is good for handing over what is pending, and nothing else (spec REV-3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deposit_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, workspace_id, user_id, .. } = self;
        write!(f, "Credentials({user_id} of {workspace_id} at {server})")
    }
}

impl Credentials {
    /// The sign-in of a device directory; `None`: nobody is signed in.
    pub fn load(dir: &Path) -> Result<Option<Self>, ClientError> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ClientError::file(path, error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| ClientError::file(path, error.into()))
    }

    /// Is on disk when this returns: a refreshed pair is stored before it is used (spec AUT-2).
    pub(crate) fn save(&self, dir: &Path) -> Result<(), ClientError> {
        let path = dir.join(FILE);
        self.replace(dir, &path).map_err(|error| ClientError::file(path, error))
    }

    fn replace(&self, dir: &Path, path: &Path) -> io::Result<()> {
        let temporary: PathBuf = dir.join("credentials.json.new");
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(dir)?.sync_all()
    }

    pub(crate) fn delete(dir: &Path) -> Result<(), ClientError> {
        let path = dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ClientError::file(path, error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn aut_2_credentials_are_private_and_read_back() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        assert!(Credentials::load(dir.path()).unwrap().is_none());
        let credentials = Credentials {
            server: "http://127.0.0.1:1".to_owned(),
            email: "a@b.example".to_owned(),
            workspace_id: WorkspaceId::new("acme").unwrap(),
            user_id: UserId::from_u128(1),
            device_id: DeviceId::from_u128(2),
            role: "agent".into(),
            access_token: "secret-a".to_owned(),
            access_expires_ms: 5,
            refresh_token: "secret-r".to_owned(),
            deposit_token: None,
        };
        credentials.save(dir.path()).unwrap();
        assert_eq!(Credentials::load(dir.path()).unwrap(), Some(credentials.clone()));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{credentials:?}").contains("secret"), "tokens are never printed");
        Credentials::delete(dir.path()).unwrap();
        Credentials::delete(dir.path()).unwrap();
        assert!(Credentials::load(dir.path()).unwrap().is_none());
    }
}
