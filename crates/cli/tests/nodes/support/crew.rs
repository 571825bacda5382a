//! Eight clients that write without pause, spread over the nodes. Each reaches them through a balancer of its own, which takes
//! it to its home node, or to the next one while that one refuses.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use syncline_client::{Client, ClientError, SignIn, SyncEnd, SyncLimits, record_id};
use syncline_core::id::RecordId;
use syncline_core::replica::Edit;
use syncline_core::session::client::Event;
use syncline_core::{Fields, Name, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::proxy::Proxy;
use super::{Deployment, MANAGER, OWNER, PASSWORD, SOON, until};

pub const SIZE: usize = 8;
/// Between two writes of one client.
const PACE: Duration = Duration::from_millis(120);

/// What a client's contacts are called: its own name, and a number that it gives once.
#[derive(Clone)]
pub struct Written {
    pub id: RecordId,
    pub number: usize,
}

pub struct Member {
    pub name: String,
    pub client: Client,
    /// In order; on the device's disk since the call returned.
    pub written: Arc<Mutex<Vec<Written>>>,
    /// What a person would have to act on.
    pub complaints: Arc<Mutex<Vec<String>>>,
    pub following: JoinHandle<Result<SyncEnd, ClientError>>,
    writing: JoinHandle<()>,
    _way: Option<Proxy>,
}

pub struct Crew {
    pub members: Vec<Member>,
    is_writing: watch::Sender<bool>,
    pub is_over: watch::Sender<bool>,
}

impl Crew {
    /// Signs the clients in, lets them load everything, and has them write.
    pub async fn start(deployment: &Deployment) -> Self {
        Self::gather(deployment, None).await
    }

    /// As [`Crew::start`], all by way of one port.
    pub async fn start_behind(deployment: &Deployment, port: u16) -> Self {
        Self::gather(deployment, Some(port)).await
    }

    async fn gather(deployment: &Deployment, port: Option<u16>) -> Self {
        let mut crew =
            Self { members: Vec::new(), is_writing: watch::Sender::new(true), is_over: watch::Sender::new(false) };
        for number in 0..SIZE {
            let member = crew.hire(deployment, number, port).await;
            crew.members.push(member);
        }
        crew.recovered("the start", Instant::now()).await;
        crew
    }

    async fn hire(&self, deployment: &Deployment, number: usize, port: Option<u16>) -> Member {
        let way = match port {
            Some(_) => None,
            None => Some(way_home(deployment, number).await),
        };
        let port = port.or(way.as_ref().map(|way| way.port)).expect("one or the other");
        let name = format!("writer{number}");
        let email = if number.is_multiple_of(2) { OWNER } else { MANAGER };
        let client = device(&deployment.folder.path().join(&name), port, email).await;
        let limits = SyncLimits { deadline: SOON, attempts_max: 10 };
        assert_eq!(client.sync_once(limits).await.unwrap(), SyncEnd::Synced, "{name} loads everything");
        let complaints = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen(client.events(), Arc::clone(&complaints)));
        let follow = follow(client.clone(), self.is_over.subscribe());
        let written = Arc::new(Mutex::new(Vec::new()));
        let write = write(client.clone(), name.clone(), Arc::clone(&written), self.is_writing.subscribe());
        let (following, writing) = (tokio::spawn(follow), tokio::spawn(write));
        Member { name, client, written, complaints, following, writing, _way: way }
    }

    /// Waits until a write that each client makes now has reached its neighbour, who is at another node. Says and returns
    /// how long after `since` that was.
    pub async fn recovered(&self, what: &str, since: Instant) -> Duration {
        let mut markers = Vec::new();
        for member in &self.members {
            markers.push(member.mark().await);
        }
        for (number, marker) in markers.iter().enumerate() {
            let neighbour = &self.members[(number + 1) % self.members.len()];
            let what = format!("after {what}, a write of {}", self.members[number].name);
            self.arrives(*marker, neighbour, &what).await;
        }
        let took = since.elapsed();
        println!("{what}: everybody's writes reach their neighbours after {took:.2?}");
        took
    }

    /// Waits until a record is on that device.
    pub async fn arrives(&self, id: RecordId, reader: &Member, what: &str) {
        let what = format!("{what} reaches {}", reader.name);
        until(&what, async || reader.has(id).await.then_some(())).await;
    }

    /// How long writes of the first client take to reach the second, who is at another node: the median and the longest.
    pub async fn latency(&self, when: &str, samples: usize) -> (Duration, Duration) {
        let (author, reader) = (&self.members[0], &self.members[1]);
        let mut took = Vec::new();
        for _ in 0..samples {
            let started = Instant::now();
            let marker = author.mark().await;
            while !reader.has(marker).await {
                assert!(started.elapsed() < SOON, "{when}: a write does not reach the other node");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            took.push(started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.sort_unstable();
        let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
        println!(
            "{when}: a write is on a device of the other node after {median:.1?} (median), {longest:.1?} (longest of {samples})"
        );
        (median, longest)
    }

    /// No more writes from now on.
    pub async fn rest(&mut self) {
        if self.is_writing.send_replace(false) {
            for member in &mut self.members {
                (&mut member.writing).await.expect("nothing local fails");
            }
        }
    }

    pub fn written(&self) -> usize {
        self.members.iter().map(|member| member.written.lock().unwrap().len()).sum()
    }
}

impl Member {
    /// Writes one record beside the others.
    pub async fn mark(&self) -> RecordId {
        let id = record_id();
        let fields = fields(&[("firstname", json!("marker")), ("lastname", json!(id))]);
        self.client.mutate(vec![Edit::Create { entity: Name::new("contacts"), id, fields }]).await.unwrap();
        id
    }

    pub async fn has(&self, id: RecordId) -> bool {
        self.client.get("contacts", id).await.unwrap().is_some()
    }
}

/// A way to the nodes that begins at this client's own.
pub async fn way_home(deployment: &Deployment, number: usize) -> Proxy {
    let mut ports: Vec<u16> = deployment.nodes.iter().map(|node| node.port).collect();
    ports.rotate_left(number % deployment.nodes.len());
    Proxy::start(ports).await
}

/// A new device, which has not synced yet. A node may be busy dying while it signs in.
pub async fn device(folder: &Path, port: u16, email: &str) -> Client {
    let sign_in = SignIn {
        server: format!("http://127.0.0.1:{port}"),
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        workspace: None,
        device_name: "Test".to_owned(),
        schema: None,
    };
    until("a device signs in", async || match Client::init(folder, sign_in.clone()).await {
        Ok(client) => Some(client),
        Err(error) => {
            assert!(error.is_offline(), "signing in: {error}");
            None
        }
    })
    .await
}

/// Syncs until it is over.
pub async fn follow(client: Client, mut is_over: watch::Receiver<bool>) -> Result<SyncEnd, ClientError> {
    let over = async move { drop(is_over.wait_for(|is_over| *is_over).await) };
    client.run(over).await
}

pub fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(name, value)| (Name::new(name), value.clone())).collect()
}

/// A contact at a time, and a change of the one before in the same mutation.
async fn write(client: Client, name: String, written: Arc<Mutex<Vec<Written>>>, is_writing: watch::Receiver<bool>) {
    let mut before = None;
    for number in 1.. {
        if !*is_writing.borrow() {
            return;
        }
        let (entity, id) = (Name::new("contacts"), record_id());
        let create = fields(&[("firstname", json!(name)), ("lastname", json!(number.to_string()))]);
        let mut edits = vec![Edit::Create { entity: entity.clone(), id, fields: create }];
        let update = |id| Edit::Update { entity, id, fields: fields(&[("city", json!(number.to_string()))]) };
        edits.extend(before.replace(id).map(update));
        if let Err(error) = client.mutate(edits).await {
            panic!("{name} {number}: {error}; rejected: {:?}", client.rejected().await);
        }
        written.lock().unwrap().push(Written { id, number });
        tokio::time::sleep(PACE).await;
    }
}

async fn listen(mut events: tokio::sync::broadcast::Receiver<Event>, complaints: Arc<Mutex<Vec<String>>>) {
    loop {
        match events.recv().await {
            Ok(Event::Connected | Event::Disconnected | Event::Changed { .. } | Event::Decided { .. })
            | Err(RecvError::Lagged(_)) => {}
            Ok(
                event @ (Event::Rejected { .. }
                | Event::Repairing { .. }
                | Event::Stuck
                | Event::Purged { .. }
                | Event::Stopped { .. }
                | Event::SignInNeeded),
            ) => complaints.lock().unwrap().push(format!("{event:?}")),
            Err(RecvError::Closed) => return,
        }
    }
}
