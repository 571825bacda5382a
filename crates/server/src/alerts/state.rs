//! When an alert begins and ends: a condition has to hold for a while before it fires, and to be gone for a while before it is
//! resolved, so that what flickers wakes nobody twice. Pure: time is an argument.

use std::collections::BTreeMap;

use syncline_core::TimestampMs;
use syncline_core::id::WorkspaceId;

/// What is wrong, by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// More than one decided mutation in a hundred met a conflict in the last hour.
    ConflictRate,
    /// A device's sync failed three times in a row.
    SyncFailing,
    /// Replicas differ from the server.
    DigestMismatch,
    /// A device has edits it cannot hand over.
    OutboxStuck,
    /// More requests fail than the service level allows.
    ErrorBudget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

/// How long a condition must hold to fire, and be gone to be resolved; milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub pending_ms: u64,
    pub clear_ms: u64,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::ConflictRate => "conflict_rate",
            Rule::SyncFailing => "sync_failing",
            Rule::DigestMismatch => "digest_mismatch",
            Rule::OutboxStuck => "outbox_stuck",
            Rule::ErrorBudget => "error_budget",
        }
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let all = [Rule::ConflictRate, Rule::SyncFailing, Rule::DigestMismatch, Rule::OutboxStuck, Rule::ErrorBudget];
        all.into_iter().find(|rule| rule.as_str() == text)
    }

    /// Whether it is about what lies in the database, which every node sees, and not about what one node has counted.
    pub fn is_shared(self) -> bool {
        match self {
            Rule::OutboxStuck => true,
            Rule::ConflictRate | Rule::SyncFailing | Rule::DigestMismatch | Rule::ErrorBudget => false,
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Rule::ErrorBudget => Severity::Critical,
            Rule::SyncFailing | Rule::DigestMismatch | Rule::OutboxStuck => Severity::Warning,
            Rule::ConflictRate => Severity::Info,
        }
    }

    /// What has counted to three, or has been stuck for an hour, has waited enough; rates may be a moment's, so there is patience
    /// with them.
    fn patience(self, rates: Patience) -> Patience {
        match self {
            Rule::SyncFailing | Rule::DigestMismatch => Patience { pending_ms: 0, clear_ms: 60_000 },
            // Only a report of the device changes it.
            Rule::OutboxStuck => Patience { pending_ms: 0, clear_ms: 2_000 },
            Rule::ConflictRate | Rule::ErrorBudget => rates,
        }
    }
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// What an alert is about. The same subject is the same alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub rule: Rule,
    /// `None`: the node itself.
    pub workspace_id: Option<WorkspaceId>,
    /// A device, a node: what of the workspace it is. May be empty.
    pub part: String,
}

impl Subject {
    /// Its name for others, the same at every node: who gets it twice knows it is one.
    pub fn key(&self) -> String {
        let workspace = self.workspace_id.as_ref().map_or("", WorkspaceId::as_str);
        format!("syncline/{workspace}/{}/{}", self.rule.as_str(), self.part)
    }
}

/// Something that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub subject: Subject,
    pub is_firing: bool,
    /// One sentence for a person.
    pub summary: String,
    pub at_ms: TimestampMs,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Pending {
        since_ms: TimestampMs,
    },
    Firing {
        summary: String,
    },
    /// Fires still, but its condition is gone.
    Clearing {
        since_ms: TimestampMs,
        summary: String,
    },
}

/// Alerts that are known at a time. More conditions are left out until others have gone.
const ALERTS_MAX: usize = 10_000;

/// The alerts of one evaluator.
#[derive(Debug)]
pub struct Alerts {
    rates: Patience,
    states: BTreeMap<Subject, State>,
}

impl Alerts {
    /// `rates`: the patience with shares.
    pub fn new(rates: Patience) -> Self {
        Self { rates, states: BTreeMap::new() }
    }

    /// Takes everything that is wrong now, with a sentence about each, and returns what begins and what ends.
    pub fn evaluate(&mut self, now: TimestampMs, wrong: &BTreeMap<Subject, String>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (subject, summary) in wrong {
            let patience = subject.rule.patience(self.rates);
            let state = match self.states.get(subject) {
                None if self.states.len() >= ALERTS_MAX => continue,
                None => State::Pending { since_ms: now },
                Some(State::Pending { since_ms }) => State::Pending { since_ms: *since_ms },
                Some(State::Firing { .. } | State::Clearing { .. }) => State::Firing { summary: summary.clone() },
            };
            let state = match state {
                State::Pending { since_ms } if now >= since_ms.saturating_add(patience.pending_ms) => {
                    changes.push(change(subject, true, summary, now));
                    State::Firing { summary: summary.clone() }
                }
                state => state,
            };
            self.states.insert(subject.clone(), state);
        }
        let rates = self.rates;
        self.states.retain(|subject, state| {
            let clear_ms = subject.rule.patience(rates).clear_ms;
            wrong.contains_key(subject) || fade(subject, state, (now, clear_ms), &mut changes)
        });
        changes
    }

    /// Takes over an alert that somebody else has told of: it can end, and is not told again.
    pub fn adopt(&mut self, subject: Subject, summary: String) {
        self.states.entry(subject).or_insert(State::Firing { summary });
    }

    /// How many fire.
    pub fn firing(&self) -> usize {
        self.states.values().filter(|state| !matches!(state, State::Pending { .. })).count()
    }
}

/// What becomes of an alert whose condition is gone. False: it is over.
fn fade(subject: &Subject, state: &mut State, (now, clear_ms): (TimestampMs, u64), changes: &mut Vec<Change>) -> bool {
    match state {
        State::Pending { .. } => false,
        State::Firing { summary } => {
            *state = State::Clearing { since_ms: now, summary: std::mem::take(summary) };
            true
        }
        State::Clearing { since_ms, summary } => {
            let is_over = now >= since_ms.saturating_add(clear_ms);
            if is_over {
                changes.push(change(subject, false, summary, now));
            }
            !is_over
        }
    }
}

fn change(subject: &Subject, is_firing: bool, summary: &str, at_ms: TimestampMs) -> Change {
    Change { subject: subject.clone(), is_firing, summary: summary.to_owned(), at_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(rule: Rule) -> Subject {
        Subject { rule, workspace_id: WorkspaceId::new("acme").ok(), part: "p".to_owned() }
    }

    fn alerts() -> Alerts {
        Alerts::new(Patience { pending_ms: 120_000, clear_ms: 300_000 })
    }

    fn told(changes: &[Change]) -> Vec<bool> {
        changes.iter().map(|change| change.is_firing).collect()
    }

    #[test]
    fn ops_6_a_rate_has_to_hold_and_to_be_gone_for_a_while() {
        let wrong = BTreeMap::from([(subject(Rule::ConflictRate), "2 %".to_owned())]);
        let nothing = BTreeMap::new();
        let mut alerts = alerts();
        let steps: [(u64, bool, &[bool]); 10] = [
            (0, true, &[]),
            (60_000, false, &[]),
            // Flickered: the count begins anew.
            (70_000, true, &[]),
            (189_999, true, &[]),
            (190_000, true, &[true]),
            (200_000, true, &[]),
            (210_000, false, &[]),
            // Came back before it was over: nobody is told.
            (400_000, true, &[]),
            (410_000, false, &[]),
            (710_000, false, &[false]),
        ];
        for (at, is_wrong, expected) in steps {
            let changes = alerts.evaluate(at, if is_wrong { &wrong } else { &nothing });
            assert_eq!(told(&changes), expected, "at {at}");
        }
        assert_eq!(alerts.firing(), 0);
        assert!(alerts.states.is_empty(), "nothing is kept of what is over");
    }

    #[test]
    fn ops_6_what_has_counted_by_itself_fires_at_once_and_each_subject_by_itself() {
        let mut alerts = alerts();
        let (one, other) = (subject(Rule::SyncFailing), Subject { part: "q".to_owned(), ..subject(Rule::SyncFailing) });
        let changes = alerts.evaluate(5, &BTreeMap::from([(one.clone(), "a".to_owned())]));
        assert_eq!(changes, [change(&one, true, "a", 5)]);
        let both = BTreeMap::from([(one, "b".to_owned()), (other.clone(), "c".to_owned())]);
        assert_eq!(alerts.evaluate(6, &both), [change(&other, true, "c", 6)]);
        assert_eq!(alerts.firing(), 2);
    }

    #[test]
    fn ops_6_what_is_taken_over_can_end_and_is_not_told_again() {
        let (mut alerts, stuck) = (alerts(), subject(Rule::OutboxStuck));
        alerts.adopt(stuck.clone(), "a".to_owned());
        assert_eq!(alerts.evaluate(0, &BTreeMap::from([(stuck.clone(), "a".to_owned())])), []);
        assert_eq!(alerts.evaluate(10, &BTreeMap::new()), []);
        assert_eq!(alerts.evaluate(5_000, &BTreeMap::new()), [change(&stuck, false, "a", 5_000)]);
        for rule in [Rule::ConflictRate, Rule::SyncFailing, Rule::DigestMismatch, Rule::OutboxStuck, Rule::ErrorBudget]
        {
            assert_eq!(Rule::from_text(rule.as_str()), Some(rule));
        }
    }

    #[test]
    fn inv_10_alerts_are_bounded() {
        let many = (0..2 * ALERTS_MAX).map(|n| {
            let subject = Subject { part: n.to_string(), ..subject(Rule::SyncFailing) };
            (subject, String::new())
        });
        let mut alerts = alerts();
        assert_eq!(alerts.evaluate(0, &many.collect()).len(), ALERTS_MAX);
    }
}
