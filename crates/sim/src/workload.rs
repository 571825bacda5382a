//! What people do: edits over most entities and strategies, some of which must be refused.

use serde_json::json;
use syncline_core::change::Resolution;
use syncline_core::id::RecordId;
use syncline_core::replica::{Edit, Query, Replica, ReplicaStore, Viewed};
use syncline_core::{Fields, Name, Value};

use crate::genesis::{ACCOUNT_IDS, PIPELINE, STAGES, TEAM_IDS, fields, user};
use crate::rng::Rng;
use crate::schema::ACCOUNTS;

/// Makes edits for one device's view. `deleted`: records somebody deleted, to be restored.
pub struct Workload<'a> {
    pub rng: &'a mut Rng,
    pub is_contended: bool,
    pub deleted: &'a [(Name, RecordId)],
    /// Makes values unique, so that a mixture of two writers shows.
    pub serial: u64,
}

impl Workload<'_> {
    pub fn edits<S: ReplicaStore>(&mut self, replica: &Replica<S>) -> Vec<Edit> {
        let kind = self.rng.below(100);
        match kind {
            0..14 => self.creation(),
            14..52 => self.update(replica, "contacts"),
            52..62 => self.update(replica, "leads"),
            62..68 => self.update(replica, "tasks"),
            68..78 => self.transfer(),
            78..82 => self.update(replica, "companies"),
            82..86 => self.deletion(replica),
            86..89 => self.restoration(),
            89..95 => self.resolution(replica),
            95..97 => self.team(),
            97..98 => self.forbidden(replica),
            _ => self.creation_with_child(),
        }
    }

    fn id(&mut self) -> RecordId {
        RecordId::from_u128(self.rng.wide() & !(0xf << 76) | 7 << 76)
    }

    fn one<S: ReplicaStore>(&mut self, replica: &Replica<S>, entity: &str) -> Option<Viewed> {
        let query = Query { entity: entity.into(), ..Query::default() };
        let mut rows = replica.query(&query).ok()?;
        if self.is_contended {
            rows.truncate(2);
        }
        self.rng.pick(&rows).cloned()
    }

    fn text(&mut self) -> Value {
        Value::from(format!("v{}", self.serial))
    }

    fn somebody(&mut self) -> Value {
        match self.rng.below(6) {
            0 => Value::Null,
            number => json!(user(usize::try_from(number).unwrap_or(1))),
        }
    }

    fn some_team(&mut self) -> Value {
        self.rng.pick(&TEAM_IDS).filter(|_| !self.serial.is_multiple_of(3)).map_or(Value::Null, |team| json!(team))
    }

    fn creation(&mut self) -> Vec<Edit> {
        let id = self.id();
        let (entity, values) = match self.rng.below(8) {
            0..3 => {
                let values = json!({"firstname": "Ada", "job_title": self.text(), "assigned_to": self.somebody(),
                    "team_id": self.some_team(), "tags": ["old"]});
                ("contacts", values)
            }
            3 => ("companies", json!({"name": self.text(), "owner_id": self.somebody()})),
            4 => ("tasks", json!({"title": self.text(), "assigned_to": self.somebody()})),
            5 => {
                let stage = self.rng.pick(&STAGES).copied();
                let values = json!({"name": self.text(), "pipeline_id": PIPELINE, "stage_id": stage,
                    "owner_id": self.somebody()});
                ("opportunities", values)
            }
            6 => ("proposals", json!({"title": self.text(), "status": "draft"})),
            _ => {
                let key = format!("key{}", self.rng.below(2));
                ("settings", json!({"scope": "workspace", "key": key, "value": {"at": self.serial}}))
            }
        };
        vec![Edit::Create { entity: entity.into(), id, fields: fields(values) }]
    }

    /// A contact, its lead and an activity of it: one after the other in one mutation.
    fn creation_with_child(&mut self) -> Vec<Edit> {
        let (contact, lead, activity) = (self.id(), self.id(), self.id());
        let owner = self.somebody();
        let create = |entity: &str, id, values| Edit::Create { entity: entity.into(), id, fields: fields(values) };
        vec![
            create("contacts", contact, json!({"firstname": "Bob", "assigned_to": owner})),
            create("leads", lead, json!({"contact_id": contact, "owner_id": owner, "lead_source": "web"})),
            create("lead_activities", activity, json!({"lead_id": lead, "activity_type": "call"})),
        ]
    }

    fn update<S: ReplicaStore>(&mut self, replica: &Replica<S>, entity: &str) -> Vec<Edit> {
        let Some(row) = self.one(replica, entity) else { return self.creation_with_child() };
        let mut patch = Fields::new();
        let count = self.rng.between(1, 2);
        for _ in 0..count {
            patch.extend(fields(self.patch(entity)));
        }
        vec![Edit::Update { entity: row.entity, id: row.id, fields: patch }]
    }

    fn patch(&mut self, entity: &str) -> Value {
        let value = self.text();
        let choice = self.rng.below(14);
        match (entity, choice) {
            ("contacts", 0) => json!({"job_title": value}),
            ("contacts", 1) => json!({"market": value}),
            ("contacts", 2) => json!({"priority": self.rng.pick(&["low", "medium", "high", "urgent"])}),
            ("contacts", 3) => json!({"notes": value}),
            ("contacts", 4) => json!({"estimated_value": format!("{}.00", self.serial)}),
            ("contacts", 5) => {
                let marker = format!("m{}", self.serial);
                match self.rng.below(3) {
                    0 => json!({"city": marker, "zip": marker}),
                    _ => json!({"st_address": marker, "city": marker, "zip": marker}),
                }
            }
            ("contacts", 6) => {
                let tag = format!("t{}", self.rng.below(3));
                let other = format!("t{}", self.rng.below(3));
                if tag == other {
                    json!({"tags": {"add": [tag]}})
                } else {
                    json!({"tags": {"add": [tag], "remove": [other]}})
                }
            }
            ("contacts", 7) => json!({"tags": {"remove": [format!("t{}", self.rng.below(3))]}}),
            ("contacts", 8) => {
                let day = self.rng.between(1, 28);
                json!({"last_contacted_at": format!("2025-03-{day:02}T00:00:00.000Z")})
            }
            ("contacts", 9) => json!({"assigned_to": self.somebody()}),
            ("contacts", 10) => json!({"team_id": self.some_team()}),
            ("contacts", 11) => json!({"metadata": {(format!("k{}", self.rng.below(2))): self.serial}}),
            ("contacts", 12) => json!({"dnd": {(format!("c{}", self.rng.below(2))): self.rng.chance(500)}}),
            ("contacts", _) => json!({"is_favorite": self.rng.chance(500)}),
            ("leads", 0..4) => {
                let states = ["in_process", "marketing_qualified", "sales_qualified", "disqualified"];
                json!({"qualification_status": self.rng.pick(&states)})
            }
            ("leads", 4..7) => json!({"estimated_value": format!("{}.00", self.serial), "currency": "USD"}),
            ("leads", 7) => json!({"owner_id": self.somebody()}),
            ("leads", 8) => json!({"notes": value}),
            ("leads", 9..11) => json!({"temperature": self.rng.pick(&["cold", "warm", "hot"])}),
            ("leads", _) => json!({"market": value}),
            ("tasks", 0..8) => {
                json!({"status": self.rng.pick(&["backlog", "todo", "in_progress", "canceled", "done"])})
            }
            ("tasks", 8..10) => json!({"assigned_to": self.somebody()}),
            ("tasks", _) => json!({"title": value}),
            ("companies", 0..5) => json!({"annual_revenue": format!("{}.00", self.serial), "currency": "EUR"}),
            ("companies", 5) => json!({"owner_id": self.somebody()}),
            ("companies", 6..8) => json!({"address": {"city": value, "zip": value}}),
            _ => json!({"notes": value}),
        }
    }

    /// Moves something from one account to another: the sum stays.
    fn transfer(&mut self) -> Vec<Edit> {
        let from = self.rng.below(3);
        let to = (from + self.rng.between(1, 2)) % 3;
        let amount = i64::try_from(self.rng.between(1, 20)).unwrap_or(1);
        let account = |index: u64| ACCOUNT_IDS[usize::try_from(index).unwrap_or(0)];
        let update = |id, amount: i64| Edit::Update {
            entity: ACCOUNTS.into(),
            id,
            fields: fields(json!({"balance": {"inc": amount}})),
        };
        vec![update(account(from), -amount), update(account(to), amount)]
    }

    fn deletion<S: ReplicaStore>(&mut self, replica: &Replica<S>) -> Vec<Edit> {
        let entity = *self.rng.pick(&["contacts", "contacts", "leads", "tasks", "companies"]).expect("not empty");
        let row = self.one(replica, entity);
        row.map(|row| Edit::Delete { entity: row.entity, id: row.id }).into_iter().collect()
    }

    fn restoration(&mut self) -> Vec<Edit> {
        let picked = self.rng.pick(self.deleted).cloned();
        let edit = |(entity, id)| Edit::Restore { entity, id, fields: Fields::new() };
        picked.map(edit).into_iter().collect()
    }

    fn resolution<S: ReplicaStore>(&mut self, replica: &Replica<S>) -> Vec<Edit> {
        let Some(row) = self.one(replica, "conflicts") else { return self.update(replica, "contacts") };
        let choice = self.rng.below(2);
        let resolution = if choice == 0 { Resolution::UseMine } else { Resolution::UseTheirs };
        vec![Edit::Resolve { conflict: row.id, resolution, fields: Fields::new() }]
    }

    fn team(&mut self) -> Vec<Edit> {
        let id = *self.rng.pick(&TEAM_IDS).expect("not empty");
        let member = user(usize::try_from(self.rng.between(2, 4)).unwrap_or(2));
        let way = if self.rng.chance(500) { "add" } else { "remove" };
        vec![Edit::Update { entity: "teams".into(), id, fields: fields(json!({"member_ids": {way: [member]}})) }]
    }

    /// What no client may do.
    fn forbidden<S: ReplicaStore>(&mut self, replica: &Replica<S>) -> Vec<Edit> {
        match self.rng.below(3) {
            0 => match self.one(replica, "contacts") {
                Some(row) => {
                    vec![Edit::Update { entity: row.entity, id: row.id, fields: fields(json!({"lead_score": 99})) }]
                }
                None => Vec::new(),
            },
            1 => {
                let update = |row: Viewed| Edit::Update {
                    entity: row.entity,
                    id: row.id,
                    fields: fields(json!({"role": "owner"})),
                };
                self.one(replica, "workspace_members").map(update).into_iter().collect()
            }
            _ => {
                let id = self.id();
                vec![Edit::Create { entity: ACCOUNTS.into(), id, fields: fields(json!({"balance": 1_000})) }]
            }
        }
    }
}
