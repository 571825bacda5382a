use serde_json::json;

use crate::support::{Socket, World, error_code, uuid_v7};

async fn sub(socket: &mut Socket, topic: &str) -> serde_json::Value {
    socket.send(&json!({"type": "sub", "topic": topic})).await;
    socket.receive().await
}

#[tokio::test]
async fn top_1_a_topic_is_followed_without_a_hello_and_at_most_32_are() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    for number in 0..32 {
        let topic = format!("deals/{number}");
        assert_eq!(sub(&mut socket, &topic).await, json!({"type": "subscribed", "topic": topic}));
    }
    assert_eq!(sub(&mut socket, "deals/0").await["type"], "subscribed", "again is no more");
    let full = sub(&mut socket, "deals/32").await;
    assert_eq!((error_code(&full), &full["problem"]["topic"]), ("too_large", &json!("deals/32")));
    socket.send(&json!({"type": "unsub", "topic": "deals/3"})).await;
    assert_eq!(
        socket.receive().await,
        json!({"type": "unsubscribed", "topic": "deals/3", "reason": "You asked for it."})
    );
    assert_eq!(sub(&mut socket, "deals/32").await["type"], "subscribed");
}

#[tokio::test]
async fn top_1_what_is_no_name_is_malformed() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    for topic in ["", "Deals", "a b", "é", &"x".repeat(129)] {
        assert_eq!(error_code(&sub(&mut socket, topic).await), "malformed", "{topic}");
    }
}

#[tokio::test]
async fn top_2_topics_of_teams_and_users_are_theirs() {
    let world = World::start().await;
    let (owner, ann, bob) = (world.user("owner").await, world.user("ann").await, world.user("bob").await);
    let mut of_bob = Socket::open(&bob).await;
    assert_eq!(error_code(&sub(&mut of_bob, &format!("user/{}", ann.user_id)).await), "forbidden");
    assert_eq!(error_code(&sub(&mut of_bob, &format!("team/{}", uuid_v7())).await), "forbidden");
    assert_eq!(error_code(&sub(&mut of_bob, "team/none").await), "forbidden");
    assert_eq!(sub(&mut of_bob, &format!("user/{}", bob.user_id)).await["type"], "subscribed");
    let mut of_owner = Socket::open(&owner).await;
    assert_eq!(sub(&mut of_owner, &format!("team/{}", uuid_v7())).await["type"], "subscribed");
}
