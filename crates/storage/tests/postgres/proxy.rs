//! A network between a store and its server that a test can break at a chosen moment.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Forwards everything until told otherwise. Each cut happens once.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Cut when the client has sent this: after passing it on, or instead.
    trap: Mutex<Option<Trap>>,
    is_sprung: AtomicBool,
    /// Connections made so far.
    connections: AtomicUsize,
    /// As many of the first connections carry nothing any more.
    silenced: AtomicUsize,
    /// `Parse` messages that give a statement a name.
    named_statements: AtomicU64,
}

#[derive(Clone, Debug)]
pub struct Trap {
    /// Part of what the client sends.
    pub text: &'static [u8],
    /// Whether the server gets it.
    pub is_delivered: bool,
}

impl Proxy {
    /// In front of `server`, `host:port`.
    pub fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = proxy.state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = state.connections.fetch_add(1, Ordering::SeqCst);
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
                let (back_from, back_to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let (state, back_state) = (state.clone(), state.clone());
                std::thread::spawn(move || pump(back_from, back_to, || back_state.is_silent(number)));
                std::thread::spawn(move || forward(client, upstream, number, &state));
            }
        });
        proxy
    }

    pub fn set_trap(&self, trap: Trap) {
        self.state.is_sprung.store(false, Ordering::SeqCst);
        *self.state.trap.lock().unwrap() = Some(trap);
    }

    pub fn is_sprung(&self) -> bool {
        self.state.is_sprung.load(Ordering::SeqCst)
    }

    /// What is open now stays open and carries nothing any more.
    pub fn silence(&self) {
        self.state.silenced.store(self.connections(), Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub fn named_statements(&self) -> u64 {
        self.state.named_statements.load(Ordering::SeqCst)
    }
}

impl State {
    fn is_silent(&self, connection: usize) -> bool {
        connection < self.silenced.load(Ordering::SeqCst)
    }
}

/// Client to server.
fn forward(mut client: TcpStream, mut server: TcpStream, number: usize, state: &State) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..count];
        if state.is_silent(number) {
            continue;
        }
        state.named_statements.fetch_add(named_parses(bytes), Ordering::SeqCst);
        let mut trap = state.trap.lock().unwrap();
        let caught = trap.take_if(|trap| bytes.windows(trap.text.len()).any(|window| window == trap.text));
        drop(trap);
        let Some(caught) = caught else {
            if server.write_all(bytes).is_err() {
                break;
            }
            continue;
        };
        state.is_sprung.store(true, Ordering::SeqCst);
        // The client learns nothing any more, whatever the server does.
        let _ = client.shutdown(Shutdown::Both);
        if caught.is_delivered {
            let _ = server.write_all(bytes);
            // Until the server has answered what it was sent.
            let mut ignored = [0; 4096];
            let _ = server.set_read_timeout(Some(std::time::Duration::from_millis(300)));
            while matches!(server.read(&mut ignored), Ok(1..)) {}
        }
        break;
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_silent: impl Fn() -> bool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !is_silent() && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Messages `P`, length, name, 0 with a name like those that drivers give, `s1`.
fn named_parses(bytes: &[u8]) -> u64 {
    let is_named =
        |window: &[u8]| window[0] == b'P' && window[1] == 0 && window[5] == b's' && window[6].is_ascii_digit();
    bytes.windows(7).filter(|window| is_named(window)).count() as u64
}
