//! How often edits meet a conflict, by entity, field, team and record (CONF-7), read from the change log: each conflict is a
//! record that its mutation put there (spec CNF-1), beside the edits it is a share of.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::change::{CONFLICTS, Change, ChangeKind, LogEntry};
use syncline_core::engine::access::TEAMS;
use syncline_core::id::{RecordId, UserId};
use syncline_core::storage::{Read, StoreResult};
use syncline_core::{Name, TimestampMs, Value};

/// Entries of the log that one answer is made of, the newest ones: about a second's work.
pub const ENTRIES_MAX: u64 = 100_000;
/// Entries that are read at a time.
pub const PAGE: usize = 1_000;
/// Subjects that are counted apart. What is edited or conflicts beyond is in the totals alone.
const SUBJECTS_MAX: usize = 100_000;
/// Teams that are looked through for who is in them.
const TEAMS_MAX: usize = 1_000;

/// By what conflicts are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConflictsBy {
    Entity,
    Field,
    Team,
    Record,
}

/// What a share is about. A member that is absent tells nothing apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Subject {
    pub entity: Option<Name>,
    pub field: Option<Name>,
    pub record_id: Option<RecordId>,
    /// `None` where teams are told apart: of no team.
    pub team_id: Option<RecordId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Accepted changes of people.
    pub edits: u64,
    pub conflicts: u64,
    /// Conflicts that were left for a person to decide.
    pub reviews: u64,
}

/// Who is in which teams. Somebody in several counts for the first of them.
#[derive(Clone, Debug, Default)]
pub struct Teams {
    by_user: BTreeMap<UserId, RecordId>,
}

/// Adds up entries of the log. Pure.
#[derive(Debug)]
pub struct Tally {
    by: ConflictsBy,
    teams: Teams,
    pub total: Share,
    pub shares: BTreeMap<Subject, Share>,
    /// More subjects than are told apart.
    pub is_cut: bool,
    /// Commit time of the oldest entry.
    pub from_ms: Option<TimestampMs>,
}

impl Teams {
    pub fn read(read: &dyn Read) -> StoreResult<Self> {
        let mut teams = Self::default();
        for team in read.scan(TEAMS, None, TEAMS_MAX)?.into_iter().filter(|team| !team.is_deleted) {
            let members = team.fields.get("member_ids").and_then(Value::as_array).into_iter().flatten();
            for member in members.filter_map(Value::as_str).filter_map(|id| id.parse::<UserId>().ok()) {
                teams.by_user.entry(member).or_insert(team.id);
            }
        }
        Ok(teams)
    }

    /// The team whose work a change is: that of the record's scope, or of its owner.
    fn of(&self, scope: &str) -> Option<RecordId> {
        match scope.split_once(':') {
            Some(("team", id)) => id.parse().ok(),
            Some(("owner", id)) => self.by_user.get(&id.parse().ok()?).copied(),
            Some(_) | None => None,
        }
    }
}

impl Tally {
    pub fn new(by: ConflictsBy, teams: Teams) -> Self {
        let (total, shares) = (Share::default(), BTreeMap::new());
        Self { by, teams, total, shares, is_cut: false, from_ms: None }
    }

    pub fn add(&mut self, entry: &LogEntry) {
        let oldest = self.from_ms.map_or(entry.committed_ms, |known| known.min(entry.committed_ms));
        self.from_ms = Some(oldest);
        // What the server itself writes is nobody's edit, and meets no conflict.
        let is_edit = entry.user_id != UserId::NIL;
        for change in &entry.changes {
            if change.entity != CONFLICTS {
                if is_edit {
                    self.count(edit_subjects(change, self.by, &self.teams), Share { edits: 1, ..Share::default() });
                }
            } else if change.kind == ChangeKind::Put && change.prev_rv == 0 {
                let is_open = text(change, "state") == "open";
                let share = Share { edits: 0, conflicts: 1, reviews: is_open.into() };
                self.count(conflict_subjects(change, self.by, &self.teams), share);
            }
        }
    }

    fn count(&mut self, subjects: Vec<Subject>, share: Share) {
        self.total.add(share);
        for subject in subjects {
            let has_room = self.shares.len() < SUBJECTS_MAX;
            match self.shares.get_mut(&subject) {
                Some(known) => known.add(share),
                None if has_room => drop(self.shares.insert(subject, share)),
                None => self.is_cut = true,
            }
        }
    }

    /// Those with most conflicts first, at most `limit`; what met none is left out.
    pub fn worst(&self, limit: usize) -> Vec<(&Subject, Share)> {
        let mut worst: Vec<_> = self
            .shares
            .iter()
            .filter(|(_, share)| share.conflicts > 0)
            .map(|(subject, share)| (subject, *share))
            .collect();
        worst.sort_by(|a, b| b.1.conflicts.cmp(&a.1.conflicts).then_with(|| a.0.cmp(b.0)));
        worst.truncate(limit);
        worst
    }
}

impl Share {
    fn add(&mut self, other: Self) {
        self.edits += other.edits;
        self.conflicts += other.conflicts;
        self.reviews += other.reviews;
    }
}

fn edit_subjects(change: &Change, by: ConflictsBy, teams: &Teams) -> Vec<Subject> {
    let about = About { entity: change.entity.clone(), record_id: change.id, scope: change.scope.as_str() };
    about.subjects(by, teams, change.fields.keys().cloned())
}

fn conflict_subjects(change: &Change, by: ConflictsBy, teams: &Teams) -> Vec<Subject> {
    let names = change.fields.get("fields").and_then(Value::as_array).into_iter().flatten();
    let about = About {
        entity: Name::new(text(change, "entity")),
        record_id: text(change, "record_id").parse().unwrap_or(RecordId::NIL),
        scope: change.scope.as_str(),
    };
    about.subjects(by, teams, names.filter_map(Value::as_str).map(Name::new))
}

struct About<'a> {
    entity: Name,
    record_id: RecordId,
    scope: &'a str,
}

impl About<'_> {
    fn subjects(self, by: ConflictsBy, teams: &Teams, fields: impl Iterator<Item = Name>) -> Vec<Subject> {
        let entity = Some(self.entity);
        match by {
            ConflictsBy::Entity => vec![Subject { entity, ..Subject::default() }],
            ConflictsBy::Field => {
                let unique: BTreeSet<Name> = fields.collect();
                let subject = |field| Subject { entity: entity.clone(), field: Some(field), ..Subject::default() };
                unique.into_iter().map(subject).collect()
            }
            ConflictsBy::Team => vec![Subject { team_id: teams.of(self.scope), ..Subject::default() }],
            ConflictsBy::Record => vec![Subject { entity, record_id: Some(self.record_id), ..Subject::default() }],
        }
    }
}

fn text<'a>(change: &'a Change, field: &str) -> &'a str {
    change.fields.get(field).and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANN: UserId = UserId::from_u128(1);
    const NORTH: RecordId = RecordId::from_u128(7);
    const CONTACT: RecordId = RecordId::from_u128(9);

    fn entry(user_id: UserId, committed_ms: u64, change: Value) -> LogEntry {
        let id = RecordId::from_u128(3);
        let entry = json!({
            "seq": 1, "mutation_id": id, "client_id": id, "client_seq": 1, "user_id": user_id, "device_id": id,
            "role": "agent", "authored_ms": 0, "committed_ms": committed_ms, "changes": [change],
        });
        serde_json::from_value(entry).unwrap()
    }

    fn edit(scope: &str) -> Value {
        json!({"entity": "contacts", "id": CONTACT, "kind": "patch", "prev_rv": 1, "scope": scope,
            "fields": {"city": "Oslo", "firstname": "Eve"}})
    }

    fn conflict(kind: &str, prev_rv: u64, state: &str) -> Value {
        json!({"entity": "conflicts", "id": RecordId::from_u128(4), "kind": kind, "prev_rv": prev_rv,
            "scope": format!("owner:{ANN}"), "fields":
            {"entity": "contacts", "record_id": CONTACT, "fields": ["city"], "state": state}})
    }

    fn tally(by: ConflictsBy) -> Tally {
        let teams = Teams { by_user: [(ANN, NORTH)].into() };
        let mut tally = Tally::new(by, teams);
        for (user_id, at_ms, change) in [
            (ANN, 30, edit(&format!("owner:{ANN}"))),
            (ANN, 20, edit("workspace")),
            // The server's own work, a decision, and a conflict that came back are neither edits nor conflicts.
            (UserId::NIL, 40, edit("workspace")),
            (ANN, 50, conflict("patch", 5, "resolved")),
            (ANN, 50, conflict("put", 5, "open")),
            (ANN, 50, conflict("put", 0, "open")),
            (ANN, 60, conflict("put", 0, "auto_resolved")),
        ] {
            tally.add(&entry(user_id, at_ms, change));
        }
        tally
    }

    #[test]
    fn conf_7_a_conflict_is_told_beside_the_edits_it_is_a_share_of() {
        let (entity, field) = (Some(Name::new("contacts")), Some(Name::new("city")));
        let all = Share { edits: 2, conflicts: 2, reviews: 1 };
        let of_team = Share { edits: 1, ..all };
        let nothing = Subject::default();
        for (by, subject, share) in [
            (ConflictsBy::Entity, Subject { entity: entity.clone(), ..nothing.clone() }, all),
            (ConflictsBy::Field, Subject { entity: entity.clone(), field, ..nothing.clone() }, all),
            (ConflictsBy::Record, Subject { entity, record_id: Some(CONTACT), ..nothing.clone() }, all),
            (ConflictsBy::Team, Subject { team_id: Some(NORTH), ..nothing }, of_team),
        ] {
            let tally = tally(by);
            assert_eq!(tally.worst(9), [(&subject, share)], "{by:?}");
            assert_eq!((tally.total, tally.from_ms, tally.is_cut), (all, Some(20), false), "{by:?}");
        }
    }
}
