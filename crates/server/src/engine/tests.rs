//! The writer by itself, over a store that can be told to misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use syncline_core::Name;
use syncline_core::change::{Mutation, Op, OutcomeKind};
use syncline_core::engine::{PushReply, PushRequest};
use syncline_core::id::{BackendId, ClientId, DeviceId, MutationId, RecordId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::schema::Schema;
use syncline_core::storage::{MemoryStore, Read, Store, StoreError, StoreResult, Wanted, WriteSet};
use tokio::sync::oneshot;

use super::{Busy, Committed, Decision, Precondition, PushJob, Writer, WriterParts};
use crate::observe::Metrics;

/// A memory store whose next transactions fail, panic or wait as told.
struct Moody {
    inner: MemoryStore,
    moods: Arc<Mutex<Vec<Mood>>>,
    transactions: Arc<AtomicUsize>,
}

enum Mood {
    Unavailable,
    Panic,
    /// Until the sender says go.
    Wait(std::sync::mpsc::Receiver<()>),
}

impl Store for Moody {
    fn create_workspace(&mut self, workspace: &WorkspaceId, backend_id: BackendId) -> StoreResult<()> {
        self.inner.create_workspace(workspace, backend_id)
    }
    fn workspaces(&self) -> StoreResult<Vec<WorkspaceId>> {
        self.inner.workspaces()
    }
    fn read<T>(&self, workspace: &WorkspaceId, read: impl FnOnce(&dyn Read) -> StoreResult<T>) -> StoreResult<T> {
        self.inner.read(workspace, read)
    }
    fn transact<T>(
        &mut self,
        workspace: &WorkspaceId,
        wanted: &Wanted,
        plan: impl FnMut(&dyn Read) -> StoreResult<(WriteSet, T)>,
    ) -> StoreResult<T> {
        self.transactions.fetch_add(1, Ordering::SeqCst);
        let mood = self.moods.lock().unwrap().pop();
        match mood {
            Some(Mood::Unavailable) => return Err(StoreError::Unavailable("told to".to_owned())),
            Some(Mood::Panic) => panic!("told to"),
            Some(Mood::Wait(go)) => go.recv().unwrap(),
            None => {}
        }
        self.inner.transact(workspace, wanted, plan)
    }
    fn acknowledge(&mut self, workspace: &WorkspaceId, upto: &[(ClientId, u64)]) -> StoreResult<()> {
        self.inner.acknowledge(workspace, upto)
    }
    fn compact(&mut self, workspace: &WorkspaceId, upto: u64) -> StoreResult<()> {
        self.inner.compact(workspace, upto)
    }
    fn begin_epoch(&mut self, workspace: &WorkspaceId, epoch: u32) -> StoreResult<()> {
        self.inner.begin_epoch(workspace, epoch)
    }
}

struct Bench {
    writer: Writer<Moody>,
    moods: Arc<Mutex<Vec<Mood>>>,
    transactions: Arc<AtomicUsize>,
    published: Arc<Mutex<Vec<Committed>>>,
}

fn workspace() -> WorkspaceId {
    WorkspaceId::new("acme").unwrap()
}

fn bench(queue_max: usize) -> Bench {
    let schema = Arc::new(Schema::crm());
    let mut inner = MemoryStore::new(Arc::clone(&schema));
    inner.create_workspace(&workspace(), BackendId::from_u128(1)).unwrap();
    let (moods, transactions) = (Arc::new(Mutex::default()), Arc::new(AtomicUsize::new(0)));
    let published: Arc<Mutex<Vec<Committed>>> = Arc::default();
    let publishing = Arc::clone(&published);
    let writer = Writer::spawn(WriterParts {
        stores: vec![Moody { inner, moods: Arc::clone(&moods), transactions: Arc::clone(&transactions) }],
        schema,
        metrics: Arc::new(Metrics::default()),
        queue_max,
        group_mutations_max: 1_000,
        publish: Arc::new(move |committed| publishing.lock().unwrap().push(committed)),
        vitals: crate::vitals::Vitals::default(),
    });
    Bench { writer: writer.unwrap(), moods, transactions, published }
}

/// A push of the server itself that creates a user.
fn push(client: u128, name: &str) -> PushRequest {
    let principal = Principal {
        workspace_id: workspace(),
        user_id: UserId::NIL,
        device_id: DeviceId::NIL,
        client_id: ClientId::from_u128(client),
        is_server: true,
    };
    let id = RecordId(crate::random::uuid_v7());
    let fields = [(Name::new("name"), json!(name))].into();
    let op = Op::Create { entity: Name::new("users"), id, fields };
    let mutation_id = MutationId(crate::random::uuid_v7());
    let mutation = Mutation { mutation_id, client_seq: 1, age_ms: 0, ops: vec![op], depends_on: Vec::new() };
    PushRequest { principal, mutations: vec![mutation], received_ms: 1_000, deposit: None }
}

impl Bench {
    fn submit(&self, request: PushRequest) -> Result<oneshot::Receiver<Decision>, Busy> {
        self.submit_if(request, None)
    }

    fn submit_if(
        &self,
        request: PushRequest,
        precondition: Option<Precondition>,
    ) -> Result<oneshot::Receiver<Decision>, Busy> {
        let (reply, answer) = oneshot::channel();
        self.writer.submit(PushJob { request, precondition, reply })?;
        Ok(answer)
    }

    /// Holds the writer in a transaction of its own, so that what is submitted meanwhile becomes one group.
    fn hold(&self) -> std::sync::mpsc::Sender<()> {
        let (go, wait) = std::sync::mpsc::channel();
        self.moods.lock().unwrap().push(Mood::Wait(wait));
        drop(self.submit(push(999, "held")));
        while self.transactions.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        go
    }
}

fn is_applied(decision: &Decision) -> bool {
    let Decision::Reply(PushReply::Outcomes(outcomes)) = decision else { return false };
    outcomes.iter().all(|outcome| outcome.outcome == OutcomeKind::Applied)
}

#[tokio::test]
async fn psh_5_what_waits_is_committed_as_one_group_and_published_in_order() {
    let bench = bench(100);
    let go = bench.hold();
    let answers: Vec<_> = (0..20).map(|client| bench.submit(push(client, "x")).unwrap()).collect();
    go.send(()).unwrap();
    for answer in answers {
        assert!(is_applied(&answer.await.unwrap()));
    }
    assert_eq!(bench.transactions.load(Ordering::SeqCst), 2, "the held one and the group");
    let published = bench.published.lock().unwrap();
    let ranges: Vec<_> = published.iter().map(|committed| (committed.from, committed.to)).collect();
    assert_eq!(ranges, [(0, 1), (1, 21)]);
    assert_eq!(published[1].entries.len(), 20);
}

#[tokio::test]
async fn inv_10_a_full_queue_refuses_at_once_with_a_hint() {
    let bench = bench(3);
    let go = bench.hold();
    let waiting: Vec<_> = (0..3).map(|client| bench.submit(push(client, "x")).unwrap()).collect();
    let refused = bench.submit(push(50, "x")).unwrap_err();
    assert!(refused.retry_ms > 0);
    go.send(()).unwrap();
    for answer in waiting {
        assert!(is_applied(&answer.await.unwrap()));
    }
    assert!(is_applied(&bench.submit(push(50, "x")).unwrap().await.unwrap()));
}

#[tokio::test]
async fn psh_2_a_group_that_fails_or_panics_is_decided_one_by_one() {
    for mood in [Mood::Unavailable, Mood::Panic] {
        let bench = bench(100);
        let go = bench.hold();
        let answers: Vec<_> = (0..5).map(|client| bench.submit(push(client, "x")).unwrap()).collect();
        bench.moods.lock().unwrap().push(mood);
        go.send(()).unwrap();
        for answer in answers {
            assert!(is_applied(&answer.await.unwrap()));
        }
        assert_eq!(bench.transactions.load(Ordering::SeqCst), 1 + 1 + 5);
    }
}

#[tokio::test]
async fn psh_2_a_push_that_cannot_be_decided_harms_nobody_else() {
    let bench = bench(100);
    bench.moods.lock().unwrap().push(Mood::Panic);
    let failed = bench.submit(push(1, "x")).unwrap().await.unwrap();
    assert!(matches!(failed, Decision::Failed), "{failed:?}");
    bench.moods.lock().unwrap().push(Mood::Unavailable);
    let unavailable = bench.submit(push(1, "x")).unwrap().await.unwrap();
    assert!(matches!(unavailable, Decision::Unavailable), "{unavailable:?}");
    assert!(is_applied(&bench.submit(push(1, "x")).unwrap().await.unwrap()));
}

#[tokio::test]
async fn api_1_a_failed_precondition_refuses_its_own_push_only() {
    let bench = bench(100);
    let go = bench.hold();
    let precondition = Precondition::Unchanged { entity: "users".to_owned(), id: RecordId::from_u128(5), rv: 1 };
    let before = bench.submit(push(1, "x")).unwrap();
    let conditional = bench.submit_if(push(2, "x"), Some(precondition)).unwrap();
    let after = bench.submit(push(3, "x")).unwrap();
    go.send(()).unwrap();
    assert!(is_applied(&before.await.unwrap()));
    assert!(matches!(conditional.await.unwrap(), Decision::PreconditionFailed));
    assert!(is_applied(&after.await.unwrap()));
}

#[tokio::test]
async fn hub_6_stopping_decides_everything_that_waits() {
    let bench = bench(100);
    let answers: Vec<_> = (0..50).map(|client| bench.submit(push(client, "x")).unwrap()).collect();
    bench.writer.stop();
    for answer in answers {
        assert!(is_applied(&answer.await.unwrap()));
    }
    assert!(bench.submit(push(99, "x")).is_err());
}
