//! A topic with followers on real sockets.

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::hub::outlet::{Outlet, Wire};

fn topic() -> Arc<Topic> {
    Arc::new(Topic::new(0, Packing::Plain, Arc::default()))
}

async fn follower(topic: &Topic) -> (Arc<Seat>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    tcp.writable().await.unwrap();
    let seat = Arc::new(Seat::new(Arc::new(Outlet::new(Wire::Tcp(tcp), Packing::Plain))));
    topic.join(&seat);
    (seat, peer)
}

/// Everything a peer is sent until it has so many bytes.
async fn read(peer: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    peer.read_exact(&mut all).await.unwrap();
    all
}

async fn settled(topic: &Topic) {
    while topic.pass.load(Ordering::Acquire) != pass::NONE {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn top_1_followers_get_every_message_in_order_and_the_last_one_frees_it() {
    let topic = topic();
    let ((parked, mut peer), (busy, _peer)) = (follower(&topic).await, follower(&topic).await);
    assert!(parked.park(|| false));
    let frames: Vec<Encoded> = (0..500).map(|number| Encoded::text(&format!("{number}"))).collect();
    let wire: Vec<u8> = frames.iter().flat_map(|frame| frame.wire().to_vec()).collect();
    for frame in &frames {
        assert_eq!(Arc::clone(&topic).publish(frame).await, 2);
    }
    assert_eq!(read(&mut peer, wire.len()).await, wire);
    settled(&topic).await;
    assert!(!busy.park(|| false), "something came while it was busy");
    busy.begin();
    let mut taken = Vec::new();
    while let TopicTaken::Frames(bytes, _) = topic.take(&busy) {
        taken.extend(bytes);
    }
    assert_eq!(taken, wire);
    assert!(busy.park(|| false));
    topic.write().release(0);
    assert!(topic.read().log.is_empty());
    // Who comes later gets what comes later.
    let (late, _late_peer) = follower(&topic).await;
    assert_eq!(topic.take(&late), TopicTaken::Nothing);
    assert!(!topic.leave(&late) && !topic.leave(&busy) && topic.leave(&parked));
    assert_eq!(Arc::clone(&topic).publish(&frames[0]).await, 0);
}

#[tokio::test]
async fn top_3_who_is_too_slow_is_told_how_many_are_gone_and_delays_nobody() {
    let topic = topic();
    let ((slow, _unread), (quick, mut peer)) = (follower(&topic).await, follower(&topic).await);
    assert!(slow.park(|| false));
    let frame = Encoded::text(&"x".repeat(50_000));
    let count = 2_000_u64;
    let reading = tokio::spawn(async move {
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match peer.read(&mut buffer).await.unwrap() {
                0 => return bytes,
                read => bytes += read,
            }
        }
    });
    for _ in 0..count {
        quick.begin();
        Arc::clone(&topic).publish(&frame).await;
        while let TopicTaken::Frames(bytes, _) = topic.take(&quick) {
            quick.outlet.write_all(&[bytes]).await.unwrap();
        }
    }
    settled(&topic).await;
    slow.woken().await;
    let place = *slow.lock().topic(0).unwrap();
    let TopicTaken::Missed(missed) = topic.take(&slow) else { panic!("it was at {place} of {count}") };
    let mut left = 0;
    while let TopicTaken::Frames(_, frames) = topic.take(&slow) {
        left += frames as u64;
    }
    assert_eq!(place + missed + left, count);
    assert!(left > 0 && topic.read().log.end() - topic.read().log.first() < 30, "the ring is bounded");
    topic.leave(&quick);
    drop(quick);
    assert_eq!(reading.await.unwrap() as u64, count * frame.wire().len() as u64);
}

#[tokio::test]
async fn top_1_a_follower_that_leaves_while_messages_go_out_costs_the_others_none() {
    let topic = topic();
    let mut followers = Vec::new();
    for _ in 0..3 * MEMBERS_AT_ONCE {
        let (seat, peer) = follower(&topic).await;
        seat.park(|| false);
        followers.push((seat, peer));
    }
    let frame = Encoded::text("x");
    let leaving: Vec<_> = followers.iter().step_by(5).map(|(seat, _)| Arc::clone(seat)).collect();
    let publishing = {
        let (topic, frame) = (Arc::clone(&topic), frame.clone());
        tokio::spawn(async move {
            for _ in 0..200 {
                Arc::clone(&topic).publish(&frame).await;
            }
        })
    };
    for seat in &leaving {
        topic.leave(seat);
        tokio::task::yield_now().await;
    }
    publishing.await.unwrap();
    settled(&topic).await;
    for (index, (seat, peer)) in followers.iter_mut().enumerate().filter(|(index, _)| index % 5 != 0) {
        seat.unpark();
        seat.outlet.write_all(&[]).await.unwrap();
        while let TopicTaken::Frames(bytes, _) = topic.take(seat) {
            seat.outlet.write_all(&[bytes]).await.unwrap();
        }
        let got = tokio::time::timeout(Duration::from_secs(10), read(peer, 200 * frame.wire().len())).await;
        assert!(got.is_ok(), "follower {index}");
    }
}
