//! A server in memory with a few people on it, for tests that push mutations and look at what became of them.

use std::sync::Arc;

use serde_json::json;
use syncline_core::change::{Mutation, Op, Outcome, OutcomeKind, Resolution};
use syncline_core::engine::{PushReply, PushRequest, access, plan_group, wanted};
use syncline_core::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::record::Record;
use syncline_core::schema::Schema;
use syncline_core::storage::{MemoryStore, Read, Store};
use syncline_core::{Fields, Name, Seq, Value};

pub struct World {
    pub schema: Arc<Schema>,
    pub workspace: WorkspaceId,
    pub store: MemoryStore,
    pub now_ms: u64,
    next_id: u128,
    server_seq: u64,
}

/// Somebody on a device with one database.
#[derive(Clone)]
pub struct Device {
    pub principal: Principal,
    pub next_seq: u64,
}

pub fn fields(value: Value) -> Fields {
    let Value::Object(members) = value else { panic!("fields are an object") };
    members.into_iter().map(|(name, value)| (Name::new(name), value)).collect()
}

impl World {
    pub fn new() -> Self {
        let schema = Arc::new(Schema::crm());
        let workspace = WorkspaceId::new("test").unwrap();
        let mut store = MemoryStore::new(schema.clone());
        store.create_workspace(&workspace, BackendId::from_u128(1)).unwrap();
        Self { schema, workspace, store, now_ms: 1_000_000_000_000, next_id: 1_000, server_seq: 0 }
    }

    pub fn id(&mut self) -> RecordId {
        self.next_id += 1;
        RecordId::v7(self.now_ms, self.next_id.to_be_bytes()[6..].try_into().unwrap())
    }

    /// A member with a device. `number` keeps ids stable.
    pub fn member(&mut self, number: u128, role: &str, read_scope: &str) -> Device {
        let user_id = UserId::from_u128(number);
        let email = format!("user{number}@example.com");
        let user = Op::Create {
            entity: "users".into(),
            id: RecordId(user_id.0),
            fields: fields(json!({"name": format!("User {number}"), "email": email, "status": "active"})),
        };
        let member = Op::Create {
            entity: access::MEMBERS.into(),
            id: access::member_id(&self.workspace, user_id),
            fields: fields(json!({"user_id": user_id, "role": role, "read_scope": read_scope, "status": "active"})),
        };
        self.serve(vec![user, member]);
        self.device_of(user_id, number)
    }

    pub fn device_of(&self, user_id: UserId, number: u128) -> Device {
        let principal = Principal {
            workspace_id: self.workspace.clone(),
            user_id,
            device_id: DeviceId::from_u128(number + 100),
            client_id: ClientId::from_u128(number + 200),
            is_server: false,
        };
        Device { principal, next_seq: 1 }
    }

    /// A write of the server itself; must be applied.
    pub fn serve(&mut self, ops: Vec<Op>) -> Outcome {
        self.server_seq += 1;
        let principal = Principal {
            workspace_id: self.workspace.clone(),
            user_id: UserId::NIL,
            device_id: DeviceId::NIL,
            client_id: ClientId::from_u128(1),
            is_server: true,
        };
        let mutation = self.mutation(self.server_seq, 0, ops);
        let outcome = self.request(principal, vec![mutation]).remove(0);
        assert_ne!(outcome.outcome, OutcomeKind::Rejected, "{outcome:?}");
        outcome
    }

    pub fn mutation(&mut self, client_seq: u64, age_ms: u64, ops: Vec<Op>) -> Mutation {
        self.next_id += 1;
        let mutation_id = MutationId::from_u128(self.next_id << 32);
        Mutation { mutation_id, client_seq, age_ms, ops, depends_on: Vec::new() }
    }

    pub fn push(&mut self, device: &mut Device, ops: Vec<Op>) -> Outcome {
        self.push_aged(device, 0, ops)
    }

    pub fn push_aged(&mut self, device: &mut Device, age_ms: u64, ops: Vec<Op>) -> Outcome {
        let mutation = self.mutation(device.next_seq, age_ms, ops);
        device.next_seq += 1;
        self.request(device.principal.clone(), vec![mutation]).remove(0)
    }

    pub fn request(&mut self, principal: Principal, mutations: Vec<Mutation>) -> Vec<Outcome> {
        match self.reply(principal, mutations) {
            PushReply::Outcomes(outcomes) => outcomes,
            other => panic!("expected outcomes, got {other:?}"),
        }
    }

    pub fn reply(&mut self, principal: Principal, mutations: Vec<Mutation>) -> PushReply {
        self.now_ms += 1_000;
        let request = PushRequest { principal, mutations, received_ms: self.now_ms, deposit: None };
        self.group(vec![request]).remove(0)
    }

    pub fn group(&mut self, requests: Vec<PushRequest>) -> Vec<PushReply> {
        let (schema, workspace) = (self.schema.clone(), self.workspace.clone());
        let plan = |read: &dyn Read| {
            let plan = plan_group(&schema, &workspace, read, &requests)?;
            Ok((plan.writes, plan.replies))
        };
        let wanted = wanted(&self.schema, &self.workspace, &requests);
        self.store.transact(&self.workspace, &wanted, plan).unwrap()
    }

    pub fn view<T>(&self, look: impl FnOnce(&dyn Read) -> T) -> T {
        self.store.read(&self.workspace, |read| Ok(look(read))).unwrap()
    }

    pub fn head(&self) -> Seq {
        self.view(|read| read.head().unwrap().seq)
    }

    pub fn record(&self, entity: &str, id: RecordId) -> Option<Record> {
        self.store.read(&self.workspace, |read| read.record(entity, id)).unwrap()
    }

    pub fn value(&self, entity: &str, id: RecordId, field: &str) -> Value {
        let record = self.record(entity, id).expect("the record exists");
        record.fields.get(field).cloned().unwrap_or(Value::Null)
    }

    pub fn rv(&self, entity: &str, id: RecordId) -> u64 {
        self.record(entity, id).map_or(0, |record| record.rv)
    }

    pub fn contact(&mut self, device: &mut Device, values: Value) -> RecordId {
        let id = self.id();
        let outcome = self.push(device, vec![create("contacts", id, values)]);
        assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
        id
    }

    /// A contact and its lead.
    pub fn lead(&mut self, device: &mut Device, values: Value) -> RecordId {
        let contact = self.contact(device, json!({"firstname": "Ada", "lastname": "Example"}));
        let id = self.id();
        let mut values = values;
        values["contact_id"] = json!(contact);
        let outcome = self.push(device, vec![create("leads", id, values)]);
        assert_eq!(outcome.outcome, OutcomeKind::Applied, "{outcome:?}");
        id
    }
}

pub fn create(entity: &str, id: RecordId, values: Value) -> Op {
    Op::Create { entity: entity.into(), id, fields: fields(values) }
}

pub fn update(entity: &str, id: RecordId, base_rv: u64, values: Value) -> Op {
    Op::Update { entity: entity.into(), id, base_rv, fields: fields(values) }
}

pub fn delete(entity: &str, id: RecordId, base_rv: u64) -> Op {
    Op::Delete { entity: entity.into(), id, base_rv }
}

pub fn resolve(id: RecordId, base_rv: u64, resolution: Resolution) -> Op {
    Op::Resolve { id, base_rv, resolution, fields: Fields::new() }
}
