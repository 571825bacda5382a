//! What goes wrong, and what people with more rights do meanwhile: rolled before every edit, as the swarm says.

use serde_json::json;
use syncline_core::engine::access::{MEMBERS, member_id};
use syncline_core::id::RecordId;
use syncline_core::protocol::ServerFrame;
use syncline_core::session::client::Input;

use crate::counters::Counter;
use crate::genesis::{TEAM_IDS, fields, user};
use crate::oracle::Violation;
use crate::server::{CrashAt, Out};
use crate::world::{Checked, Event, World};

impl World {
    pub(crate) fn faults(&mut self) -> Checked {
        let swarm = self.swarm.clone();
        let conns: Vec<u64> = self.conns.iter().filter(|(_, conn)| conn.is_client_open).map(|(id, _)| *id).collect();
        for conn in conns {
            if self.net.chance(swarm.cut) {
                self.counters.add(Counter::Cut);
                self.cut(conn);
            } else if self.net.chance(swarm.half_open) {
                self.half_open(conn);
            }
        }
        if self.net.chance(swarm.partition) {
            self.counters.add(Counter::Partitioned);
            self.partition_until_ms = self.now_ms + self.net.between(100, 90_000);
        }
        if self.net.chance(swarm.replay) {
            self.replay();
        }
        if self.disk.chance(swarm.server_crash) && self.server.is_up {
            self.server_dies(false, false);
        }
        for index in 0..self.devices.len() {
            if self.disk.chance(swarm.client_crash) {
                let (writes, is_written) = (self.disk.below(6), self.disk.chance(500));
                self.devices[index].disk.dies_in.set(Some((writes, is_written)));
            }
            if self.disk.chance(swarm.disk_full) {
                self.devices[index].disk.full_for.set(self.disk.between(1, 3));
            }
            if self.schedule.chance(swarm.clock_jump) {
                let jump = i64::try_from(self.schedule.below(20 * 24 * 3_600_000)).unwrap_or(0) - 10 * 24 * 3_600_000;
                self.devices[index].clock.skew_ms += jump;
            }
        }
        if !self.server.is_up {
            return Ok(());
        }
        if self.schedule.chance(swarm.access) {
            self.change_access();
        }
        if self.schedule.chance(swarm.revoke) {
            self.revoke()?;
        }
        if self.disk.chance(swarm.compact) {
            self.compact()?;
        }
        if self.disk.chance(swarm.restore.saturating_mul(3)) {
            self.backup = Some((self.server.store.clone(), self.oracle.model.clone()));
        } else if self.disk.chance(swarm.restore) {
            self.restore()?;
        }
        if self.schedule.chance(swarm.drain) {
            self.drain()?;
        }
        if self.schedule.chance(swarm.schema) && !self.has_later_schema {
            self.has_later_schema = true;
            self.counters.add(Counter::SchemaChanged);
            self.server.change_schema(crate::schema::second());
        }
        Ok(())
    }

    /// One direction, or both, goes silent; the server forgets the socket much later.
    fn half_open(&mut self, id: u64) {
        let which = self.net.below(3);
        let later = self.net.between(20_000, 200_000);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.loses_up |= which != 1;
        conn.loses_down |= which != 0;
        self.counters.add(Counter::HalfOpen);
        self.after(later, Event::ServerClose { conn: id });
    }

    /// An old push arrives again, or somebody pushes under another's client id.
    fn replay(&mut self) {
        let Some((index, mutations)) = self.net.pick(&self.old_pushes).cloned() else { return };
        if !self.server.is_up {
            return;
        }
        let Some(principal) = self.devices[index].principal(&self.server.workspace) else { return };
        let now_ms = self.server_ms();
        if self.net.chance(700) {
            self.counters.add(Counter::Replayed);
            // A database that changed its client id pushed this under the former one: that is nobody's replay.
            if !self.oracle.was_pushed_by(&principal, &mutations) {
                return;
            }
            for mutation in &mutations {
                self.oracle.pushed(&principal, mutation, now_ms);
            }
            self.server.push(None, principal, mutations, now_ms);
        } else {
            let others = self.devices.iter().filter(|device| device.user_id != principal.user_id);
            let Some(other) = others.map(|device| (device.user_id, device.device_id)).next() else { return };
            let known = self.server.read(|read| read.client(principal.client_id));
            let (Some(known), Some(first)) = (known, mutations.first()) else { return };
            self.counters.add(Counter::Impostor);
            let mut mutation = first.clone();
            mutation.client_seq = known.last_client_seq + 1;
            mutation.mutation_id = syncline_core::id::MutationId::from_u128(self.net.wide());
            mutation.depends_on.clear();
            let mut principal = principal;
            (principal.user_id, principal.device_id) = other;
            self.oracle.impostor(&mutation);
            self.server.push(None, principal, vec![mutation], now_ms);
        }
        self.commit_soon();
    }

    pub(crate) fn commit_crash(&mut self) -> Option<CrashAt> {
        if self.is_healed || !self.disk.chance(self.swarm.commit_crash) {
            return None;
        }
        let steps = [CrashAt::BeforeCommit, CrashAt::BeforeSync, CrashAt::AfterSync, CrashAt::MidFanOut];
        self.disk.pick(&steps).copied()
    }

    pub(crate) fn server_dies(&mut self, is_after_sync: bool, is_silent: bool) {
        self.counters.add(Counter::ServerCrashed);
        if is_after_sync {
            self.counters.add(Counter::CrashBeforeReply);
        }
        self.commit_is_due = false;
        self.server_mutations = 0;
        self.server.die();
        let damage = self.server.disk.crash(&mut self.disk);
        if damage.is_torn {
            self.counters.add(Counter::TornWrite);
        }
        if damage.lost_lines > 0 {
            self.counters.add(Counter::UnsyncedLost);
        }
        let open: Vec<u64> = self.conns.iter().filter(|(_, conn)| conn.is_server_open).map(|(id, _)| *id).collect();
        for id in open {
            let delay = self.delay();
            let is_noticed = self.net.chance(700) && !is_silent;
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            conn.is_server_open = false;
            let when = conn.last_down_ms.max(self.now_ms + delay);
            if is_noticed && !conn.loses_down {
                self.at(when, Event::ClientClose { conn: id, code: None });
            }
        }
        let down_ms = self.schedule.between(50, 20_000);
        self.after(down_ms, Event::ServerStart);
    }

    pub(crate) fn start_server(&mut self) -> Checked {
        if self.server.is_up {
            return Ok(());
        }
        self.server.start();
        self.oracle.recovered(&self.server, &mut self.counters)
    }

    fn change_access(&mut self) {
        let users: Vec<_> = self.users().into_iter().collect();
        let Some(somebody) = self.schedule.pick(&users).copied() else { return };
        let member = member_id(&self.server.workspace, somebody);
        self.counters.add(Counter::AccessChanged);
        match self.schedule.below(3) {
            0 => {
                let role = *self.schedule.pick(&["manager", "agent", "viewer", "admin"]).expect("not empty");
                self.serve(MEMBERS, member, fields(json!({"role": role})));
            }
            1 => {
                let read_scope = *self.schedule.pick(&["own", "team", "all"]).expect("not empty");
                self.serve(MEMBERS, member, fields(json!({"read_scope": read_scope})));
            }
            _ => {
                let team = *self.schedule.pick(&TEAM_IDS).expect("not empty");
                let way = if self.schedule.chance(500) { "add" } else { "remove" };
                let number = usize::try_from(self.schedule.between(1, 5)).unwrap_or(1);
                self.serve("teams", team, fields(json!({"member_ids": {way: [user(number)]}})));
            }
        }
    }

    fn revoke(&mut self) -> Checked {
        let index = usize::try_from(self.schedule.below(self.devices.len() as u64)).unwrap_or(0);
        let (device_id, user_id) = (self.devices[index].device_id, self.devices[index].user_id);
        if self.schedule.chance(600) {
            self.counters.add(Counter::DeviceRevoked);
            self.oracle.device_revoked(device_id);
            let outs = self.server.revoke(device_id);
            return self.dispatch(outs);
        }
        self.counters.add(Counter::MemberRevoked);
        let member: RecordId = member_id(&self.server.workspace, user_id);
        self.serve(MEMBERS, member, fields(json!({"status": "revoked"})));
        Ok(())
    }

    fn compact(&mut self) -> Checked {
        if self.server.has_waiting() {
            return Ok(());
        }
        let (head, base) = self.server.read(|read| {
            let head = read.head()?;
            Ok((head.seq, syncline_core::storage::epoch_base(head.epoch)))
        });
        let behind = self.disk.below(20);
        let upto = head.saturating_sub(behind).max(base);
        self.counters.add(Counter::Compacted);
        if self.devices.iter().any(|device| device.download.is_some()) {
            self.counters.add(Counter::CompactedBetweenPages);
        }
        self.server.compact(upto);
        self.oracle.compacted(upto);
        Ok(())
    }

    fn restore(&mut self) -> Checked {
        let Some((store, model)) = self.backup.take() else { return Ok(()) };
        self.counters.add(Counter::Restored);
        let conns: Vec<u64> = self.server.sessions.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.server_closes(conn, Some(4400)));
        self.server.die();
        self.commit_is_due = false;
        self.server_mutations = 0;
        self.server.is_up = true;
        self.server.restore(&store);
        // A push is taken within a session only, and none outlives the server that is stopped for a restore.
        self.old_pushes.clear();
        self.oracle.restored(model, &self.server)
    }

    fn drain(&mut self) -> Checked {
        self.counters.add(Counter::Drained);
        let conns: Vec<u64> = self.server.sessions.keys().copied().collect();
        let goodbye = ServerFrame::Goodbye { retry_ms: 200, reason: "draining".to_owned() };
        self.dispatch(conns.iter().map(|conn| (*conn, Out::Frame(goodbye.clone()))).collect())?;
        conns.into_iter().for_each(|conn| self.server_closes(conn, Some(4400)));
        Ok(())
    }

    /// The faults are over: everything comes back and must agree.
    pub(crate) fn heal(&mut self) -> Checked {
        self.is_healed = true;
        self.partition_until_ms = 0;
        self.start_server()?;
        for index in 0..self.devices.len() {
            let disk = self.devices[index].disk.clone();
            disk.dies_in.set(None);
            disk.full_for.set(0);
            self.start_device(index)?;
            self.input(index, Input::Online)?;
        }
        if self.devices.is_empty() {
            return Err(Violation::new("world", "a world needs a device"));
        }
        self.after(250, Event::Check);
        Ok(())
    }
}
