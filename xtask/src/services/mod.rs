//! A private PostgreSQL, Redis and Redis Cluster for the tests: started on free ports of this machine, told to the tests
//! in environment variables, and gone afterwards whatever happens.

mod child;
mod folder;
mod postgres;
mod programs;
mod redis;

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::shell::{self, Program};
use child::Service;
use folder::Folder;
pub use programs::{Programs, chromium, install, may_install};

/// A database server for tests: they connect as superuser and make their own databases.
pub const POSTGRES: &str = "SYNCLINE_TEST_POSTGRES";
/// A Redis of its own for tests.
pub const REDIS: &str = "SYNCLINE_TEST_REDIS";
/// A Redis Cluster of three masters; addresses with commas between them.
pub const REDIS_CLUSTER: &str = "SYNCLINE_TEST_REDIS_CLUSTER";

/// Running services. Dropping it stops them; should this program be killed, they die with it.
pub struct Services {
    environment: Vec<(&'static str, String)>,
    /// Held for their `Drop`. The order counts: first the processes end, then their files go.
    running: Vec<Service>,
    _folder: Folder,
}

impl Services {
    /// Starts what the environment does not name already, and waits until all of it answers. Takes about three seconds.
    ///
    /// `DATABASE_URL` and `REDIS_URL`, or the variables above themselves, name servers that are used instead.
    pub fn start() -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let folder = Folder::create()?;
        let mut services = Self { environment: Vec::new(), running: Vec::new(), _folder: folder };
        services.provide(POSTGRES, "DATABASE_URL", |services| {
            let started = postgres::start(&programs, &services._folder).context("PostgreSQL did not start")?;
            services.running.push(started.service);
            Ok(started.url)
        })?;
        services.provide(REDIS, "REDIS_URL", |services| {
            let started = redis::start(&programs, &services._folder, "redis").context("Redis did not start")?;
            services.running.push(started.service);
            Ok(started.url)
        })?;
        services.provide(REDIS_CLUSTER, REDIS_CLUSTER, |services| {
            let nodes = redis::start_cluster(&programs, &services._folder, &mut services.running);
            nodes.context("the Redis Cluster did not start")
        })?;
        Ok(services)
    }

    fn provide(
        &mut self,
        name: &'static str,
        override_name: &str,
        start: impl FnOnce(&mut Self) -> Result<String>,
    ) -> Result<()> {
        let given = [name, override_name].into_iter().find_map(|name| Some((name, variable(name)?)));
        let (url, origin) = match given {
            Some((origin, url)) => (url, format!("the one of {origin}")),
            None => (start(self)?, "a private one".to_owned()),
        };
        eprintln!("{name}: {origin}");
        self.environment.push((name, url));
        Ok(())
    }

    /// Adds the variables by which tests find the services.
    pub fn tell(&self, program: Program) -> Program {
        self.environment.iter().fold(program, |program, (name, url)| program.env(name, url))
    }
}

/// A variable of the environment, unless it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `cargo xtask services -- COMMAND…`: the command with the services at hand.
pub fn run(command: &[OsString]) -> Result<()> {
    let (name, args) = command.split_first().context("name a command, for instance `cargo xtask services -- env`")?;
    let services = Services::start()?;
    services.tell(shell::program(name).args(args)).run()
}
