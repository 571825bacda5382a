use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, connect_async};

use super::{Http, PATIENCE, User, text, uuid_v7};

/// A client's end of a socket, with just enough of a replica to push.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub client_id: String,
    device_id: String,
    next_seq: u64,
    /// Frames that [`Socket::expect`] passed over.
    passed_over: VecDeque<Value>,
}

impl Socket {
    /// Connects with the user's token in the upgrade.
    pub async fn open(user: &User) -> Self {
        Self::open_as(user, &uuid_v7()).await
    }

    pub async fn open_as(user: &User, client_id: &str) -> Self {
        let path = format!("/ws/local_install/{client_id}");
        let mut socket = Self::try_open(&user.http, &path, Some(&user.access_token)).await.unwrap();
        socket.device_id.clone_from(&user.device_id);
        socket
    }

    /// Connects over TLS with the user's token in the upgrade.
    pub async fn open_over_tls(user: &User, tls: Arc<rustls::ClientConfig>) -> Self {
        let client_id = uuid_v7();
        let url = format!("wss://{}/ws/local_install/{client_id}", user.http.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", user.access_token).parse().unwrap());
        let stream = TcpStream::connect(user.http.address).await.unwrap();
        let connector = Some(Connector::Rustls(tls));
        let connecting = client_async_tls_with_config(request, stream, None, connector);
        let (stream, _) = tokio::time::timeout(PATIENCE, connecting).await.expect("no answer").unwrap();
        Self { stream, client_id, device_id: user.device_id.clone(), next_seq: 1, passed_over: VecDeque::new() }
    }

    /// Connects without a credential.
    pub async fn open_anonymous(http: &Http) -> Self {
        Self::try_open(http, &format!("/ws/local_install/{}", uuid_v7()), None).await.unwrap()
    }

    pub async fn try_open(http: &Http, path: &str, token: Option<&str>) -> Result<Self, Error> {
        let mut request = format!("ws://{}{path}", http.address).into_client_request()?;
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (stream, _) = tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("no answer")?;
        let client_id = path.rsplit('/').next().unwrap_or("").to_owned();
        Ok(Self { stream, client_id, device_id: String::new(), next_seq: 1, passed_over: VecDeque::new() })
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_message(Message::text(text.into())).await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Sends one text message in fragments.
    pub async fn send_fragmented(&mut self, text: &str, pieces: usize) {
        let bytes = text.as_bytes();
        let chunks: Vec<_> = bytes.chunks(bytes.len().div_ceil(pieces)).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let code = if index == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(chunk.to_vec(), OpCode::Data(code), index + 1 == chunks.len());
            if self.stream.send(Message::Frame(frame)).await.is_err() {
                return;
            }
        }
    }

    /// The next frame.
    pub async fn receive(&mut self) -> Value {
        match self.next().await {
            Ok(frame) => frame,
            Err(close) => panic!("the connection was closed: {close:?}"),
        }
    }

    /// The next frame, or how the connection was closed.
    pub async fn next(&mut self) -> Result<Value, Option<CloseFrame>> {
        match self.passed_over.pop_front() {
            Some(frame) => Ok(frame),
            None => self.next_from_wire().await,
        }
    }

    async fn next_from_wire(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("nothing came in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame of that type. Others are kept for later, but an unexpected error is not passed over.
    pub async fn expect(&mut self, kind: &str) -> Value {
        if let Some(at) = self.passed_over.iter().position(|frame| frame["type"] == kind) {
            return self.passed_over.remove(at).unwrap();
        }
        loop {
            let frame = match self.next_from_wire().await {
                Ok(frame) => frame,
                Err(close) => panic!("waiting for {kind}, the connection was closed: {close:?}"),
            };
            if frame["type"] == kind {
                return frame;
            }
            assert_ne!(frame["type"], "error", "waiting for {kind}: {frame}");
            self.passed_over.push_back(frame);
        }
    }

    /// Waits for the close and returns its code; frames before it are passed over.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(Some(frame)) => return frame.code.into(),
                Err(None) => return 0,
            }
        }
    }

    /// What a `hello` of an empty replica says.
    pub fn hello_frame(&self) -> Value {
        json!({
            "type": "hello", "proto": [1, 1], "client_id": self.client_id, "device_id": self.device_id,
            "deployment_mode": "local_install", "schema": {"version": 1, "hash": ""},
            "next_client_seq": self.next_seq, "pending_count": 0, "oldest_pending_age_ms": 0, "scopes": [],
        })
    }

    /// Says hello as an empty replica and takes the whole catch-up; returns the welcome and the ops caught up with.
    pub async fn hello(&mut self) -> (Value, Vec<Value>) {
        let frame = self.hello_frame();
        self.send(&frame).await;
        let welcome = self.expect("welcome").await;
        (welcome.clone(), self.catch_up(&welcome).await)
    }

    /// Takes the catch-up that a welcome promises.
    pub async fn catch_up(&mut self, welcome: &Value) -> Vec<Value> {
        let plans = welcome["scopes"].as_array().unwrap();
        let mut ops = Vec::new();
        let mut more = plans.iter().any(|scope| scope["plan"]["how"] == "catch_up");
        while more {
            let batch = self.expect("batch").await;
            assert_eq!(batch["catch_up"], true, "{batch}");
            more = batch["more"] == true;
            ops.extend(ops_of(&batch));
        }
        ops
    }

    /// Pushes one mutation of these ops and returns its outcome.
    pub async fn push(&mut self, ops: Value) -> Value {
        let frame = self.push_frame(vec![ops]);
        self.send(&frame).await;
        self.expect("outcomes").await["outcomes"][0].clone()
    }

    /// A push frame with one mutation per element, numbered on.
    pub fn push_frame(&mut self, mutations: Vec<Value>) -> Value {
        let mutation = |ops: Value| {
            let client_seq = self.next_seq;
            self.next_seq += 1;
            json!({"mutation_id": uuid_v7(), "client_seq": client_seq, "age_ms": 0, "ops": ops})
        };
        json!({"type": "push", "mutations": mutations.into_iter().map(mutation).collect::<Vec<_>>()})
    }
}

/// The ops of a batch in order.
pub fn ops_of(batch: &Value) -> Vec<Value> {
    let changes = batch["changes"].as_array().unwrap();
    changes.iter().flat_map(|change| change["ops"].as_array().unwrap().clone()).collect()
}

/// An op that creates a contact with a first name.
pub fn create_contact(id: &str, firstname: &str) -> Value {
    json!([{"op": "create", "entity": "contacts", "id": id, "fields": {"firstname": firstname}}])
}

/// Whether a batch or list of ops mentions an id.
pub fn mentions(value: &Value, id: &str) -> bool {
    assert!(!id.is_empty());
    value.to_string().contains(id)
}

/// The code of an error frame.
pub fn error_code(frame: &Value) -> &str {
    assert_eq!(frame["type"], "error", "{frame}");
    text(&frame["problem"], "code")
}
