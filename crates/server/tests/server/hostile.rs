//! Things that should not be sent, and what comes back: a clear error or a close, and a server that goes on.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PATIENCE, Socket, World, create_contact, error_code, text, uuid_v7};

/// The texts of JSONTestSuite that are no JSON, by file name; empty (and said so) where the suite is not at hand.
fn not_json() -> Vec<(String, Vec<u8>)> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hostile/JSONTestSuite/test_parsing");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return Vec::new();
    };
    let is_wrong = |name: &str| name.starts_with("n_") && name.ends_with(".json");
    let files =
        entries.filter_map(Result::ok).map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    files.filter(|(name, _)| is_wrong(name)).map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn err_2_bodies_that_are_no_json_get_a_clear_error() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    for (name, bytes) in not_json() {
        let request = ann.request(Method::POST, "/api/contacts").header("content-type", "application/json").body(bytes);
        let answer = ann.send(request).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text);
        answer.expect_problem(400, "malformed");
    }
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn err_2_frames_that_are_no_json_get_an_error_and_the_connection_goes_on() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    for (count, (name, bytes)) in not_json().into_iter().enumerate() {
        let Ok(body) = String::from_utf8(bytes) else { continue };
        if body.len() > 256 * 1024 {
            continue;
        }
        socket.send_text(body).await;
        assert_eq!(error_code(&socket.receive().await), "malformed", "{name}");
        if count % 10 == 9 {
            // More than ten a minute end a connection; the next one is as good as new.
            socket = Socket::open(&ann).await;
            socket.hello().await;
        }
    }
    assert_eq!(socket.push(create_contact(&uuid_v7(), "after all that")).await["outcome"], "applied");
}

#[tokio::test]
async fn err_2_the_eleventh_malformed_frame_closes_with_4405() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    for _ in 0..11 {
        socket.send_text("nonsense").await;
        assert_eq!(error_code(&socket.receive().await), "malformed");
    }
    assert_eq!(socket.closed().await, 4405);
}

#[tokio::test]
async fn err_2_unknown_types_wrong_shapes_depth_and_binary_are_malformed_and_unknown_members_are_not() {
    let world = World::start().await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    let deep = format!("{{\"type\":\"heartbeat\",\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
    for frame in ["{\"type\":\"teleport\"}", "{\"type\":\"push\",\"mutations\":7}", "{\"type\":[]}", "{}", &deep] {
        socket.send_text(frame).await;
        let error = socket.receive().await;
        assert_eq!(error_code(&error), "malformed", "{frame}");
        assert!(!text(&error["problem"], "message").is_empty());
    }
    socket.send_message(Message::binary(vec![0, 1, 2])).await.unwrap();
    assert_eq!(error_code(&socket.receive().await), "malformed");
    socket.send(&json!({"type": "heartbeat", "mood": "fine", "nested": {"a": [1]}})).await;
    socket.expect("heartbeat_ack").await;
}

#[tokio::test]
async fn err_2_numbers_out_of_range_are_refused_and_nothing_is_applied() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    let mutation = |client_seq: &str, age_ms: &str| {
        let id = uuid_v7();
        format!(
            "{{\"type\":\"push\",\"mutations\":[{{\"mutation_id\":\"{id}\",\"client_seq\":{client_seq},\"age_ms\":{age_ms},\
             \"ops\":[{{\"op\":\"create\",\"entity\":\"contacts\",\"id\":\"{id}\",\"fields\":{{}}}}]}}]}}"
        )
    };
    for (client_seq, age_ms) in [
        ("-1", "0"),
        ("1.5", "0"),
        ("\"1\"", "0"),
        ("null", "0"),
        ("1", "-5"),
        ("1e400", "0"),
        ("18446744073709551616", "0"),
    ] {
        socket.send_text(mutation(client_seq, age_ms)).await;
        assert_eq!(error_code(&socket.receive().await), "malformed", "{client_seq} {age_ms}");
    }
    for client_seq in ["9007199254740993", "18446744073709551615", "0"] {
        socket.send_text(mutation(client_seq, "0")).await;
        let answer = socket.receive().await;
        assert!(answer["type"] == "out_of_order" || answer["type"] == "error", "{client_seq}: {answer}");
    }
    assert_eq!(ann.get("/api/contacts").await.expect(200)["items"], json!([]));
    socket.push(create_contact(&uuid_v7(), "fine")).await;
}

#[tokio::test]
async fn lim_1_a_frame_over_256_kib_closes_with_1009_and_harms_nobody_else() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut other = Socket::open(&ann).await;
    other.hello().await;
    for pieces in [1, 40] {
        let mut socket = Socket::open(&ann).await;
        socket.hello().await;
        let huge = json!({"type": "heartbeat", "x": "x".repeat(300 * 1024)}).to_string();
        if pieces == 1 {
            socket.send_text(huge).await;
        } else {
            socket.send_fragmented(&huge, pieces).await;
        }
        assert_eq!(socket.closed().await, 1009);
    }
    other.send(&json!({"type": "heartbeat"})).await;
    other.expect("heartbeat_ack").await;
}

#[tokio::test]
async fn lim_1_a_flood_of_frames_is_closed_with_4403() {
    let world = World::start_with(|config| config.sockets.frames_per_second_max = 10).await;
    let mut socket = Socket::open(&world.user("ann").await).await;
    socket.hello().await;
    for _ in 0..120 {
        if socket.send_message(Message::text("{\"type\":\"heartbeat\"}")).await.is_err() {
            break;
        }
    }
    assert_eq!(socket.closed().await, 4403);
}

#[tokio::test]
async fn lim_1_truncated_unmasked_and_garbage_bytes_end_only_their_own_connection() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let handshake = format!(
        "GET /ws/web_app/{} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {}\r\n\r\n",
        uuid_v7(),
        ann.access_token
    );
    let attacks: [&[u8]; 5] = [
        b"\x81\x05hello",                                            // unmasked
        b"\xf1\x80\x00\x00\x00\x00",                                 // reserved bits
        b"\x80\x80\x00\x00\x00\x00",                                 // a continuation of nothing
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", // a length of 2^64 - 1
        b"\x81\x85\x00\x00\x00\x00he",                               // cut off in the middle
    ];
    for attack in attacks {
        let mut stream = tokio::net::TcpStream::connect(ann.http.address).await.unwrap();
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4_096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&buffer[..read]));
        stream.write_all(attack).await.unwrap();
        stream.shutdown().await.unwrap();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut buffer)).await;
        assert!(end.is_ok(), "the connection was not ended");
    }
    Socket::open(&ann).await.hello().await;
}

#[tokio::test]
async fn api_5_slow_and_oversized_heads_are_cut_off() {
    let world = World::start_with(|config| config.http.header_timeout_ms = 200).await;
    let address = world.server.address();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, slow.read_to_end(&mut answer)).await.expect("a slow head was not cut off").unwrap();
    for head in [format!("x-big: {}\r\n", "x".repeat(100_000)), "x-many: 1\r\n".repeat(300)] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // The server may answer and close before everything is written.
        let _refused_early =
            stream.write_all(format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{head}\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no answer");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    }
    world.http().get("/health").await.expect(200);
}

#[tokio::test]
async fn val_1_texts_of_every_kind_come_back_as_they_were() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hostile/blns/blns.json");
    let Ok(file) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let strings: Vec<String> = serde_json::from_str(&file).unwrap();
    let usable = |text: &&String| !text.contains('\0') && text.chars().count() <= 255;
    let mut socket = Socket::open(&ann).await;
    socket.hello().await;
    for chunk in strings.iter().filter(usable).collect::<Vec<_>>().chunks(50) {
        let ids: Vec<_> = chunk.iter().map(|_| uuid_v7()).collect();
        let creates = chunk.iter().zip(&ids).map(|(text, id)| create_contact(id, text)).collect();
        let frame = socket.push_frame(creates);
        socket.send(&frame).await;
        let outcomes = socket.expect("outcomes").await;
        for ((outcome, text), id) in outcomes["outcomes"].as_array().unwrap().iter().zip(chunk).zip(&ids) {
            assert_eq!(outcome["outcome"], "applied", "{text:?}: {outcome}");
            let stored: Value = ann.get(&format!("/api/contacts/{id}")).await.expect(200);
            assert_eq!(stored["firstname"].as_str(), Some(text.as_str()));
        }
    }
}

#[tokio::test]
async fn api_5_many_half_sent_requests_do_not_keep_an_honest_client_waiting() {
    const SLOW: usize = 600;
    const IDLE: usize = 600;
    let world = World::start_with(|config| config.http.header_timeout_ms = 2_000).await;
    let address = world.server.address();
    let mut held = Vec::new();
    for number in 0..SLOW + IDLE {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        if number < SLOW {
            stream.write_all(b"POST /api/auth/login HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await.unwrap();
        }
        held.push(stream);
    }
    let (http, mut times) = (world.http(), Vec::new());
    for _ in 0..200 {
        let started = syncline_server::clock::instant();
        http.get("/health/live").await.expect(200);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("beside {SLOW} half-sent heads and {IDLE} silent connections: p50 {:?}, p99 {:?}", times[100], times[198]);
    let mut rest = Vec::new();
    let cut =
        tokio::time::timeout(PATIENCE, held[0].read_to_end(&mut rest)).await.expect("a slow head was not cut off");
    assert!(cut.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    http.get("/health/live").await.expect(200);
}
