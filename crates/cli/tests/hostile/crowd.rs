//! Ten thousand at once.

use std::time::Duration;

use crate::honest::Honest;
use crate::raw::{connect, open};
use crate::stage::{Server, room_for};

const CROWD: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_4_ten_thousand_sockets_that_never_authenticate_shut_nobody_out() {
    let server = Server::start("[sockets]\nunauthenticated_max = 1000\nauth_deadline_ms = 60000\n");
    let honest = Honest::new(&server).await;
    let crowd = room_for(CROWD);
    let attack = async {
        let (mut silent, mut refused) = (Vec::new(), 0);
        for _ in 0..crowd {
            match open(server.address, None).await {
                (101, stream) => silent.push(stream),
                (503, _) => refused += 1,
                (status, _) => panic!("an upgrade was answered {status}"),
            }
        }
        (silent, refused)
    };
    let (silent, refused) = honest.works_beside("sockets without auth", 20, attack).await;
    println!("{} of {crowd} were let in, {refused} refused", silent.len());
    // Those that had to make room may be saying goodbye for a second.
    let mut open = server.sockets(&honest.token).await;
    for _ in 0..50 {
        if open <= 1_010 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        open = server.sockets(&honest.token).await;
    }
    assert!(open <= 1_010, "{open} sockets without auth are open at a time");
    server.check_memory("sockets without auth", crowd);
    honest.works_beside("sockets without auth, all there", 20, async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_4_ten_thousand_connections_without_a_word_shut_nobody_out() {
    let server = Server::start("[http]\nheader_timeout_ms = 20000\n");
    let honest = Honest::new(&server).await;
    let crowd = room_for(CROWD);
    let attack = async {
        let mut silent = Vec::new();
        for _ in 0..crowd {
            silent.push(connect(server.address).await);
        }
        silent
    };
    let silent = honest.works_beside("connections without a word", 20, attack).await;
    server.check_memory("connections without a word", silent.len());
    honest.works_beside("connections without a word, all there", 20, async {}).await;
}
