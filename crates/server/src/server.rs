//! Starting and stopping the server: what is opened in which order, and closed in which.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use syncline_core::schema::Schema;
use syncline_core::storage::StoreError;
use syncline_storage::{Database, DatabaseAuth, DatabaseOptions, DatabaseUrl, PostgresOptions, SqliteOptions};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::alerts::AlertWatch;
use crate::analytics::Analytics;
use crate::app::{App, CATCH_UP_KIB_MAX};
use crate::audit::{Audit, AuditWriter};
use crate::auth::{Auth, AuthError, AuthParts, Revocations, Supabase};
use crate::bus::{Bus, BusError};
use crate::clock;
use crate::config::{Config, ConfigError, HttpConfig};
use crate::db::Db;
use crate::engine::{Writer, WriterParts};
use crate::health::LastHealth;
use crate::http::{self, Downloads, Listening};
use crate::hub::{Hub, Publisher};
use crate::maintenance::Maintenance;
use crate::nodes::Nodes;
use crate::observe::Metrics;
use crate::observe::machine;
use crate::outbound;
use crate::presence::Presence;
use crate::push::RestClients;
use crate::reports::Reports;
use crate::router::{Router, RouterParts};
use crate::tls::{Tls, TlsError, sibling_config};
use crate::vitals::Vitals;
use crate::webhooks::Webhooks;
use crate::ws::Channels;

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    listening: Listening,
    /// Metrics on a port of their own.
    operators: Option<Listening>,
    publisher: Publisher,
    nodes: Nodes,
    maintenance: Maintenance,
    audit: AuditWriter,
    alerts: AlertWatch,
    webhooks: Webhooks,
    /// Looks whether there is a new one.
    certificate: Option<AbortOnDropHandle<()>>,
    lock: Option<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the data directory {path} cannot be used")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("another server or an import is writing to the data in {0}; stop it first")]
    InUse(PathBuf),
    #[error("the database {database} cannot be opened")]
    Open { database: String, source: StoreError },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("reading the store failed")]
    Store(#[from] StoreError),
    #[error("identity could not be set up")]
    Auth(#[from] AuthError),
    #[error("listening on {address} failed; is another server running there?")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("an HTTP client for {purpose} could not be set up")]
    Client { purpose: &'static str, source: reqwest::Error },
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    #[error("the first workspace could not be set up: {0}")]
    Bootstrap(String),
}

/// Name of the database in the data directory.
pub const DATABASE_FILE: &str = "syncline.sqlite";
/// Whoever writes to the data holds an exclusive lock on this file of the data directory; the system drops it when the
/// process ends.
pub const LOCK_FILE: &str = "syncline.lock";
/// Catch-ups and verifications that are computed at a time.
const CATCH_UPS_MAX: usize = 4;

impl Server {
    /// Opens the store, starts the threads, and listens.
    pub async fn start(config: Config, schema: Arc<Schema>) -> Result<Self, ServerError> {
        config.check()?;
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening, schema)).await;
        let Opened { stores, schema, lock } =
            opened.map_err(|error| ServerError::Thread(std::io::Error::other(error)))??;
        warn_of_few_files(&config);
        let loading = config.tls.clone();
        let tls = tokio::task::spawn_blocking(move || Tls::load(&loading)).await;
        let tls = tls.map_err(|error| ServerError::Thread(std::io::Error::other(error)))??;
        let siblings = tls.as_ref().map(|tls| sibling_config(tls.identity())).transpose()?;
        let store = &stores[0];
        let is_shared = store.is_shared();
        let metrics = Arc::new(Metrics::default());
        let bus = Bus::start(&config.bus, &own_address(&config.http.listen())).await?;
        let db = Db::new(store.reader(), Arc::clone(&schema), config.store.readers);
        let hub = Arc::new(Hub::new(&config.sockets, Arc::clone(&metrics)));
        let (audit, audit_writer) = Audit::start(store.auth());
        let auth = identity(&config, store.auth(), &db, (&bus, &audit), &metrics).await?;
        let vitals = Vitals::default();
        let router = RouterParts {
            config: config.messages.clone(),
            types: config.messages.message_types()?,
            store: store.messages(),
            db: db.clone(),
            devices: store.auth(),
            hub: Arc::clone(&hub),
            bus: bus.clone(),
            metrics: Arc::clone(&metrics),
            vitals: vitals.clone(),
        };
        let publisher = Publisher::spawn(Arc::clone(&hub), db.clone(), &vitals).map_err(ServerError::Thread)?;
        let (publish, hints) = (publisher.sender(), bus.clone());
        let writer = Writer::spawn(WriterParts {
            stores,
            schema,
            metrics: Arc::clone(&metrics),
            queue_max: config.store.queue_max,
            group_mutations_max: config.store.group_mutations_max,
            publish: Arc::new(move |committed| {
                hints.hint(&committed.workspace_id, committed.to);
                publish(committed);
            }),
            vitals: vitals.clone(),
        });
        let app = Arc::new(App {
            writer: writer.map_err(ServerError::Thread)?,
            reach: publisher.reach(),
            snapshots: Arc::new(Semaphore::new(config.http.snapshots_max)),
            downloads: Downloads::default(),
            catch_ups: Arc::new(Semaphore::new(CATCH_UPS_MAX)),
            catch_up_kib: Arc::new(Semaphore::new(CATCH_UP_KIB_MAX as usize)),
            reports: Reports::default(),
            health: LastHealth::default(),
            analytics: Analytics::new(metrics.analytics_dropped.clone()),
            rest_clients: RestClients::default(),
            channels: Channels::default(),
            forwarding: outbound::node_client(siblings).map_err(client_error("requests between nodes"))?,
            presence: Arc::new(Presence::new(bus.clone())),
            router: Router::start(router).map_err(ServerError::Thread)?,
            started: clock::instant(),
            vitals,
            config,
            db,
            auth,
            audit,
            hub,
            bus,
            metrics,
        });
        let listening = http::listen(&app.config.http, http::router(Arc::clone(&app)), tls.clone()).await;
        let address = app.config.http.listen();
        let listening = listening.map_err(|source| ServerError::Listen { address, source })?;
        let certificate = tls.map(|tls| tls.watch(app.config.tls.clone()));
        let operators = listen_for_operators(&app).await?;
        let nodes = Nodes::start(&app, is_shared);
        let maintenance = Maintenance::start(Arc::clone(&app));
        let alerts = AlertWatch::start(Arc::clone(&app)).map_err(client_error("alerts"))?;
        let webhooks = Webhooks::start(&app).map_err(client_error("webhooks"))?;
        tracing::info!(event = "started", address = %listening.address, "listening on {}", listening.address);
        Ok(Self {
            app,
            listening,
            operators,
            publisher,
            nodes,
            maintenance,
            audit: audit_writer,
            alerts,
            webhooks,
            certificate,
            lock,
        })
    }

    /// Where it listens; with port 0 the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// As people write it.
    pub fn url(&self) -> String {
        format!("{}://{}", self.app.config.tls.scheme(), self.address())
    }

    /// Where metrics are served when they have a port of their own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.operators.as_ref().map(|listening| listening.address)
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Drains and stops, within `http.drain_ms` and a moment: no new connections; sessions finish their pushes and are
    /// told when to come back; requests under way finish; what was pushed is decided; the store is closed.
    pub async fn stop(self) {
        let Self {
            app,
            listening,
            operators,
            publisher,
            nodes,
            maintenance,
            audit,
            alerts,
            webhooks,
            certificate,
            lock,
        } = self;
        tracing::info!(event = "stopping", "draining");
        listening.stop_accepting();
        let bound = Duration::from_millis(app.config.http.drain_ms);
        let drained = tokio::time::timeout(bound, async {
            app.hub.drain().await;
            listening.stop().await;
        });
        if drained.await.is_err() {
            tracing::warn!(event = "drain_cut", "not everything finished in time");
        }
        if let Some(operators) = operators {
            operators.stop_accepting();
        }
        if tokio::time::timeout(bound, webhooks.stop()).await.is_err() {
            tracing::warn!(event = "webhooks_cut", "attempts at webhooks were cut off; they are made again");
        }
        let closing = async {
            alerts.stop().await;
            maintenance.stop().await;
        };
        if tokio::time::timeout(bound, closing).await.is_err() {
            tracing::warn!(event = "maintenance_cut", "maintenance was cut off; it goes on after the next start");
        }
        if tokio::time::timeout(bound, audit.stop()).await.is_err() {
            tracing::error!(event = "audit_lost", "events of the audit log may be lost: the database does not answer");
        }
        nodes.stop();
        drop(certificate);
        app.bus.close().await;
        let closing = tokio::task::spawn_blocking(move || {
            app.writer.stop();
            app.router.stop();
            publisher.stop();
        });
        if closing.await.is_err() {
            tracing::error!(event = "stop_failed", "closing the store failed");
        }
        drop(lock);
        tracing::info!(event = "stopped", "stopped");
    }
}

/// How other nodes call this one unless the configuration says it: where it listens, or, when that is everywhere, the
/// machine's name, which no other node has.
fn own_address(listen: &std::net::SocketAddr) -> String {
    if !listen.ip().is_unspecified() {
        return listen.to_string();
    }
    format!("{}:{}", rustix::system::uname().nodename().to_string_lossy(), listen.port())
}

/// Connections that ask for metrics at a time.
const OPERATOR_CONNECTIONS_MAX: usize = 64;

/// Serves metrics on their own port. When the default one is taken, most likely by a Prometheus, the server goes on without.
async fn listen_for_operators(app: &Arc<App>) -> Result<Option<Listening>, ServerError> {
    let Some(address) = app.config.metrics.listen() else { return Ok(None) };
    let http = app.config.http.clone();
    let config =
        HttpConfig { host: address.ip(), port: address.port(), connections_max: OPERATOR_CONNECTIONS_MAX, ..http };
    match http::listen(&config, http::operator_router(Arc::clone(app)), None).await {
        Ok(listening) => {
            tracing::info!(event = "metrics_served", address = %listening.address, "metrics are at {}", listening.address);
            Ok(Some(listening))
        }
        Err(error) if app.config.metrics.port.is_none() => {
            tracing::warn!(event = "metrics_unserved", %address, %error, "metrics are not served: name a free METRICS_PORT");
            Ok(None)
        }
        Err(source) => Err(ServerError::Listen { address, source }),
    }
}

/// A database that is ready, with a writing half for each thread.
struct Opened {
    stores: Vec<Database>,
    schema: Arc<Schema>,
    /// Held while the data directory is ours; a shared database has none.
    lock: Option<File>,
}

fn open(config: &Config, schema: Arc<Schema>) -> Result<Opened, ServerError> {
    let url = config.store.url()?;
    let lock = match &url {
        DatabaseUrl::Sqlite(path) => Some(lock(path.parent().unwrap_or(Path::new(".")))?),
        DatabaseUrl::Postgres(_) => None,
    };
    // Beside the asynchronous readers: snapshots, the publisher and identity.
    let readers_max = config.store.readers + config.http.snapshots_max + 2;
    let opened_ms = clock::now_ms();
    let options = DatabaseOptions {
        sqlite: SqliteOptions { readers_max, opened_ms, ..SqliteOptions::default() },
        postgres: PostgresOptions { readers_max, opened_ms, ..PostgresOptions::default() },
    };
    let failed = |source| ServerError::Open { database: url.to_string(), source };
    let first = Database::open(&url, Arc::clone(&schema), options).map_err(failed)?;
    let mut stores = vec![first];
    while stores[0].is_shared() && stores.len() < config.store.writers {
        let sibling = stores[0].sibling().map_err(failed)?;
        stores.push(sibling);
    }
    Ok(Opened { stores, schema, lock })
}

fn lock(data_dir: &Path) -> Result<File, ServerError> {
    let data_dir_error = |source| ServerError::DataDir { path: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(data_dir_error)?;
    let lock = File::options().create(true).write(true).truncate(false).open(data_dir.join(LOCK_FILE));
    let lock = lock.map_err(data_dir_error)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ServerError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(data_dir_error(source)),
    }
}

/// Whoever runs it should hear of it before a peer does.
fn warn_of_few_files(config: &Config) {
    let needed = config.files_max();
    if let Some(max) = machine::open_files_max().filter(|max| *max < needed) {
        tracing::warn!(
            event = "few_files",
            max,
            needed,
            "this process may have {max} files open, its limits of connections need {needed}"
        );
    }
}

fn client_error(purpose: &'static str) -> impl Fn(reqwest::Error) -> ServerError {
    move |source| ServerError::Client { purpose, source }
}

async fn identity(
    config: &Config,
    auth_store: DatabaseAuth,
    db: &Db,
    (bus, audit): (&Bus, &Audit),
    metrics: &Arc<Metrics>,
) -> Result<Auth, ServerError> {
    let supabase = Supabase::new(&config.supabase).map_err(client_error("the Supabase project"))?;
    let (tokens, db, bus, metrics) = (config.tokens.clone(), db.clone(), bus.clone(), Arc::clone(metrics));
    let audit = audit.clone();
    let made = tokio::task::spawn_blocking(move || {
        let revocations = Arc::new(Revocations::load(&auth_store, &db.workspaces()?, clock::now_ms())?);
        Ok(Auth::new(AuthParts { config: tokens, db, revocations, store: auth_store, bus, audit, metrics, supabase })?)
    });
    made.await.map_err(|error| ServerError::Thread(std::io::Error::other(error)))?
}
