//! `syncline serve`: runs the server until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use syncline_core::schema::Schema;
use syncline_server::bootstrap::FirstOwner;
use syncline_server::observe::machine;
use syncline_server::{Config, Server, demo};

#[derive(Args)]
pub struct ServeArgs {
    /// Directory of the data; made when it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, such as 127.0.0.1:8000 or 0.0.0.0:8000
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Configuration in TOML; environment variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A declaration of entities in TOML instead of the built-in CRM schema
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Make a workspace `demo` with invented people and 200 leads, to try things with
    #[arg(long)]
    demo: bool,
    /// At the first start: id of the first workspace
    #[arg(long, value_name = "ID", default_value = "main")]
    workspace: String,
    /// At the first start: e-mail address of its owner, whose password is printed
    #[arg(long, value_name = "EMAIL", default_value = "owner@example.com")]
    owner: String,
}

/// Time that threads have to end after everything was stopped.
const SHUTDOWN: Duration = Duration::from_secs(5);

pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = configure(&args)?;
    syncline_server::observe::init_logging(&config.log)?;
    machine::raise_open_files_max();
    let schema = Arc::new(schema(args.schema.as_deref())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let served = runtime.block_on(serve(args, config, schema));
    // What still runs on blocking threads was told to stop and had its time.
    runtime.shutdown_timeout(SHUTDOWN);
    served
}

async fn serve(args: ServeArgs, config: Config, schema: Arc<Schema>) -> anyhow::Result<()> {
    let server = Server::start(config, schema).await?;
    let first = if args.demo {
        demo::ensure(server.app()).await?;
        None
    } else {
        server.app().ensure_first_workspace(&args.workspace, &args.owner).await?
    };
    greet(&server, args.demo, first.as_ref());
    stop_asked().await?;
    eprintln!("Stopping: finishing what is under way …");
    server.stop().await;
    Ok(())
}

fn configure(args: &ServeArgs) -> anyhow::Result<Config> {
    let mut config = crate::ops::config::load(args.config.as_deref())?.config;
    if let Some(data) = &args.data {
        config.store.data_dir.clone_from(data);
    }
    if let Some(listen) = args.listen {
        config.http.host = listen.ip();
        config.http.port = listen.port();
    }
    config.check()?;
    if args.demo && config.deployment.is_production() {
        bail!("ENVIRONMENT=production refuses demo data: everybody knows its passwords; leave --demo out");
    }
    if args.demo {
        config.edge.allowed_origins.push(demo::EXTENSION_ORIGIN.parse().context("the extension of the demo")?);
    }
    Ok(config)
}

fn schema(path: Option<&std::path::Path>) -> anyhow::Result<Schema> {
    let Some(path) = path else { return Ok(Schema::crm()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Schema::parse(&text, &path.display().to_string())?)
}

/// Resolves at SIGTERM or Ctrl-C.
async fn stop_asked() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

/// Says where it listens, how to sign in, and what to try next.
///
/// In one write, and nobody has to read it: the server outlives the terminal it was started from.
fn greet(server: &Server, is_demo: bool, first: Option<&FirstOwner>) {
    let mut text = Vec::new();
    let written = write_greeting(&mut text, server, is_demo, first).and_then(|()| std::io::stdout().write_all(&text));
    if let Err(error) = written {
        tracing::debug!(event = "greeting_unread", %error, "nobody reads the greeting");
    }
}

fn write_greeting(
    text: &mut Vec<u8>,
    server: &Server,
    is_demo: bool,
    first: Option<&FirstOwner>,
) -> std::io::Result<()> {
    let paint = Paint { is_colored: std::io::stdout().is_terminal() };
    let url = server.url();
    writeln!(text, "{} {}", paint.bold("Syncline listens on"), paint.green(&url))?;
    if let Some(owner) = first {
        writeln!(text)?;
        writeln!(text, "  {}", paint.bold("First start: this password is shown only now."))?;
        writeln!(text, "  workspace  {}", owner.workspace_id)?;
        writeln!(text, "  e-mail     {}", owner.email)?;
        writeln!(text, "  password   {}", paint.green(&owner.password))?;
    }
    let (email, password) = match (is_demo, first) {
        (true, _) => (demo::USERS[0].email, demo::PASSWORD),
        (false, Some(owner)) => (owner.email.as_str(), owner.password.as_str()),
        (false, None) => ("<your e-mail>", "<your password>"),
    };
    if is_demo {
        writeln!(text)?;
        writeln!(
            text,
            "  Open {} in a browser. Everybody's password is {}:",
            paint.green(&url),
            paint.green(demo::PASSWORD)
        )?;
        for user in &demo::USERS {
            writeln!(text, "  {:<22} {:<8} reads {}", user.email, user.role, user.read_scope)?;
        }
    }
    writeln!(text)?;
    writeln!(text, "{}", paint.bold("Try"))?;
    writeln!(text, "  {}", paint.dim("# sign in over HTTP and list leads"))?;
    writeln!(text, "  TOKEN=$(curl -s {url}/api/auth/login -H 'content-type: application/json' \\")?;
    writeln!(
        text,
        "    -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')"
    )?;
    writeln!(text, "  curl -s '{url}/api/leads?limit=3' -H \"authorization: Bearer $TOKEN\"")?;
    writeln!(text, "  curl -s {url}/health")?;
    writeln!(text)?;
    writeln!(text, "{}", paint.dim("Ctrl-C stops the server."))?;
    Ok(())
}

struct Paint {
    is_colored: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.is_colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }
    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }
    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }
}
