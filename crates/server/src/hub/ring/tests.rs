//! A ring with members on real sockets.

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::hub::outlet::{Outlet, Wire};

fn audience(frames_max: usize) -> Audience {
    Audience::new(Grants::All, Packing::Plain, RingLimits { frames_max, bytes_max: 1_000 })
}

fn frame(from: Seq, to: Seq) -> Frame {
    Frame { from, to, bytes: Some(Encoded::text(&format!("{from}-{to}"))) }
}

/// A member with a real socket, and its peer.
async fn member(audience: &Audience) -> (Arc<Seat>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    tcp.writable().await.unwrap();
    let seat = Arc::new(Seat::new(Arc::new(Outlet::new(Wire::Tcp(tcp), Packing::Plain))));
    audience.join(&seat);
    (seat, peer)
}

fn take(audience: &Audience, seat: &Seat) -> Vec<String> {
    take_until(audience, seat, Seq::MAX)
}

fn take_until(audience: &Audience, seat: &Seat, until: Seq) -> Vec<String> {
    seat.begin();
    match audience.take(seat, until) {
        Taken::Frames(wire, frames) => {
            let texts = texts(&wire);
            assert_eq!(texts.len(), frames);
            texts
        }
        Taken::Nothing => Vec::new(),
        Taken::Behind => vec!["behind".to_owned()],
    }
}

/// Short text frames as they lie in a stream of bytes.
fn texts(mut wire: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, len, rest @ ..] = wire {
        let (payload, next) = rest.split_at(usize::from(*len));
        texts.push(serde_json::from_slice(payload).unwrap());
        wire = next;
    }
    texts
}

async fn received(peer: &mut TcpStream, frames: usize) -> Vec<String> {
    let mut wire = Vec::new();
    while texts_or_none(&wire).is_none_or(|texts| texts.len() < frames) {
        assert!(peer.read_buf(&mut wire).await.unwrap() > 0);
    }
    texts(&wire)
}

fn texts_or_none(wire: &[u8]) -> Option<Vec<String>> {
    let mut at = 0;
    while at < wire.len() {
        at += 2 + usize::from(*wire.get(at + 1)?);
    }
    (at == wire.len()).then(|| texts(wire))
}

#[tokio::test]
async fn hub_5_members_get_every_frame_once_and_the_last_one_frees_it() {
    let audience = audience(10);
    let ((a, mut peer_a), (b, _peer_b)) = (member(&audience).await, member(&audience).await);
    assert!(a.park(|| false));
    audience.push(&frame(0, 1));
    audience.push(&frame(1, 2));
    assert_eq!(audience.deliver(), 2, "only the parked one is served");
    assert_eq!(audience.deliver(), 0);
    assert_eq!(received(&mut peer_a, 2).await, ["0-1", "1-2"]);
    assert_eq!(audience.read().log.len(), 2);
    assert!(!b.park(|| false), "something came while it was busy");
    assert_eq!(take(&audience, &b), ["0-1", "1-2"]);
    assert!(b.park(|| false));
    assert!(!audience.release());
    assert_eq!((a.cursor(), b.cursor()), (2, 2));
}

#[tokio::test]
async fn hub_5_a_peer_that_takes_nothing_is_left_to_its_session_and_delays_nobody() {
    let audience = Audience::new(Grants::All, Packing::Plain, RingLimits { frames_max: 100_000, bytes_max: 100 << 20 });
    let ((slow, mut peer), (quick, mut other)) = (member(&audience).await, member(&audience).await);
    assert!(slow.park(|| false) && quick.park(|| false));
    let reading = tokio::spawn(async move {
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match other.read(&mut buffer).await.unwrap() {
                0 => return bytes,
                read => bytes += read,
            }
        }
    });
    let text = "x".repeat(50_000);
    let mut seq = 0;
    let mut wire = 0;
    let is_stuck = |seat: &Seat| seat.lock().position < audience.read().log.end();
    while !is_stuck(&slow) {
        let bytes = Encoded::text(&text);
        wire += bytes.wire().len();
        audience.push(&Frame { from: seq, to: seq + 1, bytes: Some(bytes) });
        seq += 1;
        audience.deliver();
        if !quick.park(|| false) || is_stuck(&quick) {
            quick.outlet.write_all(&[]).await.unwrap();
            while let Taken::Frames(bytes, _) = audience.take(&quick, Seq::MAX) {
                quick.outlet.write_all(&[bytes]).await.unwrap();
            }
            quick.park(|| false);
        }
    }
    slow.woken().await;
    assert_eq!(quick.cursor(), seq);
    assert!(slow.cursor() < seq);
    // Its session goes on where the hub stopped, and the peer sees every byte once.
    let sent = tokio::spawn(async move {
        slow.outlet.write_all(&[]).await.unwrap();
        let mut last = slow.cursor();
        while let Taken::Frames(bytes, _) = audience.take(&slow, Seq::MAX) {
            assert!(slow.cursor() > last);
            last = slow.cursor();
            slow.outlet.write_all(&[bytes]).await.unwrap();
        }
        assert!(audience.leave(&slow) || audience.leave(&quick));
    });
    let mut all = vec![0; wire];
    peer.read_exact(&mut all).await.unwrap();
    let one = Encoded::text(&text);
    assert!(all.chunks(one.wire().len()).all(|frame| frame == &one.wire()[..]));
    sent.await.unwrap();
    assert_eq!(reading.await.unwrap(), wire);
}

#[tokio::test]
async fn hub_5_who_falls_off_the_ring_is_behind_and_nobody_else() {
    let audience = audience(2);
    let ((slow, _), (quick, _peer)) = (member(&audience).await, member(&audience).await);
    for seq in 0..3 {
        audience.push(&frame(seq, seq + 1));
        take(&audience, &quick);
    }
    assert_eq!(quick.cursor(), 3);
    assert_eq!(take(&audience, &slow), ["behind"]);
    audience.resume(&slow);
    slow.set_cursor(2);
    assert_eq!(take(&audience, &slow), ["2-3"]);
    for seq in 3..6 {
        audience.push(&frame(seq, seq + 1));
    }
    audience.resume(&slow);
    audience.write().log.limit_frames(0);
    assert_eq!(audience.read().log.len(), 1, "the newest stays");
    assert_eq!(take(&audience, &slow), ["behind"]);
    audience.write().log.limit_frames(2);
    audience.resume(&slow);
    slow.set_cursor(6);
    audience.push(&frame(6, 7));
    assert_eq!(take(&audience, &slow), ["6-7"]);
}

#[tokio::test]
async fn hub_5_a_parked_member_that_is_behind_is_handed_back() {
    let audience = audience(10);
    let (seat, _peer) = member(&audience).await;
    assert!(seat.park(|| false));
    audience.push(&Frame { from: 0, to: 2, bytes: None });
    audience.deliver();
    seat.woken().await;
    assert_eq!(take(&audience, &seat), ["behind"]);
}

#[tokio::test]
async fn bat_1_frames_already_covered_are_skipped_and_a_straddling_one_means_behind() {
    let audience = audience(10);
    let (seat, mut peer) = member(&audience).await;
    seat.set_cursor(5);
    assert!(seat.park(|| false));
    audience.push(&frame(3, 5));
    audience.push(&frame(5, 6));
    assert_eq!(audience.deliver(), 1);
    assert_eq!(received(&mut peer, 1).await, ["5-6"]);
    audience.push(&frame(6, 9));
    seat.set_cursor(8);
    assert_eq!(take(&audience, &seat), ["behind"]);
}

#[tokio::test]
async fn bat_6_a_stretch_no_live_batch_can_say_sends_everybody_to_the_store() {
    let audience = audience(10);
    let (seat, mut peer) = member(&audience).await;
    assert!(seat.park(|| false));
    audience.push(&frame(0, 1));
    audience.push(&Frame { from: 1, to: 2, bytes: None });
    audience.push(&frame(2, 3));
    assert_eq!(audience.deliver(), 1);
    assert_eq!(received(&mut peer, 1).await, ["0-1"]);
    seat.woken().await;
    assert_eq!(take(&audience, &seat), ["behind"]);
    audience.resume(&seat);
    seat.set_cursor(2);
    assert_eq!(take(&audience, &seat), ["2-3"]);
}

#[tokio::test]
async fn grt_1_frames_beyond_a_change_of_grants_are_held_back() {
    let audience = audience(10);
    let (seat, _peer) = member(&audience).await;
    audience.push(&frame(0, 1));
    audience.push(&frame(1, 2));
    assert_eq!(take_until(&audience, &seat, 1), ["0-1"]);
    assert_eq!(seat.cursor(), 1);
}

#[tokio::test]
async fn grt_1_who_is_signalled_is_not_written_to_and_keeps_its_cursor_when_it_joins_again() {
    let audience = audience(10);
    let (seat, _peer) = member(&audience).await;
    seat.set_cursor(3);
    assert!(seat.park(|| true), "nothing was missed");
    audience.push(&frame(3, 4));
    assert_eq!(audience.deliver(), 0, "the signal is looked at first");
    audience.leave(&seat);
    audience.join(&seat);
    assert_eq!(seat.cursor(), 3);
}

#[tokio::test]
async fn bat_1_an_untouched_stretch_gets_a_frame_only_when_a_member_needs_it() {
    let audience = audience(10);
    assert_eq!(audience.needs(0, 1, true), None, "nobody is here");
    let (_seat, _peer) = member(&audience).await;
    assert_eq!(audience.needs(0, 1, false), None);
    assert_eq!(audience.needs(0, 1, true), Some(0));
    audience.push(&frame(0, 1));
    assert_eq!(audience.want(4, Some(3)), None, "not published yet");
    assert_eq!(audience.needs(3, 4, false), Some(1), "wanted up to 4");
    audience.push(&frame(1, 4));
    assert_eq!(audience.want(6, Some(8)), Some((4, 8)), "published: cover it now");
    audience.push(&frame(4, 8));
    assert_eq!(audience.want(7, Some(8)), None, "one frame serves all who want something of it");
    assert_eq!(audience.needs(9, 8 + QUIET_SEQS_MAX, false), Some(8), "cursors must not grow old");
}

#[tokio::test]
async fn hub_5_a_leaving_member_frees_what_only_it_had_not_taken() {
    let audience = audience(10);
    let ((slow, _), (quick, _peer)) = (member(&audience).await, member(&audience).await);
    audience.push(&frame(0, 1));
    take(&audience, &quick);
    assert_eq!(audience.read().log.len(), 1);
    assert!(audience.release(), "one has not taken it");
    assert!(!audience.leave(&slow));
    assert!(!audience.release());
    assert!(audience.leave(&quick));
}
