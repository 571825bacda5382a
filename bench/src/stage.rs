//! A server with the demo's people on it, and records to fill it with.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use syncline_client::SyncLimits;
use syncline_core::change::{Mutation, Op};
use syncline_core::engine::{PushRequest, plan_group, wanted};
use syncline_core::id::{ClientId, DeviceId, MutationId, RecordId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::schema::Schema;
use syncline_core::storage::{Store as _, WriteSet};
use syncline_core::{Fields, Name};
use syncline_server::{Server, demo};
use syncline_storage::{Database, DatabaseOptions};

use crate::clock;
use crate::place::{Place, StoreKind};

/// Nodes on one place, in this process.
pub struct Stage {
    pub nodes: Vec<Server>,
    /// Of the first node.
    pub url: String,
    pub place: Place,
}

impl Stage {
    /// One node on new data.
    pub async fn start(kind: StoreKind) -> anyhow::Result<Self> {
        Self::start_in(Place::new(kind).await?, 1).await
    }

    /// Several nodes are on PostgreSQL, with a Redis between them.
    pub async fn start_in(place: Place, nodes: usize) -> anyhow::Result<Self> {
        let mut servers = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            let server = Server::start(place.config(nodes > 1)?, Arc::new(Schema::crm())).await?;
            demo::ensure(server.app()).await?;
            servers.push(server);
        }
        let url = format!("http://{}", servers[0].address());
        Ok(Self { nodes: servers, url, place })
    }

    /// Where a node is reached.
    pub fn url_of(&self, node: usize) -> String {
        format!("http://{}", self.nodes[node].address())
    }

    pub async fn stop(self) -> Place {
        for node in self.nodes {
            node.stop().await;
        }
        self.place
    }
}

/// Long enough for a device to take everything.
pub fn sync_limits() -> SyncLimits {
    SyncLimits { deadline: std::time::Duration::from_secs(300), ..SyncLimits::default() }
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::new(demo::WORKSPACE).expect("the demo's name is valid")
}

/// An id that is unlike its neighbours', as devices mint them.
pub fn new_id() -> RecordId {
    RecordId::v7(clock::wall_ms(), rand::random())
}

pub fn fields(value: Value) -> Fields {
    let Value::Object(members) = value else { return Fields::new() };
    members.into_iter().map(|(name, value)| (Name::new(name), value)).collect()
}

/// A contact as an import or a capture would make it: 15 fields, about 450 bytes.
pub fn contact(number: usize) -> Op {
    let values = json!({
        "firstname": format!("First{number}"), "lastname": format!("Last{}", number * 7 % 10_007),
        "email": format!("person{number}@company{}.example", number % 997),
        "phone_number": format!("+1 555 {:07}", number), "company_name": format!("Company {}", number % 997),
        "job_title": "Head of Purchasing", "lead_source": "Cold Call", "sub_source": "list 7",
        "st_address": format!("{} Main Street", number % 300), "city": "Springfield", "state": "Illinois",
        "zip": format!("{:05}", number % 90_000), "country": "United States", "priority": "medium",
        "tags": ["imported", "q3"],
    });
    Op::Create { entity: "contacts".into(), id: new_id(), fields: fields(values) }
}

/// A lead of a contact: 9 fields.
pub fn lead(number: usize, contact: RecordId) -> Op {
    let values = json!({
        "contact_id": contact, "lead_source": "Cold Call", "sub_source": "list 7",
        "product_interest": format!("Product {}", number % 50), "market": "Midwest", "temperature": "warm",
        "estimated_value": format!("{}.00", 100 + number % 9_000), "currency": "USD",
        "external_id": format!("L-{number}"),
    });
    Op::Create { entity: "leads".into(), id: new_id(), fields: fields(values) }
}

pub fn mutation(client_seq: u64, ops: Vec<Op>) -> Mutation {
    let mutation_id = MutationId::v7(clock::wall_ms(), rand::random());
    Mutation { mutation_id, client_seq, age_ms: 0, ops, depends_on: Vec::new() }
}

/// Fills a stopped server's database with leads (each of its own contact on every tenth) through the engine. Returns the
/// ids of the leads.
pub fn fill(place: &Place, leads: usize) -> anyhow::Result<Vec<RecordId>> {
    let schema = Arc::new(Schema::crm());
    let mut store = Database::open(&place.url()?, schema.clone(), DatabaseOptions::default())?;
    let principal = Principal {
        workspace_id: workspace(),
        user_id: UserId::NIL,
        device_id: DeviceId::NIL,
        client_id: ClientId::v7(clock::wall_ms(), rand::random()),
        is_server: true,
    };
    let mut ids = Vec::with_capacity(leads);
    let mut client_seq = 0;
    let mut number = 0;
    while number < leads {
        let mut mutations = Vec::new();
        while mutations.len() < 200 && number < leads {
            let contact = contact(number);
            let contact_id = contact.target().1;
            let mut ops = vec![contact];
            for _ in 0..10.min(leads - number) {
                let lead = lead(number, contact_id);
                ids.push(lead.target().1);
                ops.push(lead);
                number += 1;
            }
            client_seq += 1;
            mutations.push(mutation(client_seq, ops));
        }
        let request =
            PushRequest { principal: principal.clone(), mutations, received_ms: clock::wall_ms(), deposit: None };
        let wanted = wanted(&schema, &workspace(), std::slice::from_ref(&request));
        let rejected = store.transact(&workspace(), &wanted, |read| {
            let plan = plan_group(&schema, &workspace(), read, std::slice::from_ref(&request))?;
            let rejected = plan.writes.outcomes.iter().find_map(|stored| stored.outcome.detail.clone());
            Ok::<(WriteSet, Option<String>), _>((plan.writes, rejected))
        })?;
        ensure!(rejected.is_none(), "filling the server failed: {}", rejected.context("a reason")?);
    }
    Ok(ids)
}
