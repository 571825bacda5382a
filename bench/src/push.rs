//! PERF-1: durable pushes per second over WebSocket, beside a bare loop that writes the same rows to the same kind of database.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use syncline_core::change::Op;
use syncline_core::id::{UserId, WorkspaceId};
use syncline_server::bootstrap::NewMember;
use syncline_server::demo;

use crate::place::{Place, StoreKind};
use crate::report::{Report, figure};
use crate::stage::{Stage, contact, mutation, new_id};
use crate::wire::Wire;
use crate::{bare, bare_postgres, clock};

const ROUNDS: usize = 3;
const CLIENTS: [usize; 3] = [1, 10, 100];
/// Workspaces and clients of the comparison of one node with two.
const SPREAD_WORKSPACES: usize = 10;
const SPREAD_CLIENTS: usize = 40;

/// `only`: one pair of clients and batch, for a profiler.
pub async fn run(
    report: &mut Report,
    kind: StoreKind,
    scale: usize,
    only: Option<(usize, usize)>,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for batch in [1, 100] {
        if only.is_some_and(|only| only.1 != batch) {
            continue;
        }
        let bare = bare_rate(kind, 1, batch, if batch == 1 { 2_000 } else { 20_000 } / scale).await?;
        for clients in CLIENTS {
            if only.is_some_and(|only| only != (clients, batch)) {
                continue;
            }
            let total = (if batch == 1 { 2_000 } else { 20_000 } * if clients == 1 { 1 } else { 2 }) / scale;
            let count = (total / clients).max(batch);
            let load = Load { nodes: 1, homes: Homes::OneNode, workspaces: 1, clients, batch, count };
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                rates.push(measure(kind, load).await?.rate());
            }
            let rate = clock::median(&mut rates);
            rows.push(json!({
                "clients": clients, "batch": batch, "mutations/s": figure(rate),
                "bare rows/s": figure(bare), "share of bare": figure(rate / bare),
            }));
        }
    }
    let columns = ["clients", "batch", "mutations/s", "bare rows/s", "share of bare"];
    let title = format!(
        "Durable push to {}: contacts of 15 fields over WebSocket, answered after fsync; bare: the same rows on one \
         connection, one transaction per batch",
        kind.name()
    );
    report.section("push", &title, &columns, &rows);
    Ok(())
}

/// Ten workspaces on one node and on two, beside bare loops on as many connections as one node has writers.
pub async fn spread(report: &mut Report, scale: usize) -> anyhow::Result<()> {
    let (kind, batch) = (StoreKind::Postgres, 100);
    let writers = Place::new(kind).await?.config(false)?.store.writers;
    let bare = bare_rate(kind, writers, batch, 20_000 / scale).await?;
    let mut rows = Vec::new();
    for (nodes, homes) in [(1, Homes::OneNode), (2, Homes::OneNode), (2, Homes::AllNodes)] {
        let count = (40_000 / scale / SPREAD_CLIENTS).max(batch);
        let load = Load { nodes, homes, workspaces: SPREAD_WORKSPACES, clients: SPREAD_CLIENTS, batch, count };
        let mut done = Vec::new();
        for _ in 0..ROUNDS {
            done.push(measure(kind, load).await?);
        }
        done.sort_by_key(|done| done.elapsed);
        let done = &done[ROUNDS / 2];
        rows.push(json!({
            "nodes": nodes, "a workspace is at": homes.name(), "mutations/s": figure(done.rate()),
            "slowest workspace": figure(done.slowest), "fastest workspace": figure(done.fastest),
            "bare rows/s": figure(bare), "share of bare": figure(done.rate() / bare),
        }));
    }
    let columns = [
        "nodes",
        "a workspace is at",
        "mutations/s",
        "slowest workspace",
        "fastest workspace",
        "bare rows/s",
        "share of bare",
    ];
    let title = format!(
        "Durable push to {SPREAD_WORKSPACES} workspaces on {} by {SPREAD_CLIENTS} clients, batches of {batch}; bare: {writers} \
         connections",
        kind.name()
    );
    report.section("spread", &title, &columns, &rows);
    Ok(())
}

async fn bare_rate(kind: StoreKind, connections: usize, batch: usize, count: usize) -> anyhow::Result<f64> {
    match kind {
        StoreKind::Sqlite => bare::create_rate(batch, count),
        StoreKind::Postgres => bare_postgres::create_rate(connections, batch, count).await,
    }
}

/// Where the clients of a workspace are.
#[derive(Clone, Copy)]
enum Homes {
    /// All at one node, the next workspace's at the next node.
    OneNode,
    /// Dealt to the nodes in turn.
    AllNodes,
}

impl Homes {
    fn name(self) -> &'static str {
        match self {
            Homes::OneNode => "one node",
            Homes::AllNodes => "all nodes",
        }
    }
}

/// Clients are dealt to the workspaces in turn.
#[derive(Clone, Copy)]
struct Load {
    nodes: usize,
    homes: Homes,
    workspaces: usize,
    clients: usize,
    /// Mutations of a frame.
    batch: usize,
    /// Mutations of a client.
    count: usize,
}

struct Done {
    mutations: usize,
    elapsed: Duration,
    /// Mutations per second of a workspace until the last of its clients was done.
    slowest: f64,
    fastest: f64,
}

impl Done {
    fn rate(&self) -> f64 {
        rate(self.mutations, self.elapsed)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(mutations: usize, elapsed: Duration) -> f64 {
    mutations as f64 / elapsed.as_secs_f64()
}

/// Somebody who pushes what another person will own, and that person, who listens: fan-out is measured by itself.
pub struct Pair {
    pub pusher: String,
    listener: String,
    pub owner: UserId,
}

impl Pair {
    pub fn of_demo() -> Self {
        let [listener, owner, _, pusher] = demo::USERS;
        Self { pusher: pusher.email.to_owned(), listener: listener.email.to_owned(), owner: owner.user_id() }
    }
}

/// Each client pushes its mutations with a device's push window, while in each workspace one device of another person listens
/// to all of it.
async fn measure(kind: StoreKind, load: Load) -> anyhow::Result<Done> {
    let Load { nodes, homes, workspaces, clients, batch, count } = load;
    let stage = Stage::start_in(Place::new(kind).await?, nodes).await?;
    let mut pairs = Vec::with_capacity(workspaces);
    for number in 0..workspaces {
        pairs.push(if workspaces == 1 { Pair::of_demo() } else { found(&stage, number).await? });
    }
    let mut listening = Vec::new();
    for (number, pair) in pairs.iter().enumerate() {
        let mut listener = Wire::connect_as(&stage.url_of(number % nodes), &pair.listener).await?;
        listening.push(tokio::spawn(async move { while listener.next_text().await.is_ok() {} }));
    }
    let frames = count.div_ceil(batch);
    let mut work = Vec::with_capacity(clients);
    for client in 0..clients {
        let pair = &pairs[client % workspaces];
        let node = match homes {
            Homes::OneNode => client % workspaces % nodes,
            Homes::AllNodes => client / workspaces % nodes,
        };
        let wire = Wire::connect_as(&stage.url_of(node), &pair.pusher).await?;
        let pushes: Vec<Vec<_>> = (0..frames)
            .map(|frame| {
                let numbers = frame * batch..(frame + 1) * batch;
                let contact = |n| foreign_contact(client * 1_000_000 + n, pair.owner);
                numbers.map(|n| mutation(n as u64 + 1, vec![contact(n)])).collect()
            })
            .collect();
        work.push((wire, pushes));
    }
    let start = clock::now();
    let tasks = work.into_iter().map(|(mut wire, pushes)| {
        tokio::spawn(async move {
            wire.push_all(pushes).await?;
            anyhow::Ok(start.elapsed())
        })
    });
    let mut last = vec![Duration::ZERO; workspaces];
    for (client, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let elapsed = task.await??;
        let last = &mut last[client % workspaces];
        *last = elapsed.max(*last);
    }
    listening.iter().for_each(tokio::task::JoinHandle::abort);
    stage.stop().await;
    let mutations = clients * frames * batch;
    last.sort_unstable();
    let of_one =
        |elapsed: Option<&Duration>| elapsed.map_or(f64::NAN, |elapsed| rate(mutations / workspaces, *elapsed));
    let (fastest, slowest) = (of_one(last.first()), of_one(last.last()));
    Ok(Done { mutations, elapsed: last.last().copied().unwrap_or_default(), slowest, fastest })
}

/// A new workspace with its two people.
async fn found(stage: &Stage, number: usize) -> anyhow::Result<Pair> {
    let app = stage.nodes[0].app();
    let name = format!("bench{number}");
    let workspace = WorkspaceId::new(&name)?;
    app.create_workspace(&workspace, &name).await?;
    let email = |who: &str| format!("{who}@{name}.example");
    let owner = UserId(new_id().0);
    let people = [(owner, "listener", "owner", "all"), (UserId(new_id().0), "pusher", "agent", "own")];
    for (user_id, who, role, read_scope) in people {
        let (email, password) = (email(who), SecretString::from(demo::PASSWORD));
        let member = NewMember { user_id, email, name: who.to_owned(), role, read_scope, password };
        app.create_member(&workspace, member).await?;
    }
    Ok(Pair { pusher: email("pusher"), listener: email("listener"), owner })
}

/// A contact of somebody else than the pusher, whose device therefore gets no live batch of it.
pub fn foreign_contact(number: usize, owner: UserId) -> Op {
    let mut op = contact(number);
    if let Op::Create { fields, .. } = &mut op {
        fields.insert("assigned_to".into(), json!(owner));
    }
    op
}
