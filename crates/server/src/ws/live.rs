//! Live delivery: the ring, the way back onto it, and changes of grants (spec §10, GRT-1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use syncline_core::Seq;
use syncline_core::digest::Digest;
use syncline_core::engine::access::access_of;
use syncline_core::id::ScopeId;
use syncline_core::principal::{Access, Grants};
use syncline_core::protocol::limits::FRAME_BYTES_MAX;
use syncline_core::protocol::{CloseCode, Code, GrantAction, ServerFrame};
use syncline_core::schema::Schema;
use syncline_core::session::server::{catch_up, needs_whole, render_batch};
use syncline_core::storage::{Read, StoreResult};

use super::session::{End, Session};
use crate::app::CATCH_UP_BYTES_MAX;
use crate::clock;
use crate::hub::{Encoded, Taken, TopicTaken};
use crate::observe::{Status, SyncOperation};

/// Entries that are replayed one by one from the log; a session further behind gets them coalesced.
const REPLAY_ENTRIES_MAX: usize = 1_000;
/// Bytes that a session which serves itself sends before it looks at everything else.
const AT_ONCE_BYTES_MAX: usize = 512 * 1024;

impl Session {
    /// Sends what the hub could not: the rest of a frame that the system did not take whole, what is for this session alone,
    /// what its topics and its ring hold, and from the store what the ring does not reach.
    pub(super) async fn send_live(&mut self) -> Result<(), End> {
        self.socket.send_wire(&[]).await?;
        if let Some(identity) = &self.identity {
            identity.registered.begin();
        }
        let (mut sent, mut turn) = (0, Turn::Topics);
        while let Some(next) = self.next_live(turn) {
            turn = turn.other();
            // A topic that never falls silent must not keep the session from reading, answering and its deadlines.
            if sent > AT_ONCE_BYTES_MAX {
                if let Some(identity) = &self.identity {
                    identity.registered.send_later();
                }
                return self.send_next(next).await;
            }
            sent += next.bytes();
            self.send_next(next).await?;
        }
        Ok(())
    }

    async fn send_next(&mut self, next: Next) -> Result<(), End> {
        match next {
            Next::Frames(wire, frames) => {
                self.app.metrics.hub.frames_sent.inc_by(frames as u64);
                Ok(self.socket.send_wire(&wire).await?)
            }
            Next::Missed { topic, count } => {
                self.app.metrics.hub.live_missed.inc_by(count);
                Ok(self.socket.send(&ServerFrame::Missed { topic, count }).await?)
            }
            Next::Behind => {
                let Some(access) = self.access.clone() else { return Ok(()) };
                self.catch_up_from_store(&access).await
            }
        }
    }

    /// What is to be sent next. What is for this session alone overtakes the others.
    fn next_live(&self, turn: Turn) -> Option<Next> {
        let registered = &self.identity.as_ref().filter(|_| self.deposit.is_none())?.registered;
        if registered.has_signal() {
            registered.send_later();
            return None;
        }
        let personal = registered.take_personal();
        if !personal.is_empty() {
            let frames = personal.len();
            return Some(Next::Frames(personal, frames));
        }
        let of_topics = || match registered.take_topics()? {
            (_, TopicTaken::Frames(bytes, frames)) => Some(Next::Frames(vec![bytes], frames)),
            (topic, TopicTaken::Missed(count)) => Some(Next::Missed { topic: topic.to_owned(), count }),
            (_, TopicTaken::Nothing) => None,
        };
        let of_ring = || {
            self.access.as_ref()?;
            match registered.take() {
                Taken::Frames(bytes, frames) => Some(Next::Frames(vec![bytes], frames)),
                Taken::Behind => Some(Next::Behind),
                Taken::Nothing => None,
            }
        };
        match turn {
            Turn::Topics => of_topics().or_else(of_ring),
            Turn::Ring => of_ring().or_else(of_topics),
        }
    }

    /// Brings the session from its cursor to the head under `access`, then back onto the ring.
    async fn catch_up_from_store(&mut self, access: &Access) -> Result<(), End> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let started = clock::instant();
        let workspace_id = identity.principal.workspace_id.clone();
        let (schema, workspace, user) = (self.app.schema(), workspace_id.clone(), identity.principal.user_id);
        let (cursor, expected) = (identity.registered.seat.cursor(), access.clone());
        let read = move |read: &dyn Read| {
            // Changed meanwhile: the signal is on its way, and its handling catches up under the new access.
            if access_of(&schema, &workspace, read, user)?.as_ref() != Some(&expected) {
                return Ok(Missed::OtherAccess);
            }
            missed(&schema, read, &expected.grants, cursor)
        };
        let turn = self.app.catch_ups.clone().acquire_owned().await;
        let missed = self.app.db.read(&workspace_id, read).await;
        drop(turn);
        match missed {
            Ok(Missed::Frames { frames, to }) => {
                // A `hello` can be answered without room; a session under way cannot.
                let Some(_room) = self.app.room_for(&frames).await else {
                    return Err(End::Close(CloseCode::Resync, "no room for what was missed"));
                };
                for frame in frames {
                    if self.is_cut_off() {
                        return Ok(());
                    }
                    self.socket.send_all(&[frame]).await?;
                }
                if let Some(identity) = &self.identity {
                    identity.registered.resume(to);
                    identity.registered.want(to);
                }
                self.count_sync(SyncOperation::CatchUp, Status::Ok, started.elapsed());
                Ok(())
            }
            Ok(Missed::OtherAccess) => self.regrant().await,
            Ok(Missed::Resync) => Err(End::Close(CloseCode::Resync, "too far behind")),
            Err(error) => {
                self.count_sync(SyncOperation::CatchUp, Status::Failed, started.elapsed());
                tracing::warn!(event = "catch_up_failed", %error, "a session could not be caught up");
                Err(End::Close(CloseCode::Resync, "the store is not available"))
            }
        }
    }

    /// Grants have changed: tells what goes and what comes, before anything else (spec GRT-1). Where scopes came, the
    /// client says `hello`, and nothing live is sent before that; where scopes only went, the session goes on.
    pub(super) async fn regrant(&mut self) -> Result<(), End> {
        let Some(was) = self.access.clone() else { return Ok(()) };
        loop {
            let Some(identity) = &mut self.identity else { return Ok(()) };
            let version = identity.registered.hub().access_version();
            let workspace_id = identity.principal.workspace_id.clone();
            let (schema, workspace, user) = (self.app.schema(), workspace_id.clone(), identity.principal.user_id);
            let read = move |read: &dyn Read| {
                let existing: BTreeSet<ScopeId> = read.scopes()?.into_iter().map(|(scope, _)| scope).collect();
                Ok((access_of(&schema, &workspace, read, user)?, existing))
            };
            let (access, existing) = match self.app.db.read(&workspace_id, read).await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(event = "regrant_failed", %error, "a session's access could not be read");
                    return Err(End::Close(CloseCode::Resync, "the store is not available"));
                }
            };
            let Some(access) = access else {
                let reason = "You are not a member of this workspace any more.";
                return self.begin_deposit(Code::DeviceRevoked, reason).await;
            };
            if !identity.registered.join(&access, version) {
                continue;
            }
            return self.tell_grants(&was, access, &existing).await;
        }
    }

    async fn tell_grants(&mut self, was: &Access, now: Access, existing: &BTreeSet<ScopeId>) -> Result<(), End> {
        let (before, after) = (scopes_of(&was.grants, existing), scopes_of(&now.grants, existing));
        let (was, is) = (&was.grants, &now.grants);
        let frame = |scope: &ScopeId, action: GrantAction, reason: &str| {
            Encoded::new(&ServerFrame::Grant { scope: scope.clone(), action, reason: reason.to_owned() })
        };
        let removed = before.iter().filter(|scope| !is.includes(scope));
        let added = after.iter().filter(|scope| !was.includes(scope));
        let mut frames: Vec<Encoded> =
            removed.map(|scope| frame(scope, GrantAction::Remove, "Your access has changed.")).collect();
        let removals = frames.len();
        frames.extend(added.map(|scope| frame(scope, GrantAction::Add, "Your access has changed.")));
        let has_additions = frames.len() > removals;
        self.socket.send_all(&frames).await?;
        if has_additions {
            if let Some(identity) = &mut self.identity {
                identity.registered.unjoin();
            }
            self.access = None;
            return Ok(());
        }
        self.access = Some(now.clone());
        Box::pin(self.catch_up_from_store(&now)).await
    }
}

fn scopes_of(grants: &Grants, existing: &BTreeSet<ScopeId>) -> BTreeSet<ScopeId> {
    match grants {
        Grants::All => existing.clone(),
        Grants::Scopes(scopes) => scopes.clone(),
    }
}

/// Whose turn it is first: neither keeps the other back.
#[derive(Clone, Copy)]
enum Turn {
    Topics,
    Ring,
}

impl Turn {
    fn other(self) -> Self {
        match self {
            Self::Topics => Self::Ring,
            Self::Ring => Self::Topics,
        }
    }
}

/// What a session that serves itself has to do next.
enum Next {
    /// Whole frames; how many.
    Frames(Vec<Bytes>, usize),
    /// It was too slow for a topic.
    Missed { topic: String, count: u64 },
    /// The ring does not go on where the session is.
    Behind,
}

impl Next {
    fn bytes(&self) -> usize {
        match self {
            Self::Frames(wire, _) => wire.iter().map(Bytes::len).sum(),
            Self::Missed { .. } | Self::Behind => 0,
        }
    }
}

enum Missed {
    Frames {
        frames: Vec<Encoded>,
        to: Seq,
    },
    /// The cursor is too old for the log, or too much has changed since: a `hello` finds another way.
    Resync,
    OtherAccess,
}

/// What somebody with `grants` has missed since `cursor`: the log's entries when they are few and fit, otherwise coalesced.
fn missed(schema: &Schema, read: &dyn Read, grants: &Grants, cursor: Seq) -> StoreResult<Missed> {
    let head = read.head()?;
    if cursor < head.min_seq {
        return Ok(Missed::Resync);
    }
    let to = head.seq;
    if to <= cursor {
        return Ok(Missed::Frames { frames: Vec::new(), to: cursor });
    }
    let entries: Vec<_> = read.log(cursor, to, REPLAY_ENTRIES_MAX + 1)?.into_iter().map(Arc::new).collect();
    if entries.len() <= REPLAY_ENTRIES_MAX && !needs_whole(&entries, grants) {
        let touched: BTreeSet<ScopeId> = entries.iter().flat_map(|entry| entry.scopes()).collect();
        let visible = touched.into_iter().filter(|scope| grants.includes(scope));
        let digests: BTreeMap<ScopeId, Digest> =
            visible.map(|scope| read.scope_digest(&scope).map(|digest| (scope, digest))).collect::<StoreResult<_>>()?;
        let frame = Encoded::new(&ServerFrame::Batch(render_batch(&entries, &digests, grants, (cursor, to))));
        if frame.payload_len() <= FRAME_BYTES_MAX {
            return Ok(Missed::Frames { frames: vec![frame], to });
        }
    }
    let existing: BTreeSet<ScopeId> = read.scopes()?.into_iter().map(|(scope, _)| scope).collect();
    let held: Vec<_> = scopes_of(grants, &existing).into_iter().map(|scope| (scope, cursor)).collect();
    let caught_up = catch_up(schema, read, grants, (&held, to), CATCH_UP_BYTES_MAX)?;
    if !caught_up.left_out.is_empty() {
        return Ok(Missed::Resync);
    }
    Ok(Missed::Frames {
        frames: caught_up.batches.into_iter().map(|batch| Encoded::new(&ServerFrame::Batch(batch))).collect(),
        to,
    })
}
