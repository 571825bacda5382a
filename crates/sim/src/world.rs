//! One world: a server, its devices, the network between them, virtual time, and the events that drive them.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::change::{Mutation, Op};
use syncline_core::id::{MutationId, RecordId};
use syncline_core::protocol::{ClientFrame, ServerFrame};
use syncline_core::replica::{LocalError, ReplicaError, ReplicaStore};
use syncline_core::session::client::{Effect, Event as Notice, Input};
use syncline_core::storage::MemoryStore;
use syncline_core::{Fields, Name};

use crate::counters::{Counter, Counters};
use crate::device::{Device, Download, EPOCH_MS};
use crate::genesis;
use crate::oracle::{Model, Oracle, Violation};
use crate::plant::Bug;
use crate::rng::Rng;
use crate::server::{Out, Outs, Server};
use crate::swarm::Swarm;
use crate::trace::Trace;
use crate::workload::Workload;

pub type Checked<T = ()> = Result<T, Violation>;

#[derive(Debug)]
pub(crate) enum Event {
    Work,
    Connect {
        device: usize,
        attempt: u64,
    },
    ConnectFailed {
        device: usize,
        attempt: u64,
    },
    ToServer {
        conn: u64,
        text: String,
    },
    ToClient {
        conn: u64,
        text: String,
    },
    /// The client side learns that the connection ended.
    ClientClose {
        conn: u64,
        code: Option<u16>,
    },
    ServerClose {
        conn: u64,
    },
    Wake {
        device: usize,
    },
    Page {
        device: usize,
        conn: u64,
    },
    Commit,
    ServerStart,
    DeviceStart {
        device: usize,
    },
    /// From now on frames in a direction are lost: `(to server, to client)`.
    Heal,
    Check,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Conn {
    pub device: usize,
    pub is_client_open: bool,
    pub is_server_open: bool,
    pub loses_up: bool,
    pub loses_down: bool,
    pub last_up_ms: u64,
    pub last_down_ms: u64,
}

pub struct World {
    pub seed: u64,
    pub swarm: Swarm,
    pub bug: Option<Bug>,
    pub now_ms: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    pub(crate) net: Rng,
    pub(crate) schedule: Rng,
    pub(crate) disk: Rng,
    work: Rng,
    pub server: Server,
    pub devices: Vec<Device>,
    pub(crate) conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    pub oracle: Oracle,
    pub counters: Counters,
    pub trace: Trace,
    ops_left: u64,
    pub(crate) serial: u64,
    pub(crate) deleted: Vec<(Name, RecordId)>,
    pub(crate) is_healed: bool,
    pub(crate) partition_until_ms: u64,
    pub(crate) commit_is_due: bool,
    pub(crate) backup: Option<(MemoryStore, Model)>,
    pub(crate) old_pushes: Vec<(usize, Vec<Mutation>)>,
    pub(crate) has_later_schema: bool,
    pub(crate) server_mutations: u64,
    /// Everything agreed once, and a new replica was added that must agree too.
    is_last_round: bool,
}

/// Virtual time within which everything must agree after the faults ended.
const CONVERGES_WITHIN_MS: u64 = 15 * 60_000;

impl World {
    pub fn new(seed: u64, swarm: Swarm, bug: Option<Bug>, keeps_trace: bool) -> Self {
        let schema = crate::schema::first();
        let (store, model) = crate::oracle::genesis();
        let mut server = Server::new(schema.clone(), genesis::workspace(), store, bug);
        server.snapshot_above = swarm.snapshot_above;
        let mut pick = Rng::new(seed, "people");
        let mut devices: Vec<Device> = Vec::new();
        for index in 0..swarm.devices {
            let number = usize::try_from(pick.between(1, genesis::PEOPLE.len() as u64)).unwrap_or(1);
            let mut device = Device::new(seed, index as u64, genesis::user(number), &server.workspace, schema.clone());
            device.disk.bug.set(bug);
            if swarm.has_skew {
                let year = 365 * 24 * 3_600_000_u64;
                device.clock.skew_ms =
                    i64::try_from(pick.below(2 * year)).unwrap_or(0) - i64::try_from(year).unwrap_or(0);
                if !swarm.applies_skew {
                    device.clock.skew_ms = 0;
                }
                device.clock.drift =
                    if swarm.is_calm() { 0 } else { i64::try_from(pick.below(400)).unwrap_or(0) - 200 };
            }
            devices.push(device);
        }
        let oracle = Oracle::new(model);
        let ops_left = swarm.ops;
        let mut world = Self {
            seed,
            swarm,
            bug,
            now_ms: 1_000,
            queue: BTreeMap::new(),
            order: 0,
            net: Rng::new(seed, "network"),
            schedule: Rng::new(seed, "schedule"),
            disk: Rng::new(seed, "disk"),
            work: Rng::new(seed, "workload"),
            server,
            devices,
            conns: BTreeMap::new(),
            next_conn: 1,
            oracle,
            counters: Counters::default(),
            trace: Trace::new(keeps_trace),
            ops_left,
            serial: 0,
            deleted: Vec::new(),
            is_healed: false,
            partition_until_ms: 0,
            commit_is_due: false,
            backup: None,
            old_pushes: Vec::new(),
            has_later_schema: false,
            server_mutations: 0,
            is_last_round: false,
        };
        world.at(1_200, Event::Work);
        world
    }

    pub(crate) fn at(&mut self, when_ms: u64, event: Event) {
        self.order += 1;
        self.queue.insert((when_ms.max(self.now_ms), self.order), event);
    }

    pub(crate) fn after(&mut self, delay_ms: u64, event: Event) {
        self.at(self.now_ms + delay_ms, event);
    }

    pub fn server_ms(&self) -> u64 {
        EPOCH_MS + self.now_ms
    }

    /// Runs the world to its end: faults, then health, then everything must agree.
    pub fn run(&mut self) -> Checked {
        for device in 0..self.devices.len() {
            self.input(device, Input::Online)?;
        }
        let mut deadline_ms = u64::MAX;
        let mut steps: u64 = 0;
        while let Some(((when_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = when_ms;
            steps += 1;
            if steps > 400_000 {
                return Err(Violation::new("livelock", "more than 400,000 events in one world"));
            }
            if self.now_ms > deadline_ms {
                return Err(Violation::new("stall", self.stall_report()));
            }
            self.trace.event(self.now_ms, &event);
            if matches!(event, Event::Heal) {
                deadline_ms = self.now_ms + CONVERGES_WITHIN_MS;
            }
            let is_check = matches!(event, Event::Check);
            self.handle(event)?;
            if is_check && self.has_converged()? {
                if self.is_last_round || !self.add_fresh_device()? {
                    return self.finish();
                }
                self.is_last_round = true;
                deadline_ms = self.now_ms + CONVERGES_WITHIN_MS;
            }
        }
        Err(Violation::new("stall", "nothing is scheduled any more"))
    }

    fn handle(&mut self, event: Event) -> Checked {
        match event {
            Event::Work => self.work_step(),
            Event::Connect { device, attempt } => self.connect(device, attempt),
            Event::ConnectFailed { device, attempt } => {
                if self.devices[device].attempt == attempt {
                    return self.input(device, Input::Disconnected { code: None });
                }
                Ok(())
            }
            Event::ToServer { conn, text } => self.deliver_up(conn, &text),
            Event::ToClient { conn, text } => self.deliver_down(conn, &text),
            Event::ClientClose { conn, code } => self.client_close(conn, code),
            Event::ServerClose { conn } => {
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.is_server_open = false;
                }
                self.server.close(conn);
                Ok(())
            }
            Event::Wake { device } => {
                let due = self.devices[device].wake_ms;
                if due.is_none_or(|due| due > self.now_ms) {
                    return Ok(());
                }
                self.devices[device].wake_ms = None;
                self.input(device, Input::Tick)
            }
            Event::Page { device, conn } => self.page(device, conn),
            Event::Commit => self.commit(),
            Event::ServerStart => self.start_server(),
            Event::DeviceStart { device } => self.start_device(device),
            Event::Heal => self.heal(),
            Event::Check => {
                self.after(250, Event::Check);
                Ok(())
            }
        }
    }

    // --- Devices -------------------------------------------------------------------------------------------------

    /// Feeds one input to a device and performs what follows.
    pub(crate) fn input(&mut self, index: usize, input: Input) -> Checked {
        let now_ms = self.now_ms;
        let device = &mut self.devices[index];
        let now = device.now(now_ms);
        let Some(replica) = &mut device.replica else { return Ok(()) };
        match device.session.handle(replica, input, now) {
            Ok(effects) => self.perform(index, effects)?,
            Err(error) => self.local_failure(index, &error)?,
        }
        self.arm(index)
    }

    /// A failed write: the device died, or the shell drops the connection and goes on.
    fn local_failure(&mut self, index: usize, error: &ReplicaError) -> Checked {
        if self.devices[index].disk.is_dead.get() {
            self.device_dies(index);
            return Ok(());
        }
        if !matches!(error, ReplicaError::Full) {
            return Err(Violation::new("local store", error.to_string()));
        }
        self.counters.add(Counter::DiskFull);
        self.drop_conn(index);
        self.input(index, Input::Disconnected { code: None })
    }

    /// Makes sure that the session is woken in time (invariant 9).
    fn arm(&mut self, index: usize) -> Checked {
        let device = &self.devices[index];
        let Some(replica) = &device.replica else { return Ok(()) };
        let next = device.session.next_wakeup_ms();
        let pending = replica.store().outbox_count().unwrap_or(0);
        if next.is_none() && pending > 0 && !device.is_out() {
            return Err(Violation::new("invariant 9", format!("device {index}: {pending} pending and no timer")));
        }
        let Some(next) = next else { return Ok(()) };
        if device.wake_ms.is_none_or(|armed| armed > next || armed < self.now_ms) {
            let next = next.max(self.now_ms + 1);
            self.devices[index].wake_ms = Some(next);
            self.at(next, Event::Wake { device: index });
        }
        Ok(())
    }

    fn perform(&mut self, index: usize, effects: Vec<Effect>) -> Checked {
        for effect in effects {
            match effect {
                Effect::Connect => {
                    self.drop_conn(index);
                    let delay = self.delay();
                    let attempt = self.devices[index].attempt;
                    self.after(delay, Event::Connect { device: index, attempt });
                }
                Effect::Disconnect => self.drop_conn(index),
                Effect::Send(frame) => {
                    if let ClientFrame::Push { mutations } = &frame {
                        let seqs = mutations.iter().map(|mutation| mutation.client_seq).collect();
                        self.old_pushes.push((index, mutations.clone()));
                        self.devices[index].forget_sent(seqs);
                    }
                    self.send_up(index, &frame);
                }
                Effect::FetchSnapshot { scope, url, resume } => {
                    let seq = url.rsplit('@').next().and_then(|seq| seq.parse().ok()).unwrap_or(0);
                    if resume.is_some() {
                        self.counters.add(Counter::SnapshotResumed);
                    }
                    let Some(conn) = self.devices[index].conn else { continue };
                    self.devices[index].download = Some(Download { scope, seq, resume });
                    let delay = self.delay();
                    self.after(delay, Event::Page { device: index, conn });
                }
                Effect::RenewToken => {}
                Effect::Notify(notice) => self.notice(index, &notice)?,
            }
        }
        Ok(())
    }

    fn notice(&mut self, index: usize, notice: &Notice) -> Checked {
        match notice {
            Notice::Repairing { scope } => {
                self.counters.add(Counter::Repaired);
                self.oracle.repairing(index, scope.as_str())?;
            }
            Notice::Stuck => self.counters.add(Counter::Stuck),
            Notice::Purged { .. } => {
                self.devices[index].is_purged = true;
                self.counters.add(Counter::Purged);
                self.oracle.purged(&self.devices[index])?;
            }
            Notice::Stopped { code } => {
                self.devices[index].stopped = Some(*code);
                let text = format!("device {index} stopped with {}", code.as_str());
                return Err(Violation::new("session stopped", text));
            }
            Notice::Connected
            | Notice::Disconnected
            | Notice::Changed { .. }
            | Notice::Decided { .. }
            | Notice::Rejected { .. }
            | Notice::SignInNeeded => {}
        }
        Ok(())
    }

    pub(crate) fn device_dies(&mut self, index: usize) {
        self.counters.add(Counter::DeviceCrashed);
        self.drop_conn(index);
        self.devices[index].die();
        let delay = self.schedule.between(10, 5_000);
        self.after(delay, Event::DeviceStart { device: index });
    }

    pub(crate) fn start_device(&mut self, index: usize) -> Checked {
        if self.devices[index].replica.is_some() {
            return Ok(());
        }
        self.devices[index].start();
        self.oracle.device_recovered(index, &self.devices[index])?;
        if self.devices[index].is_out() {
            return Ok(());
        }
        self.input(index, Input::Online)
    }

    // --- Work ----------------------------------------------------------------------------------------------------

    fn work_step(&mut self) -> Checked {
        if self.ops_left == 0 {
            let rest = self.schedule.below(2 * self.swarm.pause_ms + 1);
            self.after(rest, Event::Heal);
            return Ok(());
        }
        self.ops_left -= 1;
        self.faults()?;
        let able: Vec<usize> = (0..self.devices.len())
            .filter(|index| self.devices[*index].replica.is_some() && !self.devices[*index].is_out())
            .collect();
        if let Some(index) = self.work.pick(&able).copied() {
            self.edit(index)?;
        }
        let pause = self.schedule.between(1, self.swarm.pause_ms);
        self.after(pause, Event::Work);
        Ok(())
    }

    fn edit(&mut self, index: usize) -> Checked {
        self.serial += 1;
        let is_contended = self.swarm.is_contended;
        let device = &mut self.devices[index];
        let Some(replica) = &mut device.replica else { return Ok(()) };
        let mut workload = Workload { rng: &mut self.work, is_contended, deleted: &self.deleted, serial: self.serial };
        let edits = workload.edits(replica);
        if edits.is_empty() {
            return Ok(());
        }
        let mutation_id = MutationId::from_u128(self.work.wide());
        let wall_ms = device.clock.at(self.now_ms);
        match replica.mutate(edits, mutation_id, wall_ms) {
            Ok(_) => {
                self.counters.add(Counter::Edited);
                self.oracle.accepted(index, mutation_id, &self.devices[index])?;
                self.input(index, Input::LocalChange)
            }
            Err(LocalError::Store(_)) if device.disk.is_dead.get() => {
                self.oracle.maybe_accepted(index, mutation_id);
                self.device_dies(index);
                Ok(())
            }
            Err(LocalError::Store(ReplicaError::Full)) => {
                self.counters.add(Counter::DiskFull);
                Ok(())
            }
            Err(LocalError::Store(error)) => Err(Violation::new("local store", error.to_string())),
            Err(LocalError::NoSuchRecord { .. } | LocalError::LeaseExpired) => Ok(()),
            Err(error) => Err(Violation::new("workload", format!("an edit was refused on the device: {error}"))),
        }
    }

    /// A write of the server itself.
    pub(crate) fn serve(&mut self, entity: &str, id: RecordId, values: Fields) {
        let client = self.server.read(|read| read.client(genesis::SERVER_CLIENT));
        let seq = client.map_or(0, |client| client.last_client_seq) + 1;
        if self.server_mutations >= seq {
            return;
        }
        self.server_mutations = seq;
        let mutation_id = MutationId::from_u128(self.schedule.wide());
        let ops = vec![Op::Update { entity: entity.into(), id, base_rv: 1 << 50, fields: values }];
        let mutation = Mutation { mutation_id, client_seq: seq, age_ms: 0, ops, depends_on: Vec::new() };
        let now_ms = self.server_ms();
        let principal = genesis::server_principal();
        self.oracle.pushed(&principal, &mutation, now_ms);
        self.server.push(None, principal, vec![mutation], now_ms);
        self.commit_soon();
    }

    // --- The server ----------------------------------------------------------------------------------------------

    pub(crate) fn commit_soon(&mut self) {
        if !self.commit_is_due {
            self.commit_is_due = true;
            let delay = self.schedule.between(1, 20);
            self.after(delay, Event::Commit);
        }
    }

    fn commit(&mut self) -> Checked {
        self.commit_is_due = false;
        if !self.server.is_up || !self.server.has_waiting() {
            return Ok(());
        }
        let crash = self.commit_crash();
        let sync_fails = !self.is_healed && self.disk.chance(self.swarm.fsync_failure);
        let committed = self.server.commit(crash, sync_fails);
        self.server_mutations = 0;
        if committed.has_crashed {
            // What was answered before the crash counts; what is on disk shows after it.
            self.dispatch_before_crash(committed.outs)?;
            self.server_dies(crash == Some(crate::server::CrashAt::AfterSync), false);
            return Ok(());
        }
        self.oracle.observe(&self.server, &mut self.counters)?;
        self.note_deleted();
        self.dispatch(committed.outs)
    }

    fn note_deleted(&mut self) {
        self.deleted = self.oracle.tombstones();
    }

    /// Answers that left before the process died: the oracle takes them as given, whatever the log says by now.
    fn dispatch_before_crash(&mut self, outs: Outs) -> Checked {
        if outs.is_empty() {
            return Ok(());
        }
        self.oracle.observe(&self.server, &mut self.counters)?;
        self.dispatch(outs)
    }

    /// Hands frames to the network, after the oracle has looked at them.
    pub(crate) fn dispatch(&mut self, outs: Outs) -> Checked {
        for (conn, out) in outs {
            match out {
                Out::Frame(frame) => {
                    let text = serde_json::to_string(&frame).expect("a frame encodes");
                    let Some(device) = self.conns.get(&conn).map(|conn| conn.device) else { continue };
                    self.oracle.sent(conn, &self.devices[device], &text, &mut self.counters)?;
                    self.send_down(conn, text);
                }
                Out::Close(code) => self.server_closes(conn, Some(code as u16)),
            }
        }
        Ok(())
    }

    // --- The end -------------------------------------------------------------------------------------------------

    fn has_converged(&mut self) -> Checked<bool> {
        if !self.is_healed || !self.server.is_up || self.server.has_waiting() {
            return Ok(false);
        }
        let head = self.server.head();
        for device in self.devices.iter().filter(|device| !device.is_out()) {
            let Some(replica) = &device.replica else { return Ok(false) };
            let is_quiet = device.session.is_quiescent(replica).unwrap_or(false);
            if !is_quiet || replica.meta().cursor != head {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A new database of somebody who is still there: what it gets from nothing is what others got step by step.
    fn add_fresh_device(&mut self) -> Checked<bool> {
        let Some(user) = self.devices.iter().find(|device| !device.is_out()).map(|device| device.user_id) else {
            return Ok(false);
        };
        let index = self.devices.len();
        let schema = self.server.schema.clone();
        self.devices.push(Device::new(self.seed, index as u64, user, &self.server.workspace, schema));
        self.input(index, Input::Online)?;
        Ok(true)
    }

    fn stall_report(&self) -> String {
        let mut text = format!(
            "not converged {} s after the faults ended; head {}",
            CONVERGES_WITHIN_MS / 1_000,
            self.server.head()
        );
        for (index, device) in self.devices.iter().enumerate() {
            let Some(replica) = &device.replica else { continue };
            let outbox = replica.store().outbox(0, 5).unwrap_or_default();
            let states: Vec<_> = outbox
                .iter()
                .map(|pending| (pending.mutation.client_seq, &pending.outcome, pending.is_in_base))
                .collect();
            text += &format!(
                "\n device {index}: {:?}\n  {:?}\n  outbox {states:?}\n  scopes {:?}",
                device.session,
                replica.meta(),
                replica.store().scopes()
            );
        }
        text
    }

    fn finish(&mut self) -> Checked {
        self.oracle.observe(&self.server, &mut self.counters)?;
        let devices = std::mem::take(&mut self.devices);
        let result = self.oracle.finish(&self.server, &devices);
        self.devices = devices;
        self.counters.worlds += 1;
        result
    }

    /// Ids of devices by user, for faults that pick one.
    pub(crate) fn users(&self) -> BTreeSet<syncline_core::id::UserId> {
        self.devices.iter().map(|device| device.user_id).collect()
    }

    pub(crate) fn frame_of(text: &str) -> ServerFrame {
        serde_json::from_str(text).expect("what the server wrote decodes")
    }

    pub(crate) fn new_conn(&mut self, device: usize) -> u64 {
        let id = self.next_conn;
        self.next_conn += 1;
        let open = Conn { device, is_client_open: true, is_server_open: true, ..Conn::default() };
        self.conns.insert(id, open);
        id
    }
}
