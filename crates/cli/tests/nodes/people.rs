//! Who belongs to a workspace, changed at two nodes at once.

use reqwest::Method;
use serde_json::json;

use crate::support::node::access;
use crate::support::{Deployment, MANAGER, OWNER};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_1_two_owners_who_leave_at_once_by_two_nodes_do_not_leave_a_workspace_without_one() {
    let deployment = Deployment::start_without_redis(2).await;
    let [one, two] = &deployment.nodes[..] else { panic!("two nodes") };
    let (ann, bob) = (one.sign_in(OWNER).await, two.sign_in(MANAGER).await);
    let member = |tokens: &serde_json::Value| format!("/api/admin/members/{}", tokens["user_id"].as_str().unwrap());
    let (of_ann, of_bob) = (member(&ann), member(&bob));
    let (owner, agent) = (json!({"role": "owner"}), json!({"role": "agent"}));
    assert_eq!(one.ask(Method::PATCH, &of_bob, access(&ann), &owner).await.0, 200);
    for round in 0..10 {
        let (first, second) = tokio::join!(
            one.ask(Method::PATCH, &of_ann, access(&ann), &agent),
            two.ask(Method::PATCH, &of_bob, access(&bob), &agent),
        );
        let mut statuses = [first.0, second.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "round {round}: {first:?} {second:?}");
        // Whoever is left makes the other an owner again.
        let (left, gone) = if first.0 == 200 { (&bob, &of_ann) } else { (&ann, &of_bob) };
        assert_eq!(one.ask(Method::PATCH, gone, access(left), &owner).await.0, 200);
    }
}
