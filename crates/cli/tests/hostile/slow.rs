//! Peers that take their time, and peers that are not there any more.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::honest::Honest;
use crate::proxy::{Mode, Proxy};
use crate::raw::{connect, frame, is_ended, open};
use crate::stage::{SOON, Server, room_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_5_five_thousand_slow_heads_and_bodies_keep_nobody_waiting_and_are_cut_off() {
    const HEAD: &str = "POST /api/auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let server = Server::start("[http]\nheader_timeout_ms = 3000\nbody_timeout_ms = 3000\n");
    let honest = Honest::new(&server).await;
    let sockets = room_for(5_000);
    let attack = async {
        let mut slow = Vec::new();
        for number in 0..sockets {
            let mut stream = connect(server.address).await;
            let begun = match number % 2 {
                0 => format!("{HEAD}x-slow: "),
                _ => format!("{HEAD}content-length: 1000\r\n\r\n{{\"email\":\""),
            };
            drop(stream.write_all(begun.as_bytes()).await);
            slow.push(stream);
        }
        // A byte now and then, as Slowloris does.
        for _ in 0..3 {
            for stream in &mut slow {
                drop(stream.try_write(b"x"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        slow
    };
    let mut slow = honest.works_beside("slow heads and bodies", 20, attack).await;
    server.check_memory("slow heads and bodies", sockets);
    for stream in slow.iter_mut().step_by(501) {
        assert!(is_ended(stream).await, "a slow request was not cut off");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_3_sockets_whose_peers_have_vanished_are_cleaned_up() {
    let server =
        Server::start("[sockets]\nheartbeat_ms = 1000\nconnection_timeout_ms = 3000\nauth_deadline_ms = 60000\n");
    let honest = Honest::new(&server).await;
    let proxy = Proxy::start(vec![server.address.port()]).await;
    let way = SocketAddr::from((Ipv4Addr::LOCALHOST, proxy.port));
    let attack = async {
        let mut vanished = Vec::new();
        for number in 0..300 {
            let token = (number % 2 == 0).then_some(honest.token.as_str());
            let (status, mut stream) = open(way, token).await;
            assert_eq!(status, 101);
            // Half a frame, the rest of which never comes.
            stream.write_all(&frame(0x81, br#"{"type":"heartbeat"}"#)[..10]).await.unwrap();
            vanished.push(stream);
        }
        // No close and no reset, as when a network is gone.
        proxy.set(Mode::Silent);
        vanished
    };
    let vanished = honest.works_beside("vanished peers", 5, attack).await;
    server.rids_itself_of_sockets(&honest.token, 1).await;
    server.check_memory("vanished peers", vanished.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_5_clients_that_never_read_are_cut_off_and_delay_nobody() {
    let config =
        "[http]\nstall_timeout_ms = 3000\n[sockets]\nwrite_timeout_ms = 1000\nframes_per_second_max = 100000\n";
    let server = Server::start(config);
    let honest = Honest::new(&server).await;
    let heartbeat = frame(0x81, br#"{"type":"heartbeat"}"#).repeat(200);
    let attack = async {
        let mut deaf = Vec::new();
        for _ in 0..50 {
            let (status, stream) = open(server.address, Some(&honest.token)).await;
            assert_eq!(status, 101);
            deaf.push(stream);
        }
        // Each asks for answers until the server waits for it to take them, and then no longer.
        let mut asking = tokio::task::JoinSet::new();
        for stream in deaf {
            asking.spawn(asks_until_cut(stream, heartbeat.clone()));
        }
        asking.join_all().await
    };
    let cut = honest.works_beside("peers that never read", 10, attack).await;
    assert!(cut.iter().all(|is_cut| *is_cut), "peers that never read were not cut off");
    server.check_memory("peers that never read", cut.len());
    server.rids_itself_of_sockets(&honest.token, 1).await;
}

/// Sends without reading until the server has closed the connection.
async fn asks_until_cut(mut stream: TcpStream, bytes: Vec<u8>) -> bool {
    let asking = async { while stream.write_all(&bytes).await.is_ok() {} };
    tokio::time::timeout(SOON, asking).await.is_ok()
}
