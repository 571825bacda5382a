//! The whole conflict policy, as a pure function (design D4, spec §6).
//!
//! [`plan_group`] decides one field group of one update: it sees what the author saw (`base`), what the server has
//! (`theirs`) and what the author wants (`mine`), and returns a [`GroupPlan`] that somebody else performs.

mod values;

use values::{changed_keys, further_in, larger, overlay_object, set_after};
pub use values::{compare_values, patched};

use crate::record::{Record, Version};
use crate::schema::{Entity, FieldType, Group, Strategy};
use crate::{Fields, Name, Seq, TimestampMs, Value};

/// What to do with one field group of an update.
#[derive(Clone, PartialEq, Debug)]
pub enum GroupPlan {
    /// The live record has what the author wants already.
    Unchanged,
    /// Nobody else changed the group: write these values.
    Apply(Fields),
    /// Both changed it and nothing is lost: write these values, no conflict record.
    Combine(Fields),
    /// Both changed it, mine wins: write `fields`, record the conflict as resolved.
    Win { fields: Fields, mine: Fields },
    /// Both changed it, theirs wins: record the conflict as resolved with mine.
    Lose { mine: Fields },
    /// Theirs stays by the nature of the field; there is nothing to decide and no record.
    Yield,
    /// A person must decide: the live record keeps theirs.
    Review { mine: Fields },
    /// The author could know that this is not allowed.
    Reject { field: Name, message: String },
}

/// Everything a decision may depend on (spec MRG-14).
pub struct GroupCase<'a> {
    pub entity: &'a Entity,
    pub group: &'a Group,
    /// The live record.
    pub theirs: &'a Record,
    /// The author's canonical patch, at least one field of the group.
    pub patch: &'a Fields,
    pub authored_ms: TimestampMs,
    /// Rank of the author now.
    pub rank: u8,
    pub seen: &'a dyn SeenHistory,
}

/// What the author of an op had seen of the record's past.
pub trait SeenHistory {
    /// Whether the change at `seq` was in the author's view: at or before `base_rv`, or by an earlier mutation of the
    /// same client (design D2).
    fn has_seen(&self, seq: Seq) -> bool;
    /// Values of the fields as they were at `base_rv`; `None` when history does not reach back that far.
    fn base_values(&self, fields: &[Name]) -> Option<Fields>;
    /// Rank, now, of whoever wrote the change at `seq`.
    fn rank_of(&self, seq: Seq) -> u8;
}

/// Decides one group (spec MRG-1 to MRG-11).
pub fn plan_group(case: &GroupCase<'_>) -> GroupPlan {
    // The newest of what the author had not seen decides; their own later write of another field does not hide it.
    let unseen = case.newest_unseen();
    let is_concurrent = unseen.is_some();
    let version = unseen.unwrap_or_else(|| case.newest_version());
    match &case.group.strategy {
        Strategy::AddWinsSet => case.plan_set(is_concurrent),
        Strategy::Counter => case.plan_counter(is_concurrent),
        Strategy::Max => case.plan_kept_if(is_concurrent, |mine, theirs| larger(case.single().1, mine, theirs)),
        Strategy::Monotone { order } => {
            case.plan_kept_if(is_concurrent, |mine, theirs| further_in(order, mine, theirs).is_gt())
        }
        Strategy::MergeKeys => case.plan_keys(is_concurrent, version),
        Strategy::MostRestrictiveWins => case.plan_restrictive(is_concurrent),
        Strategy::StateMachine { transitions } => case.plan_transition(is_concurrent, transitions),
        _ if !is_concurrent => case.plan_alone(),
        Strategy::LastWriteWins | Strategy::MergeFields | Strategy::VersionControl => {
            case.plan_contest(|_, _| (case.authored_ms >= version.authored_ms()).into())
        }
        Strategy::PriorityWins { order } => {
            let field = &case.single().0;
            case.plan_contest(|mine, theirs| match further_in(order, &mine[field], &value_of(theirs, field)) {
                std::cmp::Ordering::Less => Winner::Theirs,
                std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Winner::Mine,
            })
        }
        Strategy::HigherRoleWins => case.plan_contest(|_, _| match case.rank.cmp(&case.seen.rank_of(version.seq())) {
            std::cmp::Ordering::Greater => Winner::Mine,
            std::cmp::Ordering::Less => Winner::Theirs,
            std::cmp::Ordering::Equal => Winner::Undecided,
        }),
        Strategy::ManualReview => case.plan_contest(|_, _| Winner::Undecided),
    }
}

enum Winner {
    Mine,
    Theirs,
    Undecided,
}

impl From<bool> for Winner {
    fn from(is_mine: bool) -> Self {
        if is_mine { Winner::Mine } else { Winner::Theirs }
    }
}

/// Value of a field, `null` when absent.
fn value_of(fields: &Fields, field: &Name) -> Value {
    fields.get(field).cloned().unwrap_or(Value::Null)
}

impl GroupCase<'_> {
    fn newest_version(&self) -> Version {
        let versions = self.group.fields.iter().map(|field| self.theirs.versions.of(field));
        versions.max().expect("a group has at least one field")
    }

    fn newest_unseen(&self) -> Option<Version> {
        let versions = self.group.fields.iter().map(|field| self.theirs.versions.of(field));
        versions.filter(|version| !self.seen.has_seen(version.seq())).max()
    }

    /// The field of a group that has only one; strategies that need this are refused on larger groups by the schema.
    fn single(&self) -> (Name, &FieldType) {
        let name = &self.group.fields[0];
        (name.clone(), &self.entity.fields[name].kind)
    }

    fn theirs_values(&self) -> Fields {
        self.group.fields.iter().map(|field| (field.clone(), value_of(&self.theirs.fields, field))).collect()
    }

    /// Nobody else changed the group: the patch goes in, less what is there already.
    fn plan_alone(&self) -> GroupPlan {
        let differs = |(field, value): &(&Name, &Value)| value_of(&self.theirs.fields, field) != **value;
        let fields: Fields = self.patch.iter().filter(differs).map(|(f, v)| (f.clone(), v.clone())).collect();
        if fields.is_empty() { GroupPlan::Unchanged } else { GroupPlan::Apply(fields) }
    }

    /// Both sides changed the group: the whole group of one of them stands, never a mixture.
    fn plan_contest(&self, judge: impl Fn(&Fields, &Fields) -> Winner) -> GroupPlan {
        let theirs = self.theirs_values();
        let is_covered = self.group.fields.iter().all(|field| self.patch.contains_key(field));
        let base = if is_covered { Some(Fields::new()) } else { self.seen.base_values(&self.group.fields) };
        let Some(base) = base else {
            // Without the author's base the rest of their group is unknown; a person decides.
            return GroupPlan::Review { mine: self.patch.clone() };
        };
        let of_mine = |field: &Name| self.patch.get(field).cloned().unwrap_or_else(|| value_of(&base, field));
        let mine: Fields = self.group.fields.iter().map(|field| (field.clone(), of_mine(field))).collect();
        if mine == theirs {
            return GroupPlan::Unchanged;
        }
        match judge(&mine, &theirs) {
            Winner::Mine => {
                let fields = mine.iter().filter(|(field, value)| theirs[*field] != **value);
                GroupPlan::Win { fields: fields.map(|(f, v)| (f.clone(), v.clone())).collect(), mine }
            }
            Winner::Theirs => GroupPlan::Lose { mine },
            Winner::Undecided => GroupPlan::Review { mine },
        }
    }

    fn plan_single(&self, is_concurrent: bool, after: Value) -> GroupPlan {
        let (field, _) = self.single();
        if after == value_of(&self.theirs.fields, &field) {
            return GroupPlan::Unchanged;
        }
        let fields = Fields::from([(field, after)]);
        if is_concurrent { GroupPlan::Combine(fields) } else { GroupPlan::Apply(fields) }
    }

    fn plan_set(&self, is_concurrent: bool) -> GroupPlan {
        let (field, _) = self.single();
        let has_seen_element = |element: &str| self.seen.has_seen(self.theirs.versions.of_element(&field, element));
        let after = set_after(&value_of(&self.theirs.fields, &field), &self.patch[&field], has_seen_element);
        self.plan_single(is_concurrent, after)
    }

    fn plan_counter(&self, is_concurrent: bool) -> GroupPlan {
        let (field, kind) = self.single();
        let patch = &self.patch[&field];
        let Some(increment) = patch.get("inc").and_then(Value::as_i64) else {
            let version = self.newest_version();
            return match is_concurrent {
                true => self.plan_contest(|_, _| (self.authored_ms >= version.authored_ms()).into()),
                false => self.plan_single(false, patch.clone()),
            };
        };
        let current = self.theirs.fields.get(&field).and_then(Value::as_i64).unwrap_or(0);
        match current.checked_add(increment).filter(|sum| sum.unsigned_abs() < 1 << 53) {
            Some(sum) => self.plan_single(is_concurrent, Value::from(sum)),
            None => {
                let message = format!("{current} + {increment} is out of range for {kind:?}");
                GroupPlan::Reject { field, message }
            }
        }
    }

    /// Fields that only ever move one way: mine is written iff it is ahead of theirs.
    fn plan_kept_if(&self, is_concurrent: bool, is_ahead: impl Fn(&Value, &Value) -> bool) -> GroupPlan {
        let (field, _) = self.single();
        let theirs = value_of(&self.theirs.fields, &field);
        let mine = &self.patch[&field];
        if *mine == theirs {
            GroupPlan::Unchanged
        } else if theirs.is_null() || (!mine.is_null() && is_ahead(mine, &theirs)) {
            self.plan_single(is_concurrent, mine.clone())
        } else {
            GroupPlan::Yield
        }
    }

    fn plan_keys(&self, is_concurrent: bool, version: Version) -> GroupPlan {
        let (field, _) = self.single();
        let theirs = value_of(&self.theirs.fields, &field);
        let patch = &self.patch[&field];
        if patch.is_null() {
            return if is_concurrent { self.plan_clear(version) } else { self.plan_single(false, Value::Null) };
        }
        let wanted = overlay_object(&theirs, patch);
        if !is_concurrent || wanted == theirs {
            return self.plan_single(false, wanted);
        }
        let base = self.seen.base_values(&self.group.fields).map(|base| value_of(&base, &field));
        // With the base unknown every key may have been changed by both sides.
        let contested = changed_keys(base.as_ref(), &theirs, patch);
        if contested.is_empty() {
            return self.plan_single(true, wanted);
        }
        let mine = Fields::from([(field.clone(), wanted.clone())]);
        if self.authored_ms >= version.authored_ms() {
            return GroupPlan::Win { fields: Fields::from([(field, wanted)]), mine };
        }
        let mut uncontested = patch.clone();
        if let Some(members) = uncontested.as_object_mut() {
            members.retain(|key, _| !contested.contains(key));
        }
        let after = overlay_object(&theirs, &uncontested);
        match after == theirs {
            true => GroupPlan::Lose { mine },
            false => GroupPlan::Win { fields: Fields::from([(field, after)]), mine },
        }
    }

    fn plan_clear(&self, version: Version) -> GroupPlan {
        self.plan_contest(|_, _| (self.authored_ms >= version.authored_ms()).into())
    }

    fn plan_restrictive(&self, is_concurrent: bool) -> GroupPlan {
        let (field, _) = self.single();
        let theirs = value_of(&self.theirs.fields, &field);
        let patch = &self.patch[&field];
        let wanted = if patch.is_null() { Value::Null } else { overlay_object(&theirs, patch) };
        if !is_concurrent || wanted == theirs {
            return self.plan_single(false, wanted);
        }
        let is_true = |key: &String| theirs.get(key) == Some(&Value::Bool(true));
        let mut after = wanted.as_object().cloned().unwrap_or_default();
        for (key, value) in theirs.as_object().into_iter().flatten().filter(|(key, _)| is_true(key)) {
            after.insert(key.clone(), value.clone());
        }
        let after = Value::Object(after);
        let mine = Fields::from([(field.clone(), wanted.clone())]);
        match (after == wanted, after == theirs) {
            (true, _) => self.plan_single(true, after),
            (false, true) => GroupPlan::Lose { mine },
            (false, false) => GroupPlan::Win { fields: Fields::from([(field, after)]), mine },
        }
    }

    fn plan_transition(
        &self,
        is_concurrent: bool,
        transitions: &std::collections::BTreeMap<Name, Vec<Name>>,
    ) -> GroupPlan {
        let (field, _) = self.single();
        let theirs = value_of(&self.theirs.fields, &field);
        let mine = &self.patch[&field];
        if *mine == theirs {
            return GroupPlan::Unchanged;
        }
        let is_legal = match theirs.as_str() {
            None => true,
            Some(state) => transitions
                .get(state)
                .is_some_and(|next| mine.as_str().is_some_and(|mine| next.iter().any(|next| next == mine))),
        };
        match (is_legal, is_concurrent) {
            (true, concurrent) => self.plan_single(concurrent, mine.clone()),
            (false, true) => GroupPlan::Review { mine: Fields::from([(field, mine.clone())]) },
            (false, false) => {
                let from = theirs.as_str().unwrap_or("nothing");
                let allowed = transitions.get(from).map(|next| next.join(", ")).filter(|next| !next.is_empty());
                let message = match allowed {
                    Some(allowed) => {
                        format!("{field} cannot go from {from} to {mine}; from {from} it may go to {allowed}")
                    }
                    None => format!("{field} is {from}, which is final: it cannot become {mine}"),
                };
                GroupPlan::Reject { field, message }
            }
        }
    }
}
