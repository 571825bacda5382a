//! Peers that speak bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::SOON;

/// A request to open a WebSocket, with a credential if there is one.
pub fn upgrade(token: Option<&str>) -> String {
    let authorization = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    format!(
        "GET /ws/web_app/{} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{authorization}\r\n",
        uuid::Uuid::now_v7()
    )
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    tokio::time::timeout(SOON, TcpStream::connect(address)).await.expect("no connection in time").unwrap()
}

/// Asks for a WebSocket; the status, and the connection.
pub async fn open(address: SocketAddr, token: Option<&str>) -> (u16, TcpStream) {
    let mut stream = connect(address).await;
    stream.write_all(upgrade(token).as_bytes()).await.unwrap();
    let mut head = [0; 12];
    tokio::time::timeout(SOON, stream.read_exact(&mut head)).await.expect("no answer to an upgrade").unwrap();
    (std::str::from_utf8(&head[9..]).unwrap().parse().unwrap(), stream)
}

/// One frame as a client sends it: masked with zeros, its length in the shortest form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Sends the same again and again until the server has had enough, or a lot has gone. Returns bytes sent.
pub async fn flood(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    let mut sent = 0;
    while sent < most {
        let written = tokio::time::timeout(SOON, stream.write_all(bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            break;
        }
        sent += bytes.len();
    }
    sent
}

/// Whether the server ends the connection.
pub async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = vec![0; 64 << 10];
    let ended = tokio::time::timeout(SOON, async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} });
    ended.await.is_ok()
}
