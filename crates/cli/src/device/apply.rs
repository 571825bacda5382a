//! Mutations in bulk, for scripts: one line of JSON each, one durable local write each.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;
use syncline_client::{Client, record_id};
use syncline_core::change::Resolution;
use syncline_core::id::RecordId;
use syncline_core::replica::Edit;
use syncline_core::{Fields, Name};

use super::{Exit, show};

/// Errors shown one by one; the rest is counted.
const ERRORS_MAX: usize = 20;

#[derive(Deserialize)]
struct Line {
    ops: Vec<OpLine>,
}

/// As an op on the wire, without what the replica knows itself. Other members are ignored.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum OpLine {
    Create {
        entity: Name,
        id: Option<RecordId>,
        fields: Fields,
    },
    Update {
        entity: Name,
        id: RecordId,
        fields: Fields,
    },
    Delete {
        entity: Name,
        id: RecordId,
    },
    Restore {
        entity: Name,
        id: RecordId,
        #[serde(default)]
        fields: Fields,
    },
    Resolve {
        id: RecordId,
        resolution: Resolution,
        #[serde(default)]
        fields: Fields,
    },
}

impl From<OpLine> for Edit {
    fn from(line: OpLine) -> Self {
        match line {
            OpLine::Create { entity, id, fields } => Edit::Create { entity, id: id.unwrap_or_else(record_id), fields },
            OpLine::Update { entity, id, fields } => Edit::Update { entity, id, fields },
            OpLine::Delete { entity, id } => Edit::Delete { entity, id },
            OpLine::Restore { entity, id, fields } => Edit::Restore { entity, id, fields },
            OpLine::Resolve { id, resolution, fields } => Edit::Resolve { conflict: id, resolution, fields },
        }
    }
}

/// Goes on after a line that fails, and ends with exit code 1 when one did.
pub(super) async fn apply(client: &Client, file: &Path, is_json: bool) -> anyhow::Result<Exit> {
    let input: Box<dyn BufRead> = match file == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => {
            Box::new(BufReader::new(File::open(file).with_context(|| format!("{} could not be read", file.display()))?))
        }
    };
    let started_ms = syncline_client::now_ms();
    let (mut applied, mut ops, mut failed) = (0_u64, 0_usize, 0_usize);
    for (number, line) in (1_usize..).zip(input.lines()) {
        let line = line.context("the input could not be read")?;
        if line.trim().is_empty() {
            continue;
        }
        match apply_line(client, &line).await {
            Ok(count) => {
                applied += 1;
                ops += count;
            }
            Err(error) => {
                failed += 1;
                if failed <= ERRORS_MAX {
                    eprintln!("line {number}: {error:#}");
                }
            }
        }
    }
    let elapsed_ms = syncline_client::now_ms().saturating_sub(started_ms);
    if is_json {
        show::json(&json!({"applied": applied, "ops": ops, "failed": failed, "elapsed_ms": elapsed_ms}))?;
    } else {
        println!("{applied} mutations with {ops} ops applied, {failed} failed, in {elapsed_ms} ms");
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Error })
}

async fn apply_line(client: &Client, line: &str) -> anyhow::Result<usize> {
    let line: Line = serde_json::from_str(line).context("not a mutation")?;
    let edits: Vec<Edit> = line.ops.into_iter().map(Edit::from).collect();
    let count = edits.len();
    client.mutate(edits).await?;
    Ok(count)
}
