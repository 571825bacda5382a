//! The writing half of a socket, which its session and the hub share.
//!
//! Whoever writes does so under the lock, in whole frames and without waiting. When the system takes only a part, the tail
//! of the frame that was cut stays here and goes out before anything else. So frames never mix, whoever wrote them.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::encoded::Packing;

/// Slices handed to the system at a time.
const SLICES_MAX: usize = 64;

pub struct Outlet {
    wire: Wire,
    packing: Packing,
    /// The tail of a frame whose beginning is out; at most one frame.
    rest: Mutex<Vec<u8>>,
    /// What the system took, and what it gave.
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    /// Bytes read since the last whole message.
    unfinished: AtomicUsize,
}

/// What carries a session: the peer's connection, or a pair of sockets within this process whose other end speaks HTTP
/// with the peer, or TLS.
pub enum Wire {
    Tcp(TcpStream),
    Pair(UnixStream),
}

macro_rules! on_wire {
    ($wire:expr, $stream:ident => $call:expr) => {
        match $wire {
            Wire::Tcp($stream) => $call,
            Wire::Pair($stream) => $call,
        }
    };
}

/// Bytes on the wire of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// How much of what was offered is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    All,
    /// The frames up to this byte, counted from the first offered; the others were not begun.
    UpTo(usize),
}

impl Outlet {
    pub fn new(wire: Wire, packing: Packing) -> Self {
        Self {
            wire,
            packing,
            rest: Mutex::default(),
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            unfinished: AtomicUsize::new(0),
        }
    }

    /// What was read last makes a whole message.
    pub fn finished(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }

    /// How the peer takes messages.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        on_wire!(&self.wire, stream => stream.try_write(bytes)).inspect(|written| self.count_out(*written))
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        on_wire!(&self.wire, stream => stream.try_write_vectored(slices)).inspect(|written| self.count_out(*written))
    }

    fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that came and went on the wire so far, whoever wrote them.
    pub fn traffic(&self) -> Traffic {
        let [bytes_in, bytes_out] = [&self.bytes_in, &self.bytes_out].map(|bytes| bytes.load(Ordering::Relaxed));
        Traffic { bytes_in, bytes_out }
    }

    async fn writable(&self) -> Result<()> {
        on_wire!(&self.wire, stream => stream.writable().await)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers whole frames that lie in two pieces, with one system call and without waiting. `end_of(n)`: where the frame
    /// ends that byte `n - 1` belongs to.
    pub(super) fn offer(&self, pieces: (&[u8], &[u8]), end_of: impl Fn(usize) -> usize) -> Result<Offered> {
        let mut rest = self.lock();
        if !self.flush(&mut rest)? {
            return Ok(Offered::UpTo(0));
        }
        let (first, second) = pieces;
        let total = first.len() + second.len();
        let written = match second.is_empty() {
            true => taken(self.try_write(first))?,
            false => taken(self.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]))?,
        };
        if written == total {
            return Ok(Offered::All);
        }
        if written == 0 {
            return Ok(Offered::UpTo(0));
        }
        let end = end_of(written);
        let middle = first.len();
        rest.extend_from_slice(&first[written.min(middle)..end.min(middle)]);
        rest.extend_from_slice(&second[written.saturating_sub(middle)..end.saturating_sub(middle)]);
        Ok(Offered::UpTo(end))
    }

    /// Writes what is left of a cut frame; whether all of it is out.
    fn flush(&self, rest: &mut Vec<u8>) -> Result<bool> {
        while !rest.is_empty() {
            match taken(self.try_write(rest))? {
                0 => return Ok(false),
                written => drop(rest.drain(..written)),
            }
        }
        rest.shrink_to_fit();
        Ok(true)
    }

    /// Writes frames in order, as many as possible with one system call, and waits until the system has taken them. The
    /// hub must be kept off meanwhile. After an error or when dropped midway the connection is of no use any more.
    pub async fn write_all(&self, frames: &[Bytes]) -> Result<()> {
        while !self.flush(&mut self.lock())? {
            self.writable().await?;
        }
        for chunk in frames.chunks(SLICES_MAX) {
            let mut slices: Vec<IoSlice<'_>> = chunk.iter().map(|bytes| IoSlice::new(bytes)).collect();
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                match taken(self.try_write_vectored(left))? {
                    0 => self.writable().await?,
                    written => IoSlice::advance_slices(&mut left, written),
                }
            }
        }
        Ok(())
    }
}

/// Bytes the system took; 0 when it takes none right now.
fn taken(written: Result<usize>) -> Result<usize> {
    match written {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Ok(written) => Ok(written),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Bytes that one message may take with the heads of its fragments. The libraries count what is in them, so that empty ones
/// could come for ever.
const UNFINISHED_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The whole socket as a WebSocket library wants it: it reads here, and writes its control frames through the outlet.
pub struct OutletStream {
    outlet: Arc<Outlet>,
    /// What came before the library did; read first.
    unread: Bytes,
}

impl OutletStream {
    pub fn new(outlet: Arc<Outlet>, unread: Bytes) -> Self {
        Self { outlet, unread }
    }
}

impl AsyncRead for OutletStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            self.outlet.bytes_in.fetch_add(count as u64, Ordering::Relaxed);
            buffer.put_slice(&self.unread.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if self.outlet.unfinished.load(Ordering::Relaxed) > UNFINISHED_BYTES_MAX {
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        }
        loop {
            ready!(on_wire!(&self.outlet.wire, stream => stream.poll_read_ready(context)))?;
            match on_wire!(&self.outlet.wire, stream => stream.try_read(buffer.initialize_unfilled())) {
                Ok(read) => {
                    buffer.advance(read);
                    self.outlet.bytes_in.fetch_add(read as u64, Ordering::Relaxed);
                    self.outlet.unfinished.fetch_add(read, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for OutletStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, frame: &[u8]) -> Poll<Result<usize>> {
        loop {
            let mut rest = self.outlet.lock();
            if self.outlet.flush(&mut rest)? {
                match taken(self.outlet.try_write(frame))? {
                    0 => {}
                    // Its tail must not be left to the library, which may write it after a frame of the hub.
                    written => {
                        rest.extend_from_slice(&frame[written..]);
                        return Poll::Ready(Ok(frame.len()));
                    }
                }
            }
            drop(rest);
            ready!(on_wire!(&self.outlet.wire, stream => stream.poll_write_ready(context)))?;
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.outlet.flush(&mut self.outlet.lock())? {
            ready!(on_wire!(&self.outlet.wire, stream => stream.poll_write_ready(context)))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The connection ends when the last of its holders lets go.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn pair() -> (Outlet, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        (Outlet::new(Wire::Tcp(tcp), Packing::Plain), peer)
    }

    #[tokio::test]
    async fn hub_5_frames_that_two_write_to_a_slow_peer_never_mix() {
        const FRAME: usize = 100_000;
        let (outlet, mut peer) = pair().await;
        outlet.writable().await.unwrap();
        // The hub offers three frames at a time until the system takes no more, in the middle of one.
        let offered = vec![1; 3 * FRAME];
        let end_of = |byte: usize| byte.div_ceil(FRAME) * FRAME;
        let mut sent = 0;
        loop {
            match outlet.offer((&offered[..FRAME], &offered[FRAME..]), end_of).unwrap() {
                Offered::All => sent += 3 * FRAME,
                Offered::UpTo(end) => {
                    sent += end;
                    break;
                }
            }
        }
        let cut = outlet.lock().len();
        assert!(cut > 0 && cut < FRAME, "{cut}");
        assert_eq!(outlet.offer((&offered, &[]), end_of).unwrap(), Offered::UpTo(0), "nothing before the tail is out");
        let reading = tokio::spawn(async move {
            let mut all = vec![0; sent + 7];
            peer.read_exact(&mut all).await.unwrap();
            all
        });
        outlet.write_all(&[Bytes::from_static(&[2; 7])]).await.unwrap();
        let all = reading.await.unwrap();
        assert!(all[..sent].iter().all(|byte| *byte == 1) && all[sent..] == [2; 7]);
        assert_eq!(outlet.traffic().bytes_out, sent as u64 + 7, "each byte counts once");
    }

    #[tokio::test]
    async fn hub_5_a_peer_that_is_gone_is_an_error() {
        let (outlet, peer) = pair().await;
        drop(peer);
        let mut outcome = Ok(());
        for _ in 0..100 {
            outcome = outlet.write_all(&[Bytes::from_static(b"x")]).await;
            if outcome.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(outcome.is_err());
    }
}
