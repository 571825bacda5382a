//! `syncline device`: a replica at the command line. Local commands never touch the network.

mod apply;
mod args;
mod conflicts;
mod fields;
mod records;
mod show;
mod sync;

use std::process::ExitCode;

pub use args::DeviceArgs;
use args::{Command, RejectedCommand};
use syncline_client::{Client, ClientError};
use syncline_core::protocol::Code;

/// Exit codes, as `--help` documents them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Ok = 0,
    Error = 1,
    Usage = 2,
    NotSynced = 3,
    NeedsPerson = 4,
    Revoked = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A command that cannot be meant as it was typed.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// Runs one device command. Errors are printed here, each with its exit code.
pub async fn run(args: DeviceArgs) -> anyhow::Result<ExitCode> {
    let is_json = args.json;
    match dispatch(args).await {
        Ok(exit) => Ok(exit.into()),
        Err(error) => {
            let exit = exit_of(&error);
            show::error(&error, exit as u8, is_json);
            Ok(exit.into())
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<Usage>() {
        return Exit::Usage;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused(problem)) if problem.code == Code::DeviceRevoked => Exit::Revoked,
        Some(error) if error.is_offline() => Exit::NotSynced,
        _ => Exit::Error,
    }
}

async fn dispatch(args: DeviceArgs) -> anyhow::Result<Exit> {
    let is_json = args.json;
    if let Command::Init(init) = args.command {
        return sync::init(&args.dir, init, is_json).await;
    }
    let client = Client::open(&args.dir).await?;
    let done = on_device(&client, args.command, is_json).await;
    client.close().await;
    done
}

async fn on_device(client: &Client, command: Command, is_json: bool) -> anyhow::Result<Exit> {
    match command {
        Command::Init(_) => unreachable!("handled before a device is opened"),
        Command::Sync(args) => sync::sync(client, &args, is_json).await,
        Command::Status => sync::status(client, is_json).await,
        Command::List(args) => records::list(client, &args, is_json).await,
        Command::Get(target) => records::get(client, &target, is_json).await,
        Command::Create(args) => records::create(client, &args, is_json).await,
        Command::Update(args) => records::update(client, &args, is_json).await,
        Command::Delete(target) => records::delete(client, &target, is_json).await,
        Command::History { target, limit } => records::history(client, &target, limit, is_json).await,
        Command::Conflicts { all } => conflicts::list(client, all, is_json).await,
        Command::Resolve(args) => conflicts::resolve(client, &args, is_json).await,
        Command::Undo { conflict } => conflicts::undo(client, conflict, is_json).await,
        Command::Rejected { command } => match command.unwrap_or(RejectedCommand::List) {
            RejectedCommand::List => conflicts::rejected(client, is_json).await,
            RejectedCommand::Discard { client_seq } => conflicts::discard(client, client_seq, is_json).await,
            RejectedCommand::Resend { client_seq, assignments } => {
                conflicts::resend(client, client_seq, &assignments, is_json).await
            }
        },
        Command::Apply { file } => apply::apply(client, &file, is_json).await,
    }
}
