//! permessage-deflate as clients of another library see it (requirement HUB-10): what is said is what is heard, and bytes
//! that swell are cut off. The SDK's tests say the same with npm's `ws`, browsers' with theirs.

use std::io::{IoSlice, Result as IoResult};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use flate2::{Compress, Compression, FlushCompress};
use futures_util::SinkExt as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use yawc::{Frame, OpCode, Options, WebSocket};

use crate::support::{PATIENCE, Socket, User, World, create_contact, mentions, uuid_v7};

/// A connection that counts what it reads.
struct Counted {
    tcp: TcpStream,
    bytes_read: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(context, buffer);
        self.bytes_read.fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// A client's end that compresses what it says and hears.
struct Deflating {
    socket: WebSocket<Counted>,
    bytes_read: Arc<AtomicUsize>,
    client_id: String,
    next_seq: u64,
}

impl Deflating {
    async fn open(user: &User) -> Self {
        let options = Options::default().with_balanced_compression().client_no_context_takeover();
        Self::open_with(user, options).await
    }

    async fn open_with(user: &User, options: Options) -> Self {
        let (client_id, bytes_read) = (uuid_v7(), Arc::new(AtomicUsize::new(0)));
        let url = format!("ws://{}/ws/web_app/{client_id}", user.http.address);
        let tcp = TcpStream::connect(user.http.address).await.unwrap();
        let counted = Counted { tcp, bytes_read: Arc::clone(&bytes_read) };
        let socket = WebSocket::handshake(url.parse().unwrap(), counted, options).await.unwrap();
        let mut opened = Self { socket, bytes_read, client_id, next_seq: 1 };
        opened.send(&json!({"type": "auth", "token": user.access_token})).await;
        let hello = json!({
            "type": "hello", "proto": [1, 1], "client_id": opened.client_id, "device_id": user.device_id,
            "deployment_mode": "web_app", "schema": {"version": 1, "hash": ""}, "next_client_seq": 1, "pending_count": 0,
            "oldest_pending_age_ms": 0, "scopes": [],
        });
        opened.send(&hello).await;
        opened.expect("welcome").await;
        opened
    }

    async fn send(&mut self, frame: &Value) {
        self.socket.send(Frame::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the code of a close.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next_frame()).await.expect("nothing came in time");
            let Ok(frame) = next else { return Err(0) };
            match frame.opcode() {
                OpCode::Text => return Ok(serde_json::from_slice(frame.payload()).unwrap()),
                OpCode::Close => return Err(frame.close_code().map_or(0, Into::into)),
                OpCode::Binary | OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
            }
        }
    }

    async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap();
            if frame["type"] == kind {
                return frame;
            }
            assert_ne!(frame["type"], "error", "{frame}");
        }
    }

    /// The next batch that mentions an id.
    async fn batch_with(&mut self, id: &str) -> Value {
        loop {
            let batch = self.expect("batch").await;
            if mentions(&batch, id) {
                return batch;
            }
        }
    }

    async fn push(&mut self, ops: Value) {
        let client_seq = self.next_seq;
        self.next_seq += 1;
        let mutation = json!({"mutation_id": uuid_v7(), "client_seq": client_seq, "age_ms": 0, "ops": ops});
        self.send(&json!({"type": "push", "mutations": [mutation]})).await;
    }

    fn read(&self) -> usize {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

/// Texts of every size, easy and hard to compress.
fn texts(count: usize) -> Vec<String> {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut text = |number: usize| {
        let size = rng.random_range(0..=[20, 300, 4_000, 19_000][number % 4]);
        let letters = if number.is_multiple_of(3) { 'a'..='b' } else { 'a'..='\u{ff}' };
        (0..size).map(|_| rng.random_range(letters.clone())).filter(|letter| letter.is_alphanumeric()).collect()
    };
    (0..count).map(&mut text).collect()
}

#[tokio::test]
async fn ses_10_hub_10_whoever_compresses_and_whoever_does_not_say_and_hear_the_same() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let (mut author, mut reader, mut plain) =
        (Deflating::open(&ann).await, Deflating::open(&ann).await, Socket::open(&ann).await);
    plain.hello().await;
    for (number, notes) in texts(200).into_iter().enumerate() {
        let id = uuid_v7();
        let ops =
            json!([{"op": "create", "entity": "contacts", "id": id, "fields": {"firstname": "x", "notes": notes}}]);
        if number % 5 == 0 {
            plain.push(ops).await;
        } else {
            author.push(ops).await;
        }
        let heard = reader.batch_with(&id).await;
        let mut same = plain.expect("batch").await;
        while !mentions(&same, &id) {
            same = plain.expect("batch").await;
        }
        assert_eq!(heard["changes"], same["changes"], "text {number}");
        let fields = &heard["changes"][0]["ops"][0]["fields"];
        // An empty text is kept as none.
        assert_eq!(fields["notes"].as_str().unwrap_or_default(), notes, "text {number}");
    }
}

#[tokio::test]
async fn hub_10_large_frames_cost_a_part_of_their_size_and_messages_in_fragments_are_whole() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut reader = Deflating::open(&ann).await;
    let pieces = Options::default().with_balanced_compression().client_no_context_takeover().with_max_fragment_size(50);
    let mut author = Deflating::open_with(&ann, pieces).await;
    let before = reader.read();
    let (id, notes) = (uuid_v7(), "The customer asked for an offer by Friday. ".repeat(400));
    author.push(json!([{"op": "create", "entity": "contacts", "id": id, "fields": {"notes": notes}}])).await;
    let heard = reader.batch_with(&id).await;
    assert!(heard.to_string().len() > notes.len());
    let cost = reader.read() - before;
    assert!(cost < notes.len() / 20, "{cost} bytes for {}", notes.len());
    // A catch-up is compressed too.
    let before = reader.read();
    let late = Deflating::open(&ann).await;
    assert_eq!(reader.read(), before);
    assert!(late.read() < notes.len() / 2, "{}", late.read());
}

#[tokio::test]
async fn hub_10_topics_reach_followers_of_either_kind() {
    let world = World::start().await;
    let (ann, bob) = (world.user("ann").await, world.user("bob").await);
    let (mut deflating, mut plain, mut sender) =
        (Deflating::open(&ann).await, Socket::open(&bob).await, Socket::open(&bob).await);
    let sub = json!({"type": "sub", "topic": "deals"});
    deflating.send(&sub).await;
    deflating.expect("subscribed").await;
    plain.send(&sub).await;
    plain.expect("subscribed").await;
    for size in [10, 500] {
        let payload = json!({"text": "won ".repeat(size)});
        let id = uuid_v7();
        let message =
            json!({"type": "msg", "id": id, "message_type": "signal", "to": {"topic": "deals"}, "payload": payload});
        sender.send(&message).await;
        let (one, other) = (deflating.expect("msg").await, plain.expect("msg").await);
        assert_eq!((&one["payload"], &other["payload"]), (&payload, &payload));
    }
}

/// `count` zeros as one compressed message of a client, masked with zeros, which leaves it as it is.
fn bomb(count: usize) -> Vec<u8> {
    let mut packer = Compress::new(Compression::best(), false);
    let (zeros, mut payload) = (vec![0; 1 << 20], Vec::with_capacity(count / 500));
    for _ in 0..count >> 20 {
        packer.compress_vec(&zeros, &mut payload, FlushCompress::None).unwrap();
    }
    packer.compress_vec(&[], &mut payload, FlushCompress::Sync).unwrap();
    payload.truncate(payload.len() - 4);
    let mut frame = vec![0xc1, 0x80 | 127];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Largest resident memory so far; KiB.
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A socket after the handshake, on which anything may be written.
async fn raw(user: &User) -> TcpStream {
    let mut tcp = TcpStream::connect(user.http.address).await.unwrap();
    let request = format!(
        "GET /ws/web_app/{} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
         Authorization: Bearer {}\r\n\r\n",
        uuid_v7(),
        user.http.address,
        user.access_token
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let agreed = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert!(head.contains(agreed), "{head}");
    tcp
}

/// The code of the close frame that comes, if one does before the end.
async fn close_code(tcp: &mut TcpStream) -> Option<u16> {
    let mut all = Vec::new();
    drop(tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut all)).await.expect("not closed in time"));
    let at = all.windows(2).position(|head| head[0] == 0x88 && head[1] >= 2)?;
    Some(u16::from_be_bytes([*all.get(at + 2)?, *all.get(at + 3)?]))
}

#[tokio::test]
async fn lim_1_a_message_that_swells_is_cut_off_before_it_takes_memory() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut other = Socket::open(&ann).await;
    other.hello().await;
    // Small enough as it comes, and beyond any frame once it is whole.
    let bomb = bomb(200 << 20);
    assert!(bomb.len() < 256 * 1024, "{}", bomb.len());
    let before = peak_kib();
    for _ in 0..3 {
        let mut tcp = raw(&ann).await;
        tcp.write_all(&bomb).await.unwrap();
        assert_eq!(close_code(&mut tcp).await, Some(1009));
    }
    let grown = peak_kib() - before;
    assert!(grown < 20 * 1024, "{grown} KiB more for messages of 200 MiB");
    assert_eq!(other.push(create_contact(&uuid_v7(), "goes on")).await["outcome"], "applied");
}

#[tokio::test]
async fn err_2_what_cannot_be_inflated_or_breaks_the_framing_ends_its_connection_alone() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let mut other = Socket::open(&ann).await;
    other.hello().await;
    let frames: [&[u8]; 5] = [
        // No deflate.
        &[0xc1, 0x84, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        // Not masked.
        &[0x81, 0x02, b'{', b'}'],
        // A reserved bit.
        &[0xa1, 0x82, 0, 0, 0, 0, b'{', b'}'],
        // A continuation of nothing.
        &[0x80, 0x82, 0, 0, 0, 0, b'{', b'}'],
        // No UTF-8.
        &[0x81, 0x81, 0, 0, 0, 0, 0xff],
    ];
    for frame in frames {
        let mut tcp = raw(&ann).await;
        tcp.write_all(frame).await.unwrap();
        close_code(&mut tcp).await;
    }
    assert_eq!(other.push(create_contact(&uuid_v7(), "goes on")).await["outcome"], "applied");
}

#[tokio::test]
async fn lim_1_a_frame_over_256_kib_closes_a_compressing_client_with_1009() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    for size in [300 * 1024, 3 << 20] {
        let mut socket = Deflating::open(&ann).await;
        socket.send(&json!({"type": "heartbeat", "x": "x".repeat(size)})).await;
        let closed = loop {
            match socket.next().await {
                Ok(frame) => assert_ne!(frame["type"], "heartbeat_ack", "{size}"),
                Err(code) => break code,
            }
        };
        assert_eq!(closed, 1009, "{size}");
    }
    let mut socket = Deflating::open(&ann).await;
    socket.send(&json!({"type": "heartbeat", "x": "x".repeat(250 * 1024)})).await;
    socket.expect("heartbeat_ack").await;
}
