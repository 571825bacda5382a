//! Just enough of a WebSocket client: it sends masked frames and reads the bare stream of bytes, so that the load costs little.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Read buffer; bytes.
const BUFFER_BYTES: usize = 16 * 1024;
/// Any sixteen bytes do.
const KEY: &str = "c3luY2xpbmUtYmVuY2gtIQ==";

pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens `path` at a port of this machine. `headers` are whole lines.
    pub async fn open(port: u16, path: &str, headers: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // Byte by byte: what follows the head is the first frame.
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        if !head.starts_with("HTTP/1.1 101") {
            bail!("no WebSocket: {}", head.lines().next().unwrap_or(""));
        }
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a message of up to 64 KiB. The mask is zero, which the server has to apply all the same.
    pub async fn send(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let mut frame = vec![0x81];
        match u16::try_from(payload.len()).context("a short message")? {
            short @ 0..=125 => frame.push(0x80 | short.to_be_bytes()[1]),
            long => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// What has come; waits for something.
    pub async fn read(&mut self) -> anyhow::Result<&[u8]> {
        self.buffer.resize(BUFFER_BYTES, 0);
        let read = self.stream.read(&mut self.buffer).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
        Ok(&self.buffer[..read])
    }

    /// Reads until this text has come, and gives the buffer back: thousands of sockets wait without one.
    pub async fn read_until(&mut self, text: &str) -> anyhow::Result<()> {
        let mut all = Vec::new();
        while !all.windows(text.len()).any(|window| window == text.as_bytes()) {
            all.extend_from_slice(self.read().await?);
        }
        self.buffer = Vec::new();
        Ok(())
    }
}
