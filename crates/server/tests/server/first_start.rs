//! The first start makes a workspace whose owner can sign in, wherever it was killed before.

use secrecy::SecretString;
use syncline_core::id::WorkspaceId;
use syncline_server::bootstrap::NewMember;

use crate::support::{PASSWORD, World, user_id};

const OWNER: &str = "owner@example.com";

async fn signs_in(world: &World, password: &str) {
    let owner = world.http().login(OWNER, password).await;
    assert_eq!(owner.get("/api/workspaces").await.expect(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(owner.get("/api/admin/users").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

fn owner(email: &str) -> NewMember {
    NewMember {
        user_id: user_id("main", "owner"),
        email: email.to_owned(),
        name: "Owner".to_owned(),
        role: "owner",
        read_scope: "all",
        password: SecretString::from(PASSWORD),
    }
}

#[tokio::test]
async fn ops_7_a_first_start_that_was_killed_is_finished_by_the_next() {
    let main = WorkspaceId::new("main").unwrap();
    let world = World::empty(|_| {}).await;
    let app = world.server.app();
    // Killed once there was a workspace.
    assert!(app.create_workspace(&main, "main").await.unwrap());
    let first = app.ensure_first_workspace("main", OWNER).await.unwrap().expect("nobody can sign in yet");
    signs_in(&world, &first.password).await;
    assert!(app.ensure_first_workspace("main", OWNER).await.unwrap().is_none(), "somebody can");
    // Killed before the owner had a password.
    let world = World::empty(|_| {}).await;
    let app = world.server.app();
    assert!(app.create_workspace(&main, "main").await.unwrap());
    app.create_member(&main, owner(OWNER)).await.unwrap();
    app.auth.delete_credential(&main, user_id("main", "owner")).await.unwrap();
    let first = app.ensure_first_workspace("main", OWNER).await.unwrap().expect("nobody can sign in yet");
    signs_in(&world, &first.password).await;
    assert!(app.ensure_first_workspace("main", OWNER).await.unwrap().is_none());
}

#[tokio::test]
async fn ops_7_nobody_gets_into_a_workspace_that_is_somebody_elses_by_starting_the_server() {
    let main = WorkspaceId::new("main").unwrap();
    let world = World::empty(|_| {}).await;
    let app = world.server.app();
    assert!(app.create_workspace(&main, "main").await.unwrap());
    app.create_member(&main, owner("somebody@example.com")).await.unwrap();
    assert!(app.ensure_first_workspace("main", OWNER).await.unwrap().is_none(), "it has an owner");
    app.auth.delete_credential(&main, user_id("main", "owner")).await.unwrap();
    assert!(app.ensure_first_workspace("main", OWNER).await.unwrap().is_none(), "who signs in elsewhere");
    assert!(app.ensure_first_workspace("other", OWNER).await.unwrap().is_none(), "the database is not empty");
}
