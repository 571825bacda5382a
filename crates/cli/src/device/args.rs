//! What `syncline device` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use syncline_core::change::Resolution;
use syncline_core::id::{RecordId, WorkspaceId};

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  an error
  2  the command cannot be meant as typed
  3  the server is out of reach, or not everything was exchanged; nothing is lost
  4  done, and something waits for a person: open conflicts or rejected changes (sync, status)
  5  access was withdrawn; what this device held is deleted";

/// Work on a copy of the CRM that needs no network, and sync it with a server.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct DeviceArgs {
    /// Directory of the device: its replica and credentials.
    #[arg(long, global = true, env = "SYNCLINE_DIR", default_value = "./device", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Answer with JSON, for programs.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Sign in and make the directory a device; on an existing one, sign in again.
    Init(InitArgs),
    /// Exchange changes with the server until both are the same.
    Sync(SyncArgs),
    /// Where this device stands.
    Status,
    /// List records, with what is pending.
    List(ListArgs),
    /// Show one record, with what is pending.
    Get(Target),
    /// Create a record.
    Create(CreateArgs),
    /// Change fields of a record: FIELD=VALUE, FIELD= (clear), SET+=ITEM, SET-=ITEM, COUNTER+=N.
    Update(UpdateArgs),
    /// Delete a record.
    Delete(Target),
    /// What happened to a record, newest first. Asks the server.
    History {
        #[command(flatten)]
        target: Target,
        /// At most this many steps, 1 to 500.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Conflicts that wait for a decision.
    Conflicts {
        /// Also those that were decided, by people or by a rule.
        #[arg(long)]
        all: bool,
    },
    /// Decide a conflict, or decide it anew.
    Resolve(ResolveArgs),
    /// Take back how a conflict was decided: the other side is put in place.
    Undo { conflict: RecordId },
    /// Changes the server refused.
    Rejected {
        #[command(subcommand)]
        command: Option<RejectedCommand>,
    },
    /// Apply mutations from a file of JSON lines: {"ops": [{"op": "create", "entity": "..", "fields": {..}}]}.
    Apply {
        /// A file, or - for standard input.
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Address of the server.
    #[arg(long)]
    pub server: String,
    #[arg(long)]
    pub email: String,
    /// Needed by members of several workspaces.
    #[arg(long, value_parser = |text: &str| WorkspaceId::new(text))]
    pub workspace: Option<WorkspaceId>,
    /// Read the password from standard input; otherwise from SYNCLINE_PASSWORD.
    #[arg(long)]
    pub password_stdin: bool,
    /// How this device is called in the list of devices.
    #[arg(long, value_name = "NAME", default_value = "Command line")]
    pub name: String,
    /// Declaration of the server's schema, when it is not the default one.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct SyncArgs {
    /// Stay connected and say what happens, until interrupted.
    #[arg(long)]
    pub watch: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, conflicts_with = "watch")]
    pub timeout: u64,
    /// Give up after this many failed connections in a row.
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "watch")]
    pub attempts: u32,
}

#[derive(Args, Debug)]
pub(super) struct Target {
    pub entity: String,
    pub id: RecordId,
}

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    pub entity: String,
    /// Only records whose field has this value (sets: contains it). May be given several times.
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub filters: Vec<String>,
    /// At most this many; 0: all.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Order by a field, downwards with a leading `-`. Without: by age.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Columns of the table.
    #[arg(long, value_name = "FIELD,..", value_delimiter = ',')]
    pub columns: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Values {
    /// FIELD=VALUE; sets as a JSON array or items with commas, JSON fields as JSON.
    #[arg(value_name = "FIELD=VALUE")]
    pub assignments: Vec<String>,
    /// Fields as a JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "fields_file")]
    pub fields: Option<String>,
    /// File with the fields as a JSON object; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub fields_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct CreateArgs {
    pub entity: String,
    #[command(flatten)]
    pub values: Values,
    /// Id of the record; without, a new one is minted.
    #[arg(long)]
    pub id: Option<RecordId>,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub values: Values,
}

#[derive(Args, Debug)]
pub(super) struct ResolveArgs {
    pub conflict: RecordId,
    #[arg(value_enum)]
    pub choice: Choice,
    /// Values for `custom`.
    #[arg(value_name = "FIELD=VALUE")]
    pub assignments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Choice {
    /// The side of the change that met the conflict.
    Mine,
    /// What the server had.
    Theirs,
    /// The values that follow.
    Custom,
}

impl From<Choice> for Resolution {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Mine => Resolution::UseMine,
            Choice::Theirs => Resolution::UseTheirs,
            Choice::Custom => Resolution::Custom,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum RejectedCommand {
    /// Show them, with the reason of each.
    List,
    /// Forget one.
    Discard { client_seq: u64 },
    /// Send one again, with other values where given.
    Resend {
        client_seq: u64,
        #[arg(value_name = "FIELD=VALUE")]
        assignments: Vec<String>,
    },
}
