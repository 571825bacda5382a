//! A bare client: signs in, greets, pushes and listens, and keeps nothing.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use syncline_core::Seq;
use syncline_core::change::{Mutation, OutcomeKind};
use syncline_core::digest::Digest;
use syncline_core::id::{ClientId, DeviceId};
use syncline_core::principal::DeploymentMode;
use syncline_core::protocol::limits::PUSH_WINDOW;
use syncline_core::protocol::{ClientFrame, HeldScope, Hello, SchemaRef, ServerFrame, Welcome};
use syncline_server::demo;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::clock;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Claims of holding what one does not hold.
trait Claim {
    fn claim(&mut self, welcome: &Welcome, seq: Seq);
}

impl Claim for Hello {
    fn claim(&mut self, welcome: &Welcome, seq: Seq) {
        self.epoch = Some(welcome.epoch);
        self.backend_id = Some(welcome.backend_id);
        // A digest that is not the server's, so that an older seq is caught up instead of resumed.
        let digest = Digest { count: 1, sum: 1 };
        self.scopes = welcome.scopes.iter().map(|scope| HeldScope { id: scope.id.clone(), seq, digest }).collect();
    }
}

pub struct Wire {
    socket: Socket,
}

/// One device's way in, for as many databases as one likes.
pub struct Pass {
    url: String,
    token: String,
    device_id: String,
}

impl Pass {
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Signs somebody with the demo's password in on a new device.
    pub async fn sign_in(url: &str, email: &str) -> anyhow::Result<Self> {
        let device_id = ClientId::v7(clock::wall_ms(), rand::random()).to_string();
        let body = json!({
            "email": email, "password": demo::PASSWORD,
            "device": {"device_id": device_id, "name": "bench", "deployment_mode": "local_install"},
        });
        let answer = reqwest::Client::new().post(format!("{url}/api/auth/login")).json(&body).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let token = answer["access_token"].as_str().context("an access token")?.to_owned();
        Ok(Self { url: url.to_owned(), token, device_id })
    }

    pub fn device_id(&self) -> anyhow::Result<DeviceId> {
        Ok(self.device_id.parse()?)
    }
}

impl Wire {
    /// Signs the demo's owner in on a new device and follows live from the present head, without what is there already.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        Self::connect_as(url, demo::USERS[0].email).await
    }

    /// As [`Wire::connect`], for somebody else with the demo's password.
    pub async fn connect_as(url: &str, email: &str) -> anyhow::Result<Self> {
        Self::follow(&Pass::sign_in(url, email).await?).await
    }

    /// As [`Wire::connect`], for a device that has signed in already, with a new database.
    pub async fn follow(pass: &Pass) -> anyhow::Result<Self> {
        let (mut wire, mut hello, welcome) = Self::greet_with(pass).await?;
        // Greet again claiming to hold everything at the head: from here on only live batches come.
        hello.claim(&welcome, welcome.head);
        wire.send(&ClientFrame::Hello(hello)).await?;
        loop {
            if let ServerFrame::Welcome(_) = wire.next().await? {
                return Ok(wire);
            }
        }
    }

    /// Claims to hold everything up to `seq` and takes the catch-up. Returns the bytes of its frames.
    pub async fn catch_up_bytes(url: &str, seq: Seq) -> anyhow::Result<usize> {
        let (mut wire, mut hello, welcome) = Self::greet(url).await?;
        hello.claim(&welcome, seq);
        wire.send(&ClientFrame::Hello(hello)).await?;
        let mut bytes = 0;
        let mut is_greeted = false;
        loop {
            let text = wire.next_text().await?;
            match serde_json::from_str(&text)? {
                ServerFrame::Welcome(_) => is_greeted = true,
                ServerFrame::Batch(batch) if is_greeted => {
                    bytes += text.len();
                    if !batch.more {
                        return Ok(bytes);
                    }
                }
                _ => {}
            }
        }
    }

    /// The head of the demo's log.
    pub async fn head(url: &str) -> anyhow::Result<Seq> {
        Ok(Self::greet(url).await?.2.head)
    }

    async fn greet(url: &str) -> anyhow::Result<(Self, Hello, Welcome)> {
        Self::greet_with(&Pass::sign_in(url, demo::USERS[0].email).await?).await
    }

    async fn greet_with(pass: &Pass) -> anyhow::Result<(Self, Hello, Welcome)> {
        let Pass { url, token, .. } = pass;
        let client_id = ClientId::v7(clock::wall_ms(), rand::random());
        let address = format!("{}/ws/local_install/{client_id}", url.replacen("http", "ws", 1));
        let mut request = address.into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let mut wire = Self { socket };
        let hello = Hello {
            proto: [1, 1],
            client_id,
            device_id: pass.device_id()?,
            deployment_mode: DeploymentMode::LocalInstall,
            schema: SchemaRef { version: 1, hash: String::new() },
            backend_id: None,
            epoch: None,
            next_client_seq: 1,
            pending_count: 0,
            oldest_pending_age_ms: 0,
            scopes: Vec::new(),
        };
        wire.send(&ClientFrame::Hello(hello.clone())).await?;
        loop {
            if let ServerFrame::Welcome(welcome) = wire.next().await? {
                return Ok((wire, hello, welcome));
            }
        }
    }

    pub async fn send(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(serde_json::to_string(frame)?)).await?)
    }

    pub async fn next(&mut self) -> anyhow::Result<ServerFrame> {
        Ok(serde_json::from_str(&self.next_text().await?)?)
    }

    pub async fn next_text(&mut self) -> anyhow::Result<String> {
        loop {
            match self.socket.next().await.context("the server closed the connection")?? {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(reason) => bail!("the server closed the connection: {reason:?}"),
                _ => {}
            }
        }
    }

    /// Pushes one frame and waits for its outcomes; batches that come meanwhile are thrown away.
    pub async fn push(&mut self, mutations: Vec<Mutation>) -> anyhow::Result<()> {
        self.push_all(vec![mutations]).await
    }

    /// Pushes frame after frame, as many unanswered at a time as a device keeps, and waits for all outcomes.
    pub async fn push_all(&mut self, pushes: Vec<Vec<Mutation>>) -> anyhow::Result<()> {
        let mut unanswered = VecDeque::new();
        for mutations in pushes {
            if unanswered.len() == PUSH_WINDOW as usize {
                self.outcomes_upto(unanswered.pop_front().unwrap_or(0)).await?;
            }
            unanswered.push_back(mutations.last().map_or(0, |mutation| mutation.client_seq));
            self.send(&ClientFrame::Push { mutations }).await?;
        }
        for last in unanswered {
            self.outcomes_upto(last).await?;
        }
        Ok(())
    }

    async fn outcomes_upto(&mut self, last: u64) -> anyhow::Result<()> {
        loop {
            // Batches are the bulk of what comes; only outcomes are decoded.
            let text = self.next_text().await?;
            if text.starts_with("{\"type\":\"batch\"") {
                continue;
            }
            match serde_json::from_str(&text)? {
                ServerFrame::Outcomes { outcomes } => {
                    if let Some(bad) = outcomes.iter().find(|outcome| outcome.outcome == OutcomeKind::Rejected) {
                        bail!("a mutation was rejected: {bad:?}");
                    }
                    if outcomes.last().is_some_and(|outcome| outcome.client_seq == last) {
                        return Ok(());
                    }
                }
                ServerFrame::Error { problem } => bail!("the server answered: {}", problem.message),
                ServerFrame::SlowDown { retry_ms } => bail!("the server asked to slow down for {retry_ms} ms"),
                _ => {}
            }
        }
    }
}
