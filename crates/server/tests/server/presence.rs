use serde_json::json;

use crate::support::{Socket, User, World, error_code, text, uuid_v7};

async fn look(socket: &mut Socket, id: &str, is_editing: bool) {
    socket.send(&json!({"type": "presence", "record": ["contacts", id], "is_editing": is_editing})).await;
}

/// The next list, as users and whether they edit.
async fn viewers(socket: &mut Socket, id: &str) -> Vec<(String, bool)> {
    let frame = socket.expect("presence").await;
    assert_eq!(frame["record"], json!(["contacts", id]));
    let viewers = frame["viewers"].as_array().unwrap().iter();
    viewers.map(|viewer| (text(viewer, "user_id").to_owned(), viewer["is_editing"] == true)).collect()
}

/// Lists come until one says this.
async fn until(socket: &mut Socket, id: &str, expected: &[(&User, bool)]) {
    let expected: Vec<(String, bool)> = expected.iter().map(|(user, edits)| (user.user_id.clone(), *edits)).collect();
    while viewers(socket, id).await != expected {}
}

#[tokio::test]
async fn hub_9_pre_2_who_looks_at_a_record_is_told_of_the_others() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let contact = owner.contact(json!({"firstname": "Seen"})).await;
    let id = text(&contact, "id").to_owned();
    let (mut of_owner, mut of_ann) = (Socket::open(&owner).await, Socket::open(&ann).await);
    look(&mut of_owner, &id, false).await;
    until(&mut of_owner, &id, &[(&owner, false)]).await;
    look(&mut of_ann, &id, true).await;
    until(&mut of_ann, &id, &[(&owner, false), (&ann, true)]).await;
    until(&mut of_owner, &id, &[(&owner, false), (&ann, true)]).await;
    let listed = owner.get(&format!("/api/presence/contacts/{id}")).await.expect(200);
    assert_eq!(listed["viewers"].as_array().unwrap().len(), 2);
    let roll = ann.get("/api/presence").await.expect(200);
    let connected = roll["connections"].as_array().unwrap();
    assert_eq!((connected.len(), &roll["is_complete"]), (2, &json!(true)));
    assert!(connected.iter().all(|entry| entry["deployment_mode"] == "local_install"), "{roll}");
    // Looking elsewhere, and going altogether, end it.
    of_ann.send(&json!({"type": "presence"})).await;
    until(&mut of_owner, &id, &[(&owner, false)]).await;
    look(&mut of_ann, &id, false).await;
    until(&mut of_owner, &id, &[(&owner, false), (&ann, false)]).await;
    drop(of_ann);
    until(&mut of_owner, &id, &[(&owner, false)]).await;
}

#[tokio::test]
async fn pre_1_auth_8_a_record_that_may_not_be_seen_tells_nothing() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let secret = owner.contact(json!({"firstname": "S", "assigned_to": ann.user_id})).await;
    let id = text(&secret, "id").to_owned();
    let mut of_ann = Socket::open(&ann).await;
    look(&mut of_ann, &id, false).await;
    until(&mut of_ann, &id, &[(&ann, false)]).await;
    bob.get(&format!("/api/presence/contacts/{id}")).await.expect(404);
    let mut of_bob = Socket::open(&bob).await;
    for record in [json!(["contacts", id]), json!(["contacts", uuid_v7()]), json!(["nothing", uuid_v7()])] {
        of_bob.send(&json!({"type": "presence", "record": record})).await;
        assert_eq!(error_code(&of_bob.receive().await), "forbidden");
    }
    // It is taken from her: she is told, and is not in the list any more.
    owner.patch(&format!("/api/contacts/{id}"), &json!({"assigned_to": bob.user_id})).await.expect(200);
    look(&mut of_bob, &id, true).await;
    until(&mut of_bob, &id, &[(&bob, true)]).await;
    assert_eq!(viewers(&mut of_ann, &id).await, [], "she looks at it no more, and does not learn who does");
}

#[tokio::test]
async fn pre_2_a_viewer_without_room_for_a_list_gets_it_later() {
    let world = World::start().await;
    let (owner, ann) = (world.user("owner").await, world.user("ann").await);
    let contact = owner.contact(json!({"firstname": "Seen"})).await;
    let id = text(&contact, "id").to_owned();
    let (mut of_owner, mut of_ann) = (Socket::open(&owner).await, Socket::open(&ann).await);
    of_owner.hello().await;
    look(&mut of_owner, &id, false).await;
    until(&mut of_owner, &id, &[(&owner, false)]).await;
    // The owner does not read; what is for them alone piles up until nothing more is taken.
    let hub = world.server.app().hub.workspace(&syncline_core::id::WorkspaceId::new("acme").unwrap());
    let filler =
        syncline_core::protocol::ServerFrame::SyncNow { entities: vec![syncline_core::Name::new("x".repeat(60_000))] };
    let filler = syncline_server::hub::Encoded::new(&filler);
    let user = owner.user_id.parse().unwrap();
    crate::support::eventually(|| async {
        let sent = hub.send_direct(&filler, false, syncline_server::hub::Among::User(user), |_| true);
        (sent == 0).then_some(())
    })
    .await;
    look(&mut of_ann, &id, true).await;
    until(&mut of_ann, &id, &[(&owner, false), (&ann, true)]).await;
    // Now they read.
    until(&mut of_owner, &id, &[(&owner, false), (&ann, true)]).await;
}
