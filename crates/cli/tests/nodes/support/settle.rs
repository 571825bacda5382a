//! The end of every story: what was acknowledged is there exactly once, and everybody agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use syncline_client::{Client, SyncEnd, SyncLimits};
use syncline_core::Name;
use syncline_core::digest::Digest;
use syncline_core::id::ScopeId;
use syncline_core::replica::Query;
use tokio::time::Instant;

use super::crew::{Crew, Member, device, way_home};
use super::{Deployment, OWNER, until};

impl Crew {
    /// Ends the writing, and proves that nothing was lost, repeated or left behind.
    pub async fn settle(mut self, deployment: &Deployment) {
        self.rest().await;
        let started = Instant::now();
        for Member { name, client, .. } in &self.members {
            until(&format!("the outbox of {name} drains"), async || {
                (client.status().await.unwrap().pending == 0).then_some(())
            })
            .await;
        }
        println!("{} mutations; the outboxes are empty {:.2?} after the last", self.written(), started.elapsed());
        deployment.all_ready().await;
        let fresh = self.fresh(deployment).await;
        self.agree(&fresh).await;
        self.is_there_once(&fresh).await;
        log_is_sound(deployment, self.written());
        self.is_over.send_replace(true);
        for member in self.members {
            let end = member.following.await.expect("following does not panic");
            assert_eq!(end.unwrap(), SyncEnd::Cancelled, "{} followed to the end", member.name);
            let complaints = member.complaints.lock().unwrap().clone();
            assert!(complaints.is_empty(), "{} has nothing to act on: {complaints:?}", member.name);
        }
    }

    /// A device that comes when all is over.
    async fn fresh(&self, deployment: &Deployment) -> Client {
        let way = way_home(deployment, 1).await;
        let fresh = device(&deployment.folder.path().join("fresh"), way.port, OWNER).await;
        let limits = SyncLimits { deadline: Duration::from_secs(60), attempts_max: 10 };
        assert_eq!(fresh.sync_once(limits).await.unwrap(), SyncEnd::Synced, "a new device");
        fresh
    }

    /// Every replica holds what the new one was given.
    async fn agree(&self, fresh: &Client) {
        let expected = digests(fresh).await;
        assert!(!expected.is_empty());
        for Member { name, client, .. } in &self.members {
            let what = format!("{name} holds what a new device is given");
            until(&what, async || (digests(client).await == expected).then_some(())).await;
            let status = client.status().await.unwrap();
            assert_eq!((status.rejected, status.repairs), (0, 0), "{name}: rejected, repairs");
        }
    }

    async fn is_there_once(&self, fresh: &Client) {
        let contacts = fresh.list(Query { entity: Name::new("contacts"), ..Query::default() }).await.unwrap();
        let mut ids_by_name: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
        for contact in &contacts {
            let text = |name: &str| contact.fields.get(name).and_then(Value::as_str).unwrap_or("");
            if text("firstname").starts_with("writer") {
                ids_by_name.entry((text("firstname"), text("lastname"))).or_default().push(contact.id);
            }
        }
        assert_eq!(ids_by_name.len(), self.written(), "nothing is lost, nothing came from nowhere");
        for member in &self.members {
            for written in member.written.lock().unwrap().iter() {
                let number = written.number.to_string();
                let ids = ids_by_name.get(&(member.name.as_str(), number.as_str()));
                assert_eq!(ids, Some(&vec![written.id]), "{} {number}", member.name);
            }
        }
    }
}

/// The log has no gaps, and no mutation stands in it twice (invariants 2 and 3).
fn log_is_sound(deployment: &Deployment, written: usize) {
    let head = deployment.postgres.query("SELECT seq FROM sync_workspaces WHERE workspace_id = 'demo'");
    let log =
        deployment.postgres.query("SELECT min(seq), max(seq), count(*) FROM sync_log WHERE workspace_id = 'demo'");
    assert_eq!(log, format!("1|{head}|{head}"), "the log is without gaps");
    let twice = "SELECT count(*) FROM (SELECT 1 FROM sync_log WHERE entry::json->>'client_id' IS NOT NULL
        GROUP BY workspace_id, entry::json->>'client_id', entry::json->>'client_seq' HAVING count(*) > 1) AS repeated";
    assert_eq!(deployment.postgres.query(twice), "0", "no mutation took effect twice");
    let outcomes = deployment.postgres.query("SELECT count(*) FROM sync_outcomes WHERE NOT is_rejected");
    assert!(outcomes.parse::<usize>().unwrap() >= written, "{outcomes} outcomes of {written} mutations");
}

async fn digests(client: &Client) -> BTreeMap<ScopeId, Digest> {
    let status = client.status().await.unwrap();
    let scopes: BTreeSet<_> =
        status.scopes.iter().filter(|scope| scope.loading.is_some()).map(|scope| &scope.id).collect();
    if scopes.is_empty() {
        status.scopes.into_iter().map(|scope| (scope.id, scope.digest)).collect()
    } else {
        BTreeMap::new()
    }
}
