//! Connections: ordered within, delayed, cut, half-open, partitioned.

use syncline_core::protocol::{ClientFrame, limits};
use syncline_core::session::client::Input;
use syncline_core::session::server::snapshot_page;

use crate::counters::Counter;
use crate::oracle::Violation;
use crate::server::Server;
use crate::world::{Checked, Event, World};

impl World {
    pub(crate) fn delay(&mut self) -> u64 {
        let most = if self.is_healed { self.swarm.delay_ms.min(200) } else { self.swarm.delay_ms };
        self.net.between(1, most.max(2))
    }

    fn is_partitioned(&self) -> bool {
        !self.is_healed && self.now_ms < self.partition_until_ms
    }

    pub(crate) fn connect(&mut self, index: usize, attempt: u64) -> Checked {
        if self.devices[index].attempt != attempt {
            return Ok(());
        }
        let principal = self.devices[index].principal(&self.server.workspace);
        let Some(principal) = principal.filter(|_| self.server.is_up && !self.is_partitioned()) else {
            let delay = self.delay();
            self.after(delay, Event::ConnectFailed { device: index, attempt });
            return Ok(());
        };
        let conn = self.new_conn(index);
        self.devices[index].conn = Some(conn);
        self.server.open(conn, principal);
        self.counters.add(Counter::Connected);
        self.input(index, Input::Connected)
    }

    /// The device gives its connection up; the server learns it later, or never.
    pub(crate) fn drop_conn(&mut self, index: usize) {
        let device = &mut self.devices[index];
        device.attempt += 1;
        device.download = None;
        let Some(id) = device.conn.take() else { return };
        let delay = self.delay();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.is_client_open = false;
        // Frames on their way arrive before the close does.
        let when = conn.last_up_ms.max(self.now_ms + delay);
        // A server that hears nothing any more gives up after the connection timeout.
        let when = if conn.loses_up { self.now_ms + limits::CONNECTION_TIMEOUT_MS } else { when };
        self.at(when, Event::ServerClose { conn: id });
    }

    pub(crate) fn send_up(&mut self, index: usize, frame: &ClientFrame) {
        let Some(id) = self.devices[index].conn else { return };
        let is_lost = self.is_partitioned();
        let when = self.now_ms + self.delay();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.loses_up || is_lost {
            // A frame lost is a connection lost: nothing after it arrives either.
            conn.loses_up = true;
            return;
        }
        conn.last_up_ms = conn.last_up_ms.max(when);
        let when = conn.last_up_ms;
        let text = serde_json::to_string(frame).expect("a frame encodes");
        self.at(when, Event::ToServer { conn: id, text });
    }

    pub(crate) fn send_down(&mut self, id: u64, text: String) {
        let is_lost = self.is_partitioned();
        let when = self.now_ms + self.delay();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if !conn.is_server_open || conn.loses_down || is_lost {
            conn.loses_down = true;
            return;
        }
        conn.last_down_ms = conn.last_down_ms.max(when);
        let when = conn.last_down_ms;
        self.at(when, Event::ToClient { conn: id, text });
    }

    /// The server ends a connection: what it sent before arrives first.
    pub(crate) fn server_closes(&mut self, id: u64, code: Option<u16>) {
        self.server.close(id);
        let when = self.now_ms + self.delay();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.is_server_open = false;
        if !conn.loses_down {
            let when = conn.last_down_ms.max(when);
            self.at(when, Event::ClientClose { conn: id, code });
        }
    }

    /// Both ends learn that the connection is gone; frames under way are lost.
    pub(crate) fn cut(&mut self, id: u64) {
        let (to_client, to_server) = (self.delay(), self.delay());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.loses_up = true;
        conn.loses_down = true;
        self.after(to_client, Event::ClientClose { conn: id, code: None });
        self.after(to_server, Event::ServerClose { conn: id });
    }

    pub(crate) fn client_close(&mut self, id: u64, code: Option<u16>) -> Checked {
        let Some(conn) = self.conns.get_mut(&id) else { return Ok(()) };
        let index = conn.device;
        if !conn.is_client_open || self.devices[index].conn != Some(id) {
            return Ok(());
        }
        conn.is_client_open = false;
        self.devices[index].conn = None;
        self.devices[index].download = None;
        self.devices[index].attempt += 1;
        self.input(index, Input::Disconnected { code })
    }

    pub(crate) fn deliver_up(&mut self, id: u64, text: &str) -> Checked {
        let Some(conn) = self.conns.get(&id) else { return Ok(()) };
        if !conn.is_server_open || conn.loses_up || !self.server.is_up {
            return Ok(());
        }
        let frame: ClientFrame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => return Err(Violation::new("wire", format!("a client frame does not decode: {error}"))),
        };
        let now_ms = self.server_ms();
        if let ClientFrame::Push { mutations } = &frame {
            let is_busy = !self.is_healed && self.net.chance(self.swarm.cut);
            if is_busy && !self.server.has_waiting() {
                self.counters.add(Counter::SlowedDown);
                let (conn, out) = if self.net.chance(500) { Server::slow_down(id) } else { Server::unavailable(id) };
                return self.dispatch(vec![(conn, out)]);
            }
            if let Some(session) = self.server.sessions.get(&id) {
                for mutation in mutations {
                    self.oracle.pushed(&session.principal, mutation, now_ms);
                }
            }
        }
        let outs = self.server.receive(id, frame, now_ms);
        if self.server.has_waiting() {
            self.commit_soon();
        }
        self.dispatch(outs)
    }

    pub(crate) fn deliver_down(&mut self, id: u64, text: &str) -> Checked {
        let Some(conn) = self.conns.get(&id) else { return Ok(()) };
        let index = conn.device;
        if !conn.is_client_open || conn.loses_down || self.devices[index].conn != Some(id) {
            return Ok(());
        }
        let frame = Self::frame_of(text);
        self.oracle.delivering(index, &frame);
        self.input(index, Input::Frame(frame))?;
        self.oracle.delivered(index, &self.devices[index])
    }

    /// The next page of a download, as the HTTP endpoint would answer it.
    pub(crate) fn page(&mut self, index: usize, id: u64) -> Checked {
        if self.devices[index].conn != Some(id) {
            return Ok(());
        }
        let Some(download) = self.devices[index].download.clone() else { return Ok(()) };
        let scope = download.scope.clone();
        let is_lost = !self.is_healed && self.net.chance(self.swarm.cut);
        let is_open = self.server.sessions.contains_key(&id);
        let head = self.server.read(|read| read.head());
        let is_known = (head.min_seq..=head.seq).contains(&download.seq);
        if !is_known
            || !self.server.is_up
            || self.is_partitioned()
            || is_lost
            || !is_open
            || !self.server.may_read(id, &scope)
        {
            self.devices[index].download = None;
            return self.input(index, Input::SnapshotFailed { scope, is_lost: false });
        }
        let (schema, at) = (self.server.schema.clone(), (&scope, download.seq));
        let page = self.server.read(|read| snapshot_page(&schema, read, at, download.resume.as_deref()));
        let Some(mut page) = page else {
            return Err(Violation::new(
                "snapshot",
                format!("the server does not know its token {:?}", download.resume),
            ));
        };
        // Smaller pages than the product's: cut after a row whose successor has another rv or entity.
        let size = self.swarm.snapshot_page;
        if page.rows.len() > size {
            let place = |op: &syncline_core::protocol::WireOp| match op {
                syncline_core::protocol::WireOp::Put { entity, rv, .. } => (entity.clone(), *rv),
                _ => Default::default(),
            };
            let mut end = size;
            while end < page.rows.len() && place(&page.rows[end]) == place(&page.rows[end - 1]) {
                end += 1;
            }
            if end < page.rows.len() {
                let (entity, rv) = place(&page.rows[end - 1]);
                page.rows.truncate(end);
                page.resume = Some(format!("{entity}.{rv}"));
            }
        }
        self.counters.add(Counter::SnapshotPage);
        self.oracle.snapshot_rows(&self.devices[index], &page.rows)?;
        let rows = Input::SnapshotRows { scope: scope.clone(), rows: page.rows, resume: page.resume.clone() };
        let has_more = page.resume.is_some();
        if let Some(download) = &mut self.devices[index].download {
            download.resume = page.resume;
        }
        self.input(index, rows)?;
        if self.devices[index].conn != Some(id) || self.devices[index].download.is_none() {
            return Ok(());
        }
        if has_more {
            let delay = self.delay();
            self.after(delay, Event::Page { device: index, conn: id });
            return Ok(());
        }
        self.devices[index].download = None;
        self.input(index, Input::SnapshotEnd { scope, seq: download.seq })
    }
}
