//! A device that is driven by the steps of a script.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use syncline_core::change::Resolution;
use syncline_core::id::{MutationId, RecordId, ScopeId};
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::{ServerFrame, WireOp};
use syncline_core::replica::{
    Edit, Loading, LocalError, MemoryReplica, Query, Replica, ReplicaIdentity, ReplicaStore, Viewed,
};
use syncline_core::schema::Schema;
use syncline_core::session::client::{ClientSession, Effect, Input, Now};
use syncline_core::{Fields, Name, Seq};

type Object = Map<String, Value>;

/// What the wall clock says when the monotonic one says 0, unless a step says otherwise.
const WALL_MS: u64 = 1_700_000_000_000;
const RANDOM: &str = "55555555555555555555555555555555";

/// What every script begins with.
pub struct Device {
    identity: ReplicaIdentity,
    mode: DeploymentMode,
    schema: Arc<Schema>,
    /// What happened before, by name.
    pub beginnings: Vec<Value>,
}

impl Device {
    pub fn read(declared: &Value) -> Self {
        let member = |name: &str| declared[name].clone();
        let schema = schema_of(&declared["schema"]);
        assert_eq!(declared["schema"]["hash"], schema.hash.as_str(), "the hash of the schema");
        let identity = ReplicaIdentity {
            workspace_id: serde_json::from_value(member("workspace_id")).unwrap(),
            user_id: serde_json::from_value(member("user_id")).unwrap(),
            device_id: serde_json::from_value(member("device_id")).unwrap(),
            client_id: serde_json::from_value(member("client_id")).unwrap(),
        };
        let beginnings = serde_json::from_value(member("beginnings")).unwrap();
        Self {
            identity,
            mode: serde_json::from_value(member("deployment_mode")).unwrap(),
            schema: Arc::new(schema),
            beginnings,
        }
    }

    pub fn hash_of(declared: &Value) -> String {
        schema_of(declared).hash
    }
}

/// Reads the declaration as TOML, which schemas are written in.
fn schema_of(declared: &Value) -> Schema {
    let mut declared = declared.as_object().unwrap().clone();
    declared.remove("hash");
    let text: String = declared.iter().map(|(name, value)| format!("{name} = {}\n", toml(value))).collect();
    Schema::parse(&text, "device.json").unwrap()
}

fn toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// What a step feeds, and when.
pub struct Step {
    at_ms: Option<u64>,
    wall_ms: Option<u64>,
    random: Option<String>,
    input: StepInput,
}

impl Step {
    pub fn read(mut members: Object) -> serde_json::Result<Self> {
        let mut take = |name: &str| members.remove(name).unwrap_or_default();
        let (at_ms, wall_ms, random) = (take("at_ms"), take("wall_ms"), take("random"));
        Ok(Self {
            at_ms: serde_json::from_value(at_ms)?,
            wall_ms: serde_json::from_value(wall_ms)?,
            random: serde_json::from_value(random)?,
            input: serde_json::from_value(members.into())?,
        })
    }
}

#[derive(Deserialize)]
#[serde(tag = "input", rename_all = "snake_case", deny_unknown_fields)]
enum StepInput {
    Online {},
    Pause {},
    Connected {},
    Frame {
        frame: ServerFrame,
    },
    Disconnected {
        code: Option<u16>,
    },
    SignedOut {},
    LocalChange {},
    SnapshotRows {
        scope: ScopeId,
        rows: Vec<WireOp>,
        resume: Option<String>,
    },
    SnapshotEnd {
        scope: ScopeId,
        seq: Seq,
    },
    SnapshotFailed {
        scope: ScopeId,
        #[serde(default)]
        is_lost: bool,
    },
    Tick {},
    /// Not of the machine: an edit goes into the outbox.
    Edit {
        mutation_id: MutationId,
        edits: Vec<StepEdit>,
    },
    /// Not of the machine: a rejected mutation is edited and sent again.
    Resend {
        client_seq: u64,
        changes: Fields,
        mutation_id: MutationId,
    },
    /// Not of the machine: a rejected mutation is forgotten.
    Discard {
        client_seq: u64,
    },
}

#[derive(Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case", deny_unknown_fields)]
enum StepEdit {
    Create { entity: Name, id: RecordId, fields: Fields },
    Update { entity: Name, id: RecordId, fields: Fields },
    Delete { entity: Name, id: RecordId },
    Restore { entity: Name, id: RecordId, fields: Fields },
    Resolve { conflict: RecordId, resolution: Resolution, fields: Fields },
}

impl From<StepEdit> for Edit {
    fn from(edit: StepEdit) -> Self {
        match edit {
            StepEdit::Create { entity, id, fields } => Edit::Create { entity, id, fields },
            StepEdit::Update { entity, id, fields } => Edit::Update { entity, id, fields },
            StepEdit::Delete { entity, id } => Edit::Delete { entity, id },
            StepEdit::Restore { entity, id, fields } => Edit::Restore { entity, id, fields },
            StepEdit::Resolve { conflict, resolution, fields } => Edit::Resolve { conflict, resolution, fields },
        }
    }
}

pub struct Bed {
    replica: Replica<MemoryReplica>,
    session: ClientSession,
    schema: Arc<Schema>,
    at_ms: u64,
    random: String,
}

impl Bed {
    pub fn new(device: &Device, random: Option<&str>) -> Self {
        let store = MemoryReplica::new(device.schema.clone());
        let replica = Replica::open(store, device.schema.clone(), Some(device.identity.clone())).unwrap().unwrap();
        let session = ClientSession::new(device.mode);
        let random = random.unwrap_or(RANDOM).to_owned();
        Self { replica, session, schema: device.schema.clone(), at_ms: 0, random }
    }

    pub fn wakeup_ms(&self) -> Option<u64> {
        self.session.next_wakeup_ms()
    }

    /// Effects as they stand in scripts; the code of why an edit was not taken.
    pub fn take(&mut self, step: Step) -> Result<Vec<Value>, &'static str> {
        assert!(step.at_ms.is_none_or(|at_ms| at_ms >= self.at_ms), "the monotonic clock never goes back");
        self.at_ms = step.at_ms.unwrap_or(self.at_ms);
        let wall_ms = step.wall_ms.unwrap_or(WALL_MS + self.at_ms);
        let random = u128::from_str_radix(step.random.as_ref().unwrap_or(&self.random), 16).unwrap();
        let now = Now { monotonic_ms: self.at_ms, wall_ms, random };
        let input = match step.input {
            StepInput::Edit { mutation_id, edits } => {
                let edits = edits.into_iter().map(Edit::from).collect();
                return done(self.replica.mutate(edits, mutation_id, wall_ms));
            }
            StepInput::Resend { client_seq, changes, mutation_id } => {
                return done(self.replica.resend_rejected(client_seq, &changes, mutation_id, wall_ms));
            }
            StepInput::Discard { client_seq } => return done(self.replica.discard_rejected(client_seq)),
            StepInput::Online {} => Input::Online,
            StepInput::Pause {} => Input::Pause,
            StepInput::Connected {} => Input::Connected,
            StepInput::Frame { frame } => Input::Frame(frame),
            StepInput::Disconnected { code } => Input::Disconnected { code },
            StepInput::SignedOut {} => Input::SignedOut,
            StepInput::LocalChange {} => Input::LocalChange,
            StepInput::SnapshotRows { scope, rows, resume } => Input::SnapshotRows { scope, rows, resume },
            StepInput::SnapshotEnd { scope, seq } => Input::SnapshotEnd { scope, seq },
            StepInput::SnapshotFailed { scope, is_lost } => Input::SnapshotFailed { scope, is_lost },
            StepInput::Tick {} => Input::Tick,
        };
        Ok(self.session.handle(&mut self.replica, input, now).unwrap().into_iter().map(effect).collect())
    }

    /// All that scripts say of session and replica.
    pub fn state(&self) -> Object {
        let (meta, store) = (self.replica.meta(), self.replica.store());
        let rejected = store.rejected().unwrap().into_iter().map(|rejected| {
            let outcome = rejected.outcome;
            json!({"client_seq": outcome.client_seq, "mutation_id": outcome.mutation_id, "code": outcome.code})
        });
        let scopes = store.scopes().unwrap().into_iter().map(|(scope, state)| {
            let mut about = json!({"seq": state.seq, "digest": state.digest});
            match state.loading {
                None => {}
                Some(Loading::Snapshot { seq, resume: None, .. }) => {
                    about["loading"] = json!({"how": "snapshot", "seq": seq});
                }
                Some(Loading::Snapshot { seq, resume: Some(resume), .. }) => {
                    about["loading"] = json!({"how": "snapshot", "seq": seq, "resume": resume});
                }
                Some(Loading::Reconcile { seq }) => about["loading"] = json!({"how": "reconcile", "seq": seq}),
            }
            (scope.to_string(), about)
        });
        let entities = self.schema.entities.keys();
        let queries = entities.map(|entity| Query { entity: entity.clone(), ..Query::default() });
        let views = queries.flat_map(|query| self.replica.query(&query).unwrap());
        let state = json!({
            "phase": self.session.phase(),
            "client_id": meta.client_id,
            "epoch": meta.epoch,
            "cursor": meta.cursor,
            "decided_upto": meta.decided_upto,
            "next_client_seq": meta.next_client_seq,
            "pending": store.outbox_count().unwrap(),
            "rejected": rejected.collect::<Vec<Value>>(),
            "lease_until_ms": meta.lease_until_ms,
            "last_sync_ms": meta.last_sync_ms,
            "repairs": meta.repairs,
            "purged": meta.purged,
            "scopes": scopes.collect::<Object>(),
            "records": views.map(view).collect::<Object>(),
        });
        state.as_object().unwrap().clone()
    }
}

fn view(view: Viewed) -> (String, Value) {
    let key = format!("{} {}", view.entity, view.id);
    let mut about = serde_json::to_value(view).unwrap();
    about.as_object_mut().unwrap().retain(|name, _| name != "entity" && name != "id");
    (key, about)
}

fn done<T>(taken: Result<T, LocalError>) -> Result<Vec<Value>, &'static str> {
    match taken {
        Ok(_) => Ok(Vec::new()),
        Err(LocalError::UnknownEntity(_)) => Err("unknown_entity"),
        Err(LocalError::NoSuchRecord { .. } | LocalError::NoSuchRejected(_)) => Err("not_found"),
        Err(LocalError::Invalid(_)) => Err("validation"),
        Err(LocalError::OutboxFull) => Err("storage_full"),
        Err(LocalError::TooLarge) => Err("too_large"),
        Err(LocalError::LeaseExpired) => Err("lease_expired"),
        Err(LocalError::Revoked) => Err("device_revoked"),
        Err(LocalError::Store(error)) => panic!("a store in memory does not fail: {error}"),
    }
}

fn effect(effect: Effect) -> Value {
    match effect {
        Effect::Connect => json!({"effect": "connect"}),
        Effect::Disconnect => json!({"effect": "disconnect"}),
        Effect::Send(frame) => json!({"effect": "send", "frame": frame}),
        Effect::FetchSnapshot { scope, url, resume: None } => {
            json!({"effect": "fetch_snapshot", "scope": scope, "url": url})
        }
        Effect::FetchSnapshot { scope, url, resume: Some(resume) } => {
            json!({"effect": "fetch_snapshot", "scope": scope, "url": url, "resume": resume})
        }
        Effect::RenewToken => json!({"effect": "renew_token"}),
        Effect::Notify(event) => json!({"effect": "notify", "event": event}),
    }
}
