//! Peers that send what no client sends, and a lot of it.

use tokio::net::TcpStream;

use crate::honest::Honest;
use crate::raw::{flood, frame, is_ended, open};
use crate::stage::Server;

/// Hostile sockets of one kind at a time.
const SOCKETS: usize = 20;
/// Bytes that one of them sends at most; a server that takes all of it has no limit.
const FLOOD_BYTES_MAX: usize = 64 << 20;

/// A kind of flood: what begins it, and what is repeated.
struct Flood {
    name: &'static str,
    first: Vec<u8>,
    again: Vec<u8>,
}

fn floods() -> Vec<Flood> {
    let flood = |name, first: Vec<u8>, again: Vec<u8>| Flood { name, first, again };
    vec![
        flood("pings", Vec::new(), frame(0x89, &[0; 125]).repeat(100)),
        flood("pongs", Vec::new(), frame(0x8A, &[0; 125]).repeat(100)),
        flood("zero-length fragments", frame(0x01, b""), frame(0x00, b"").repeat(1_000)),
        flood("a message of endless fragments", frame(0x01, b"["), frame(0x00, &[b' '; 1_000]).repeat(100)),
        flood("a frame of endless length", vec![0x81, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], vec![b' '; 64 << 10]),
        flood("a frame over the limit", vec![0x81, 0xFF, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0], vec![b' '; 64 << 10]),
        flood("unmasked frames", Vec::new(), b"\x81\x05hello".repeat(1_000)),
        flood("reserved bits", Vec::new(), frame(0xF1, b"hello").repeat(1_000)),
        flood("reserved opcodes", Vec::new(), frame(0x83, b"hello").repeat(1_000)),
        flood("lengths that are not the shortest", Vec::new(), b"\x81\xFE\x00\x05\x00\x00\x00\x00hello".repeat(1_000)),
        flood("fragmented control frames", Vec::new(), frame(0x09, b"hello").repeat(1_000)),
        flood("control frames that are too long", Vec::new(), frame(0x89, &[0; 200]).repeat(100)),
        flood("messages within messages", frame(0x01, b"["), frame(0x01, b"[").repeat(1_000)),
        flood("frames that are no JSON", Vec::new(), frame(0x81, b"nonsense").repeat(1_000)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lim_1_floods_of_hostile_frames_end_only_the_connections_they_come_by() {
    let server = Server::start("");
    let honest = Honest::new(&server).await;
    for kind in floods() {
        for token in [None, Some(honest.token.as_str())] {
            let who = if token.is_some() { "authenticated" } else { "anonymous" };
            let what = format!("{} ({who})", kind.name);
            let attack = async {
                let mut tasks = tokio::task::JoinSet::new();
                for _ in 0..SOCKETS {
                    let (status, stream) = open(server.address, token).await;
                    assert_eq!(status, 101, "{what}");
                    tasks.spawn(attack(stream, kind.first.clone(), kind.again.clone()));
                }
                tasks.join_all().await
            };
            let ended = honest.works_beside(&what, 2, attack).await;
            assert!(ended.iter().all(|is_ended| *is_ended), "{what}: the server took it all");
            server.check_memory(&what, SOCKETS);
        }
    }
    server.rids_itself_of_sockets(&honest.token, 1).await;
}

/// Whether the server ended the connection before it had taken the most it may be sent.
async fn attack(mut stream: TcpStream, first: Vec<u8>, again: Vec<u8>) -> bool {
    let mut sent = flood(&mut stream, &first, first.len()).await;
    sent += flood(&mut stream, &again, FLOOD_BYTES_MAX).await;
    sent < FLOOD_BYTES_MAX && is_ended(&mut stream).await
}
