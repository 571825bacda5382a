//! Connections: how they are made, the pool of those that read, and the runtime that serves them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, TimeoutType};
use syncline_core::storage::{StoreError, StoreResult};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Fault, Severity, refused};
use super::options::PostgresOptions;
use super::retry::Patience;
use super::startup::{StartupError, refused_connection};
use super::tls;
use super::wire::{Reply, Request, Wire};
use crate::url::PostgresUrl;

/// Threads that move bytes between the sockets and the threads that wait for them.
const RUNTIME_THREADS: usize = 2;

/// One server and database, and everything that is needed to talk to it. Shared by all that use it.
pub(super) struct Server {
    /// As it may be shown.
    pub(super) at: String,
    pub(super) options: PostgresOptions,
    config: Config,
    tls: MakeRustlsConnect,
    pool: Pool,
    /// Answers that did not come, on any connection. One that is older than the last of them is not trusted again.
    silences: AtomicU64,
    /// [`Server::silences`] when the pool was last emptied.
    emptied_at: AtomicU64,
    /// Taken when this is dropped, which may happen on an async worker: that must not wait for it.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    /// Connects to nothing yet.
    pub(super) fn new(url: &PostgresUrl, options: PostgresOptions) -> StoreResult<Arc<Self>> {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(RUNTIME_THREADS).thread_name("postgres").enable_all().build();
        let runtime = runtime.map_err(|error| refused(format!("no thread for PostgreSQL: {error}")))?;
        let mut config = url.config().map_err(|error| StartupError::Url(error).into_store_error())?;
        config.ssl_mode(tls::ssl_mode(url.tls)).connect_timeout(options.connect_timeout());
        PostgresOptions::watch_peer(&mut config);
        if config.get_application_name().is_none() {
            config.application_name("syncline");
        }
        let tls = tls::connector(url).map_err(StartupError::into_store_error)?;
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(config.clone(), tls.clone(), ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(options.readers_max.max(1))
            .wait_timeout(Some(options.pool_wait()))
            .create_timeout(Some(options.connect_timeout()))
            .runtime(deadpool_postgres::Runtime::Tokio1);
        let pool = pool.build().map_err(|error| refused(format!("no pool of connections: {error}")))?;
        let handle = runtime.handle().clone();
        let (silences, emptied_at) = (AtomicU64::new(0), AtomicU64::new(0));
        let runtime = Some(runtime);
        Ok(Arc::new(Self { at: url.to_string(), options, config, tls, pool, silences, emptied_at, runtime, handle }))
    }

    /// The connection as one user sees it.
    pub(super) fn wire<'a>(&'a self, client: &'a Client) -> Wire<'a> {
        Wire { runtime: &self.handle, client, patience: self.options.patience(), silences: &self.silences }
    }

    /// How many answers have not come so far. A connection that was made or used before the last of them may be as dead as
    /// that one was, and finding out takes as long again.
    pub(super) fn silences(&self) -> u64 {
        self.silences.load(Ordering::Relaxed)
    }

    /// A connection of its own, tried once.
    pub(super) fn connect(&self) -> StoreResult<Result<Client, Fault>> {
        let connecting =
            async { tokio::time::timeout(self.options.connect_timeout(), self.config.connect(self.tls.clone())).await };
        match self.handle.block_on(connecting) {
            Ok(Ok((client, connection))) => {
                self.handle.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection to PostgreSQL ended");
                    }
                });
                Ok(Ok(client))
            }
            Ok(Err(error)) => Ok(Err(refused_connection(&self.at, error).map_err(StartupError::into_store_error)?)),
            Err(_) => Ok(Err(Fault::Connect(format!(
                "{} does not answer: is PostgreSQL running there, and do host, port and firewall allow it?",
                self.at
            )))),
        }
    }

    /// A connection of its own, tried until the patience is over.
    pub(super) fn connect_patiently(&self, patience: &mut Patience) -> StoreResult<Client> {
        loop {
            match self.connect()? {
                Ok(client) => return Ok(client),
                Err(fault) => patience.pause_after(&fault.to_string())?,
            }
        }
    }

    /// A pooled connection, for as long as the guard lives.
    pub(super) fn pooled(&self) -> StoreResult<Result<Object, Fault>> {
        let silences = self.silences();
        if self.emptied_at.swap(silences, Ordering::Relaxed) != silences {
            self.pool.retain(|_, _| false);
        }
        match self.handle.block_on(self.pool.get()) {
            Ok(client) => Ok(Ok(client)),
            Err(PoolError::Backend(error)) => {
                Ok(Err(refused_connection(&self.at, error).map_err(StartupError::into_store_error)?))
            }
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(StoreError::Unavailable(format!(
                "all {} reading connections were busy for {} ms",
                self.options.readers_max, self.options.pool_wait_ms
            ))),
            Err(error) => Ok(Err(Fault::Connect(format!("{} cannot be reached: {error}", self.at)))),
        }
    }

    /// A transaction on a pooled connection that sees one moment, and the reply to `first`, sent along with its beginning.
    /// Tried again as long as the patience lasts: nothing depends on it yet.
    pub(super) fn begin_read(self: &Arc<Self>, first: Request) -> StoreResult<(ReadTransaction, Reply)> {
        let mut patience = Patience::new(self.options.retry_ms);
        let requests = [Request::Batch(self.options.begin_read()), first];
        loop {
            let fault = match self.pooled()? {
                Err(fault) => fault,
                Ok(client) => {
                    let (server, silences) = (Arc::clone(self), self.silences());
                    let transaction = ReadTransaction { server, client: Some(client), silences };
                    match transaction.wire().beginning(&self.options).flight(&requests) {
                        Ok(mut replies) => return Ok((transaction, replies.pop().unwrap_or_default())),
                        Err(fault) => fault,
                    }
                }
            };
            if fault.severity() == Severity::Definite {
                return Err(fault.into_store_error());
            }
            patience.pause_after(&fault.to_string())?;
        }
    }

    /// Runs `work` in one transaction that reads one moment.
    pub(super) fn snapshot<T>(self: &Arc<Self>, work: impl FnOnce(&Wire<'_>) -> StoreResult<T>) -> StoreResult<T> {
        let (transaction, _) = self.begin_read(Request::Batch(String::new()))?;
        work(&transaction.wire())
    }
}

/// A reading transaction, ended when it is dropped; nobody waits for that.
pub(super) struct ReadTransaction {
    server: Arc<Server>,
    client: Option<Object>,
    /// [`Server::silences`] when it began.
    silences: u64,
}

impl ReadTransaction {
    pub(super) fn wire(&self) -> Wire<'_> {
        let client = self.client.as_ref().expect("a transaction holds its connection until it is dropped");
        self.server.wire(client)
    }
}

impl Drop for ReadTransaction {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        // Waiting for an answer that never comes would keep a place in the pool that others wait for.
        if self.silences != self.server.silences() {
            return drop(Object::take(client));
        }
        let patience = self.server.options.begin_patience();
        self.server.handle.spawn(async move {
            let ended = tokio::time::timeout(patience, client.batch_execute("ROLLBACK")).await;
            // A connection whose state is not known is not used again.
            if !matches!(ended, Ok(Ok(()))) {
                drop(Object::take(client));
            }
        });
    }
}
