//! Where a test keeps its database: the same test runs on every kind.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use syncline_storage::DatabaseUrl;

use crate::server::TestDatabase;

/// A place without a database, or on PostgreSQL with an empty one; removed with the value.
pub enum Place {
    Folder(tempfile::TempDir),
    Server(TestDatabase),
}

/// What makes the place of one test.
pub type NewPlace = fn() -> Place;

impl Place {
    pub fn sqlite() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    pub fn postgres() -> Self {
        Self::Server(TestDatabase::new())
    }

    pub fn url(&self) -> DatabaseUrl {
        match self {
            Self::Folder(folder) => folder.path().join("a.sqlite").into(),
            Self::Server(database) => DatabaseUrl::Postgres(database.url.clone()),
        }
    }
}

/// Each of these functions of a [`NewPlace`] as a test on every database.
macro_rules! on_every_database {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(crate::place::Place::sqlite); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(crate::place::Place::postgres); })*
        }
    };
}
pub(crate) use on_every_database;
