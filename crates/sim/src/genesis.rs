//! The workspace every world starts from: people, teams, a pipeline, accounts. Built once per thread, cloned per seed.

use std::sync::Arc;

use serde_json::json;
use syncline_core::change::{Mutation, Op, OutcomeKind};
use syncline_core::engine::{PushReply, PushRequest, access, plan_group};
use syncline_core::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::schema::Schema;
use syncline_core::storage::{MemoryStore, Read, Store, Wanted};
use syncline_core::{Fields, Name, Value};

use crate::device::EPOCH_MS;
use crate::schema::{ACCOUNTS, BALANCE_SUM};

/// Role and read scope by user number, from 1.
pub const PEOPLE: [(&str, &str); 5] =
    [("admin", "own"), ("manager", "team"), ("agent", "team"), ("agent", "own"), ("viewer", "all")];
pub const SERVER_CLIENT: ClientId = ClientId::from_u128(1);
pub const TEAM_IDS: [RecordId; 2] = [RecordId::from_u128(0x7001), RecordId::from_u128(0x7002)];
pub const PIPELINE: RecordId = RecordId::from_u128(0x8001);
pub const STAGES: [RecordId; 2] = [RecordId::from_u128(0x8101), RecordId::from_u128(0x8102)];
pub const ACCOUNT_IDS: [RecordId; 3] =
    [RecordId::from_u128(0x9001), RecordId::from_u128(0x9002), RecordId::from_u128(0x9003)];

pub fn user(number: usize) -> UserId {
    UserId::from_u128(0x1000 + number as u128)
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::new("sim").expect("a valid id")
}

pub fn fields(value: Value) -> Fields {
    let Value::Object(members) = value else { return Fields::new() };
    members.into_iter().map(|(name, value)| (Name::new(name), value)).collect()
}

pub fn create(entity: &str, id: RecordId, values: Value) -> Op {
    Op::Create { entity: entity.into(), id, fields: fields(values) }
}

pub fn server_principal() -> Principal {
    Principal {
        workspace_id: workspace(),
        user_id: UserId::NIL,
        device_id: DeviceId::NIL,
        client_id: SERVER_CLIENT,
        is_server: true,
    }
}

/// The first mutations of a workspace.
pub fn mutations() -> Vec<Mutation> {
    let mut ops = Vec::new();
    for (index, (role, read_scope)) in PEOPLE.iter().enumerate() {
        let id = user(index + 1);
        let email = format!("user{}@example.com", index + 1);
        ops.push(create("users", RecordId(id.0), json!({"name": format!("User {index}"), "email": email})));
        let member = json!({"user_id": id, "role": role, "read_scope": read_scope, "status": "active"});
        ops.push(create(access::MEMBERS, access::member_id(&workspace(), id), member));
    }
    ops.push(create("teams", TEAM_IDS[0], json!({"name": "North", "member_ids": [user(2), user(3)]})));
    ops.push(create("teams", TEAM_IDS[1], json!({"name": "South", "member_ids": [user(3), user(4)]})));
    ops.push(create("pipelines", PIPELINE, json!({"name": "Sales"})));
    for (index, stage) in STAGES.iter().enumerate() {
        ops.push(create("pipeline_stages", *stage, json!({"pipeline_id": PIPELINE, "name": format!("Stage {index}")})));
    }
    for account in ACCOUNT_IDS {
        ops.push(create(ACCOUNTS, account, json!({"name": "account", "balance": BALANCE_SUM / 3})));
    }
    let mutation = |(index, op): (usize, Op)| Mutation {
        mutation_id: MutationId::from_u128(0x5000 + index as u128),
        client_seq: index as u64 + 1,
        age_ms: 0,
        ops: vec![op],
        depends_on: Vec::new(),
    };
    ops.into_iter().enumerate().map(mutation).collect()
}

/// A store with the first mutations applied.
pub fn store(schema: &Arc<Schema>) -> MemoryStore {
    let workspace = workspace();
    let mut store = MemoryStore::new(schema.clone());
    store.create_workspace(&workspace, BackendId::from_u128(0xb)).expect("the store is new");
    let request =
        PushRequest { principal: server_principal(), mutations: mutations(), received_ms: EPOCH_MS, deposit: None };
    let requests = [request];
    let plan = |read: &dyn Read| {
        let plan = plan_group(schema, &workspace, read, &requests)?;
        Ok((plan.writes, plan.replies))
    };
    let replies = store.transact(&workspace, &Wanted::default(), plan).expect("a memory store takes the first group");
    let PushReply::Outcomes(outcomes) = &replies[0] else { panic!("the first mutations have outcomes") };
    let refused = outcomes.iter().find(|outcome| outcome.outcome == OutcomeKind::Rejected);
    assert!(refused.is_none(), "the first mutations are applied: {refused:?}");
    store
}
