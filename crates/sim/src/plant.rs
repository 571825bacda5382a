//! Bugs the simulator must find. They live in its own shells and adapters, around calls of the core; nothing of them ships.

macro_rules! bugs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug { $($(#[$doc])* $variant,)* }

        impl Bug {
            pub const ALL: &'static [Bug] = &[$(Bug::$variant,)*];
            pub fn name(self) -> &'static str {
                match self { $(Bug::$variant => $name,)* }
            }
        }
    };
}

bugs! {
    /// Replies leave before the journal is synced.
    AckBeforeFsync = "ack before fsync";
    /// A failed sync is taken for a good one.
    FsyncErrorIgnored = "fsync error ignored";
    /// A replayed mutation is decided again.
    NoDedupe = "no dedupe";
    /// High-water marks and outcomes are not in the journal.
    DedupeNotDurable = "dedupe not durable";
    /// A client writes its cursor in one transaction and the rows in the next.
    CursorBeforeRows = "cursor before rows";
    /// A live batch leaves its last entry out and moves the cursor past it.
    PageOffByOne = "page off by one";
    /// A session is given everything, whatever the member may see.
    NoPermissionOnPull = "no permission on pull";
    /// Mutations are decided as if the server itself had made them.
    NoPermissionOnPush = "no permission on push";
    /// Grants are looked at when a session opens and never again.
    PermissionAtSubscribeOnly = "permission checked at subscribe only";
    /// A client is not told to drop a scope that was taken away.
    NoPurgeOnRevoke = "no purge on revoke";
    /// Revocations are remembered as they were when the server started.
    RevokeCached = "revoke cached";
    /// Edits count as made when they arrive.
    ArrivalOrder = "arrival order for edit order";
    /// Edits count as made before everything else when they are a tie.
    TiebreakReversed = "tiebreak reversed";
    /// Conflicts are not written.
    ConflictDropped = "conflict dropped";
    /// Gaps in the client's numbering are closed by the server.
    GapCheckMissing = "gap check missing";
    /// A patch of a group is taken field by field.
    GroupHalvesMixed = "group halves mixed";
    /// A mutation leaves the outbox when it is sent.
    OutboxClearedOnSend = "outbox cleared on send";
    /// Log entries hash without their predecessor.
    AuditNotChained = "audit not chained";
    /// The user is the one the frame names.
    UserFromClient = "user id from the client";
    /// Compaction forgets tombstones without raising the horizon.
    TombstoneTooEarly = "tombstone collected too early";
    /// A restored backup goes on numbering where it stopped.
    RestoreWithoutEpoch = "restore without new epoch";
    /// Digests are taken over ids without rv.
    DigestWrongColumns = "digest over the wrong columns";
    /// A record that moves out of sight is not taken back.
    LeaveNotSent = "leave not sent";
    /// A rejected edit is dropped instead of being listed.
    RejectedDropped = "rejected edit dropped";
    /// The frames of a catch-up are applied one by one.
    CatchUpByFrames = "catch-up applied by frames";
    /// A counter's increments are applied again on every retry of the plan.
    CounterTwice = "counter applied twice";
    /// The base a client names is replaced by the newest one: everything counts as seen.
    BaseIgnored = "base rv ignored";
    /// A mutation of several records loses all but its first op.
    MutationSplit = "mutation split";
    /// Sets travel as whole values: what another device added is removed.
    SetReplaced = "set replaced whole";
    /// Outcomes that were lost with a connection are not sent again.
    OutcomesNotResent = "outcomes not sent again";
}
