//! What the rest of the server tells one session. Flags, not a queue: they coalesce and cannot grow.

use std::collections::BTreeSet;

use syncline_core::protocol::Code;
use syncline_core::{Name, Seq};
use tokio::sync::watch;

/// State of the flags; every change wakes the session.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Changes of access noticed so far: the session reads its grants again when this moves.
    pub regrants: u64,
    /// Live frames that end after this seq are not for this session: its grants changed there.
    pub live_until: Seq,
    /// Revoked: hand over what is pending, then go.
    pub purge: Option<(Code, &'static str)>,
    /// A newer connection of the same client took over.
    pub is_replaced: bool,
    /// The sign-in this connection came from has ended.
    pub is_signed_out: bool,
    /// Asked so often whether the person may still see what they look at.
    pub presence_checks: u64,
    /// Times that the person asked for everything to be in step now.
    pub syncs: u64,
    /// What they asked for the last time; none: everything.
    pub sync_entities: BTreeSet<Name>,
    /// Said so often that messages or receipts for the device may be in the store.
    pub mails: u64,
    /// The node is going away; come back after this many milliseconds.
    pub drain_retry_ms: Option<u64>,
}

pub type SignalsReceiver = watch::Receiver<Signals>;

impl Default for Signals {
    fn default() -> Self {
        Self {
            regrants: 0,
            live_until: Seq::MAX,
            purge: None,
            is_replaced: false,
            is_signed_out: false,
            presence_checks: 0,
            syncs: 0,
            sync_entities: BTreeSet::new(),
            mails: 0,
            drain_retry_ms: None,
        }
    }
}

impl Signals {
    pub(super) fn regrant(&mut self, live_until: Seq) {
        self.regrants += 1;
        self.live_until = self.live_until.min(live_until);
    }
    pub(super) fn purge(&mut self, code: Code, reason: &'static str) {
        self.live_until = 0;
        self.purge.get_or_insert((code, reason));
    }
    pub(super) fn replace(&mut self) {
        self.is_replaced = true;
    }
    pub(super) fn check_presence(&mut self) {
        self.presence_checks += 1;
    }
    pub(super) fn mail(&mut self) {
        self.mails += 1;
    }
    pub(super) fn sign_out(&mut self) {
        self.is_signed_out = true;
    }
    pub(super) fn sync_now(&mut self, entities: &BTreeSet<Name>) {
        self.syncs += 1;
        self.sync_entities.clone_from(entities);
    }
    pub(super) fn drain(&mut self, retry_ms: u64) {
        self.drain_retry_ms.get_or_insert(retry_ms);
    }
}
