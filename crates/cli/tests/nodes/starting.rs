//! Nodes that start: two at the same moment on an empty database, and one with a database URL that cannot be right (STO-1,
//! OPS-4).

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::net::TcpListener as AsyncListener;
use tokio::time::Instant;

use crate::support::crew::Crew;
use crate::support::node::{Node, syncline};
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::{Deployment, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sto_1_two_nodes_start_at_once_on_an_empty_database() {
    let mut deployment = Deployment::prepare(2, true);
    deployment.nodes.iter_mut().for_each(Node::begin);
    for node in &mut deployment.nodes {
        node.greeted().await;
    }
    deployment.all_ready().await;
    let people = deployment.postgres.query("SELECT count(*) FROM users");
    let leads = deployment.postgres.query("SELECT count(*) FROM leads");
    assert_eq!((people.as_str(), leads.as_str()), ("4", "200"), "the demo is there once");
    let crew = Crew::start(&deployment).await;
    crew.settle(&deployment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ops_4_a_database_url_that_cannot_be_right_is_one_clear_sentence() {
    let postgres = Postgres::start();
    let port = postgres.port;
    for sql in [
        "CREATE DATABASE standby",
        "ALTER DATABASE standby SET default_transaction_read_only = on",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        &format!("CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'"),
    ] {
        postgres.query(sql);
    }
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let stranger = AsyncListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let strange = stranger.local_addr().unwrap().port();
    let speaking = tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            let words = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, words).await.ok();
        }
    });
    let cases = [
        ("a wrong password", format!("postgres://postgres:not-{PASSWORD}@127.0.0.1:{port}/postgres"), "password"),
        ("a port nobody listens at", format!("postgres://postgres:{PASSWORD}@127.0.0.1:{closed}/postgres"), "reached"),
        ("a database that is not there", format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/nowhere"), "exist"),
        ("one that is read-only", format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/standby"), "read-only"),
        ("another encoding", format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/latin"), "UTF8"),
        ("missing rights", format!("postgres://guest:{PASSWORD}@127.0.0.1:{port}/postgres"), "GRANT CREATE"),
        ("no PostgreSQL", format!("postgres://postgres:{PASSWORD}@127.0.0.1:{strange}/postgres"), ""),
        (
            "a host that is not there",
            format!("postgres://postgres:{PASSWORD}@nowhere.invalid/postgres"),
            "nowhere.invalid",
        ),
        ("no URL", format!("postgres//postgres:{PASSWORD}@127.0.0.1"), ""),
        ("another kind of URL", format!("mysql://root:{PASSWORD}@127.0.0.1/crm"), ""),
        ("a port that is no number", format!("postgres://postgres:{PASSWORD}@127.0.0.1:many/postgres"), ""),
    ];
    let attempt = |(what, url, says)| (what, says, tokio::spawn(serve(url)));
    for (what, says, attempt) in cases.map(attempt) {
        let (output, took) = attempt.await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        println!("{what}, after {took:.1?}: {error}");
        assert!(took < SAID, "{what}: said after {took:?}");
        let all = format!("{error}{}", String::from_utf8_lossy(&output.stdout));
        assert!(!output.status.success(), "{what}: {}", output.status);
        assert!(!all.contains(PASSWORD), "{what}: the password is never repeated");
        assert!(!all.contains("stack backtrace") && !all.contains("panicked"), "{what}: no backtrace");
        let sentences: Vec<&str> = error.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(sentences.len(), 1, "{what}: one sentence");
        assert!(sentences[0].len() > 30 && sentences[0].contains(says), "{what}: says what is wrong");
        assert_eq!(error.lines().count(), 1, "{what}: and nothing else");
    }
    speaking.abort();
}

/// Longest until it is said, on a machine that does other things too: a server that does not answer is waited for 5 s.
const SAID: Duration = Duration::from_secs(15);

/// Runs a node that must end by itself, and how long that took: one that cannot reach its database tries for a while.
async fn serve(url: String) -> (Output, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = syncline(&vec![("DATABASE_URL", url), ("RUST_BACKTRACE", "1".to_owned())]);
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
    // Whatever it takes for the name of a file lands here.
    command.current_dir(folder.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One that serves has taken the URL for something else, and ends without success here.
    let took = started.elapsed();
    child.kill().ok();
    (child.wait_with_output().unwrap(), took)
}
