use std::time::Duration;

use serde_json::{Value, json};
use syncline_client::{Client, ClientError, SyncEnd, SyncLimits, record_id};
use syncline_core::change::Resolution;
use syncline_core::protocol::Code;
use syncline_core::replica::{Edit, Filter, Query, RecordState};
use syncline_core::session::client::Event;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vew_1_edits_made_apart_and_offline_meet_on_every_device() {
    let world = World::start().await;
    let (a, b) = (world.synced_device("a", OWNER).await, world.synced_device("b", MANAGER).await);
    let id = create(&a, json!({"firstname": "Ada", "tags": ["x", "vip"], "email": "ada@EXAMPLE.org"})).await;
    assert_eq!(contact(&a, id).await.state, RecordState::Pending);
    sync(&a).await;
    sync(&b).await;
    assert_eq!(contact(&b, id).await.state, RecordState::Synced);

    // Both offline, different fields and a set.
    update(&a, id, json!({"lastname": "Lovelace", "tags": {"add": ["a"], "remove": []}})).await;
    update(&b, id, json!({"city": "London", "tags": {"add": ["b"], "remove": ["x"]}})).await;
    sync(&a).await;
    sync(&b).await;
    sync(&a).await;
    for device in [&a, &b] {
        assert_eq!(value(device, id, "lastname").await, "Lovelace");
        assert_eq!(value(device, id, "city").await, "London");
        assert_eq!(value(device, id, "tags").await, json!(["a", "b", "vip"]));
    }
    assert_eq!(held(&a).await, held(&b).await, "DIG-1: two devices with the same grants hold the same");
    let filter = Filter { field: "email".into(), value: json!("ada@example.org") };
    let query = Query { entity: "contacts".into(), filters: vec![filter], ..Query::default() };
    assert_eq!(b.list(query).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cnf_3_a_conflict_is_resolved_on_one_device_and_undone_on_another() {
    let world = World::start().await;
    let (a, b) = (world.synced_device("a", OWNER).await, world.synced_device("b", MANAGER).await);
    let id = create(&a, json!({"firstname": "Ada", "estimated_value": "1.00"})).await;
    sync(&a).await;
    sync(&b).await;
    update(&a, id, json!({"estimated_value": "2.00"})).await;
    update(&b, id, json!({"estimated_value": "3.00"})).await;
    sync(&a).await;
    sync(&b).await;
    let open = b.conflicts(false).await.unwrap();
    assert_eq!(open.len(), 1, "manual-review: the later one waits");
    assert_eq!(value(&b, id, "estimated_value").await, "2.00");

    b.resolve(open[0].id, Resolution::UseMine, fields(json!({}))).await.unwrap();
    assert!(b.conflicts(false).await.unwrap().is_empty(), "decided on the screen at once");
    sync(&b).await;
    sync(&a).await;
    assert_eq!(value(&a, id, "estimated_value").await, "3.00");

    assert_eq!(a.undo(open[0].id).await.unwrap(), Resolution::UseTheirs);
    sync(&a).await;
    sync(&b).await;
    assert_eq!(value(&b, id, "estimated_value").await, "2.00");
    assert_eq!(held(&a).await, held(&b).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vew_2_a_refused_change_is_kept_and_can_be_sent_again() {
    let world = World::start().await;
    let device = world.synced_device("a", AGENT).await;
    let id = create(&device, json!({"firstname": "Ada", "lead_score": 7})).await;
    sync(&device).await;
    let rejected = device.rejected().await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].outcome.code, Some(Code::Forbidden));
    assert!(device.get("contacts", id).await.unwrap().is_none(), "its effects are gone from the screen");
    device.discard_rejected(rejected[0].mutation.client_seq).await.unwrap();
    assert!(device.rejected().await.unwrap().is_empty());

    let company = |domain: &str| Edit::Create {
        entity: "companies".into(),
        id: record_id(),
        fields: fields(json!({"name": "Acme", "domain": domain})),
    };
    device.mutate(vec![company("acme.example")]).await.unwrap();
    device.mutate(vec![company("acme.example")]).await.unwrap();
    sync(&device).await;
    let rejected = device.rejected().await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].outcome.code, Some(Code::Unique));
    let changes = fields(json!({"domain": "acme.test"}));
    device.resend_rejected(rejected[0].mutation.client_seq, changes).await.unwrap();
    sync(&device).await;
    assert!(device.rejected().await.unwrap().is_empty());
    let filter = Filter { field: "domain".into(), value: json!("acme.test") };
    let query = Query { entity: "companies".into(), filters: vec![filter], ..Query::default() };
    assert_eq!(device.list(query).await.unwrap()[0].state, RecordState::Synced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snp_3_a_new_device_loads_a_large_scope_as_a_snapshot() {
    let world = World::start().await;
    let writer = world.synced_device("a", OWNER).await;
    for _ in 0..12 {
        let edit = |n| {
            let fields = fields(json!({"firstname": format!("F{n}"), "tags": ["bulk"]}));
            Edit::Create { entity: "contacts".into(), id: record_id(), fields }
        };
        writer.mutate((0..200).map(edit).collect()).await.unwrap();
    }
    sync(&writer).await;
    let reader = world.synced_device("b", MANAGER).await;
    let status = reader.status().await.unwrap();
    assert!(status.records["contacts"] >= 2_400, "{:?}", status.records);
    assert!(status.scopes.iter().all(|scope| scope.loading.is_none()));
    assert_eq!(held(&writer).await, held(&reader).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liv_1_a_running_device_follows_live_and_survives_a_restart_of_the_server() {
    let mut world = World::start().await;
    let (a, b) = (world.synced_device("a", OWNER).await, world.synced_device("b", MANAGER).await);
    let mut events = b.events();
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn({
        let b = b.clone();
        async move { b.run(async { drop(cancelled.await) }).await }
    });
    let id = create(&a, json!({"firstname": "Ada"})).await;
    sync(&a).await;
    until(&mut events, |event| matches!(event, Event::Changed { .. })).await;
    assert_eq!(value(&b, id, "firstname").await, "Ada");
    assert!(matches!(b.sync_once(limits()).await, Err(ClientError::AlreadySyncing)));

    world.stop_server().await;
    update(&b, id, json!({"city": "Paris"})).await;
    world.restart_server().await;
    until(&mut events, |event| matches!(event, Event::Connected)).await;
    let patience = tokio::time::timeout(PATIENCE, async {
        while b.status().await.unwrap().pending > 0 {
            // An outcome that comes after its effects is no event of its own.
            drop(tokio::time::timeout(Duration::from_millis(50), events.recv()).await);
        }
    });
    patience.await.expect("what was edited during the restart goes out");
    sync(&a).await;
    assert_eq!(value(&a, id, "city").await, "Paris");
    cancel.send(()).unwrap();
    assert_eq!(running.await.unwrap().unwrap(), SyncEnd::Cancelled);
}

async fn until(events: &mut tokio::sync::broadcast::Receiver<Event>, is_wanted: impl Fn(&Event) -> bool) {
    let wanted = async { while !is_wanted(&events.recv().await.expect("the device runs")) {} };
    tokio::time::timeout(PATIENCE, wanted).await.expect("the event comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vew_5_everything_local_works_without_a_server() {
    let mut world = World::start().await;
    let device = world.synced_device("a", OWNER).await;
    world.stop_server().await;
    let id = create(&device, json!({"firstname": "Ada"})).await;
    let end = device.sync_once(SyncLimits { attempts_max: 1, ..limits() }).await.unwrap();
    assert!(matches!(end, SyncEnd::NotSynced { .. }), "{end:?}");
    let dir = device.dir().to_path_buf();
    device.close().await;
    let device = Client::open(&dir).await.unwrap();
    assert_eq!(value(&device, id, "firstname").await, "Ada");
    assert_eq!(device.status().await.unwrap().pending, 1);
    assert!(device.history("contacts", id, 1).await.unwrap_err().is_offline());
    world.restart_server().await;
    sync(&device).await;
    assert_eq!(device.status().await.unwrap().pending, 0);
    assert_eq!(device.history("contacts", id, 5).await.unwrap()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aut_2_an_expired_access_token_is_renewed_and_the_new_pair_is_on_disk() {
    let world = World::start().await;
    let device = world.synced_device("a", OWNER).await;
    device.close().await;
    let dir = world.dir("a");
    let mut expired = credentials(&dir);
    let former = expired["refresh_token"].clone();
    expired["access_expires_ms"] = json!(0);
    expired["access_token"] = json!("nonsense");
    std::fs::write(dir.join("credentials.json"), expired.to_string()).unwrap();
    let device = Client::open(&dir).await.unwrap();
    sync(&device).await;
    assert_ne!(credentials(&dir)["refresh_token"], former);
    device.close().await;
    // Refused although the device believes it to be good: renewed all the same.
    let mut refused = credentials(&dir);
    refused["access_token"] = json!("nonsense");
    std::fs::write(dir.join("credentials.json"), refused.to_string()).unwrap();
    let device = Client::open(&dir).await.unwrap();
    sync(&device).await;
    device.close().await;
    // Spent: the family is revoked, and a person has to sign in again. Nothing is lost.
    let mut spent = credentials(&dir);
    spent["access_expires_ms"] = json!(0);
    spent["refresh_token"] = former;
    std::fs::write(dir.join("credentials.json"), spent.to_string()).unwrap();
    let device = Client::open(&dir).await.unwrap();
    let id = create(&device, json!({"firstname": "Kept"})).await;
    let end = device.sync_once(limits()).await.unwrap();
    assert!(matches!(end, SyncEnd::SignInNeeded { .. }), "{end:?}");
    let client_id = device.meta().await.unwrap().client_id;
    device.close().await;
    let device = Client::init(&dir, world.sign_in(OWNER)).await.unwrap();
    assert_eq!(device.meta().await.unwrap().client_id, client_id, "signing in again keeps the replica");
    sync(&device).await;
    assert_eq!(contact(&device, id).await.state, RecordState::Synced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aut_1_a_wrong_password_and_a_foreign_directory_are_refused() {
    let world = World::start().await;
    let wrong = syncline_client::SignIn { password: "wrong".to_owned(), ..world.sign_in(OWNER) };
    let refused = Client::init(world.dir("x"), wrong).await.err().unwrap();
    assert!(matches!(&refused, ClientError::Refused(problem) if problem.code == Code::Unauthenticated), "{refused}");
    assert!(matches!(Client::open(world.dir("x")).await, Err(ClientError::NotInitialised(_))));
    world.synced_device("a", OWNER).await.close().await;
    let refused = Client::init(world.dir("a"), world.sign_in(AGENT)).await.err().unwrap();
    assert!(matches!(refused, ClientError::OtherOwner { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_2_a_copied_database_gets_a_client_id_of_its_own() {
    let world = World::start().await;
    let device = world.synced_device("a", OWNER).await;
    let original = device.meta().await.unwrap().client_id;
    create(&device, json!({"firstname": "Once"})).await;
    sync(&device).await;
    device.close().await;
    std::fs::create_dir(world.dir("copy")).unwrap();
    for name in ["replica.sqlite", "credentials.json"] {
        std::fs::copy(world.dir("a").join(name), world.dir("copy").join(name)).unwrap();
    }
    let copy = Client::open(world.dir("copy")).await.unwrap();
    assert_ne!(copy.meta().await.unwrap().client_id, original);
    let id = create(&copy, json!({"firstname": "Copy"})).await;
    sync(&copy).await;
    let device = Client::open(world.dir("a")).await.unwrap();
    assert_eq!(device.meta().await.unwrap().client_id, original);
    sync(&device).await;
    assert_eq!(value(&device, id, "firstname").await, "Copy");
    assert_eq!(held(&device).await, held(&copy).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rev_2_a_revoked_device_hands_over_what_is_pending_and_deletes_everything() {
    let world = World::start().await;
    let owner = world.synced_device("a", OWNER).await;
    let device = world.synced_device("b", MANAGER).await;
    create(&device, json!({"firstname": "Unsent"})).await;
    let device_id = device.status().await.unwrap().device_id;
    let http = reqwest::Client::new();
    let token = credentials(owner.dir())["access_token"].as_str().unwrap().to_owned();
    let url = format!("{}/api/auth/devices/{device_id}", world.url());
    let revoked = http.delete(url).bearer_auth(&token).send().await.unwrap();
    assert!(revoked.status().is_success(), "{revoked:?}");

    let end = device.sync_once(limits()).await.unwrap();
    assert_eq!(end, SyncEnd::Purged { code: Code::DeviceRevoked });
    let status = device.status().await.unwrap();
    assert!(status.is_revoked && status.records.is_empty() && status.pending == 0, "{status:?}");
    assert!(!world.dir("b").join("credentials.json").exists());
    let deposited = http.get(format!("{}/api/admin/rejected", world.url())).bearer_auth(&token).send().await.unwrap();
    let deposited: Value = deposited.json().await.unwrap();
    assert!(deposited.to_string().contains("Unsent"), "the administrator has its unsent edit: {deposited}");
    device.close().await;

    let device = Client::init(world.dir("b"), world.sign_in(MANAGER)).await.unwrap();
    assert_ne!(device.status().await.unwrap().device_id, device_id, "a new device");
    sync(&device).await;
}
