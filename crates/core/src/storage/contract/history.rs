use serde_json::json;

use super::draft::{CLIENT, World, fields, id, workspace};
use crate::id::{ClientId, ScopeId};
use crate::storage::{CHAIN_START, Store, StoreError, StoredOutcome, chain_hash};

/// Commits `count` mutations, each in a group of its own.
fn fill<S: Store>(world: &mut World<S>, count: u64) {
    for step in 0..count {
        world.commit(|draft| {
            draft.mutation();
            draft.put(
                "things",
                id(1),
                &ScopeId::WORKSPACE,
                fields(json!({"size": step, "note": "\u{1f600}\"\u{0}\\"})),
            );
        });
    }
}

pub(super) fn sto_11_the_log_pages_and_chains<S: Store>(world: &mut World<S>) {
    assert_eq!(world.head().chain, CHAIN_START, "STO-11: the chain starts with zeros");
    fill(world, 5);
    let seqs = |after, to, limit| {
        let entries = world.read(|read| read.log(after, to, limit));
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(0, 5, 100), [1, 2, 3, 4, 5], "STO-11: the whole log in order");
    assert_eq!(seqs(1, 4, 100), [2, 3, 4], "STO-11: after < seq <= to");
    assert_eq!(seqs(1, 4, 2), [2, 3], "STO-11: at most `limit`");
    assert!(seqs(5, 5, 9).is_empty(), "STO-11: behind the head is nothing");
    assert!(seqs(9, 3, 9).is_empty(), "STO-11: a backward range is empty");
    let entries = world.read(|read| read.log(0, 5, 100));
    let mut chain = CHAIN_START.to_owned();
    for entry in &entries {
        assert_eq!(
            world.read(|read| read.log_entry(entry.seq)).as_ref(),
            Some(entry),
            "STO-11: one by one as in pages"
        );
        chain = chain_hash(&chain, &serde_json::to_string(entry).expect("an entry encodes"));
    }
    assert_eq!(world.head().chain, chain, "STO-11: the head's chain is recomputed from what is stored");
    assert_eq!(entries[1].changes[0].before["size"], json!(0), "STO-11: entries keep the values before");
    assert_eq!(world.read(|read| read.log_entry(6)), None, "STO-11: no entry behind the head");
    assert_eq!(world.read(|read| read.log_entry(0)), None, "STO-11: no entry 0");
}

pub(super) fn sto_12_outcomes_and_clients_read_back<S: Store>(world: &mut World<S>) {
    let other = ClientId::from_u128(0xc2);
    assert_eq!(world.read(|read| read.client(CLIENT)), None, "STO-12: nobody is known at first");
    let mut written = Vec::new();
    world.commit(|draft| {
        draft.mutation();
        draft.rejection(other);
        draft.mutation();
        draft.rejection(CLIENT);
        written.clone_from(&draft.writes.outcomes);
    });
    let last = |client| world.read(|read| read.client(client)).map(|state| state.last_client_seq);
    assert_eq!((last(CLIENT), last(other)), (Some(3), Some(1)), "STO-12: the last state of a client counts");
    for stored in &written {
        let read = world.read(|read| read.outcome(stored.client_id, stored.outcome.client_seq));
        assert_eq!(read.as_ref(), Some(stored), "STO-12: an outcome reads back exactly");
    }
    let mine: Vec<StoredOutcome> = written.iter().filter(|stored| stored.client_id == CLIENT).cloned().collect();
    let from = |first, limit| world.read(|read| read.outcomes_from(CLIENT, first, limit));
    assert_eq!(from(1, 9), mine, "STO-12: all outcomes of a client in order");
    assert_eq!(from(0, 9), mine, "STO-12: from before the first");
    assert_eq!(from(2, 1), mine[1..2], "STO-12: at most `limit`");
    assert_eq!(from(4, 9), [], "STO-12: none behind the last");
    assert_eq!(world.read(|read| read.outcome(CLIENT, 4)), None, "STO-12: no outcome before it is decided");
}

pub(super) fn sto_12_a_stored_outcome_never_changes<S: Store>(world: &mut World<S>) {
    fill(world, 1);
    let stored = world.read(|read| read.outcome(CLIENT, 1)).expect("STO-12: it was decided");
    let mut again = stored.clone();
    again.outcome.detail = Some("changed".to_owned());
    let refused = world.try_commit(&workspace(), |draft| draft.writes.outcomes.push(again.clone()));
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "STO-12: a second outcome is refused, got {refused:?}");
    let now = world.read(|read| read.outcome(CLIENT, 1));
    assert_eq!(now, Some(stored), "STO-12: and the first one stands");
}

pub(super) fn sto_13_the_inbox_is_newest_first<S: Store>(world: &mut World<S>) {
    let (first, second) = (ClientId::from_u128(1), ClientId::from_u128(2));
    world.commit(|draft| {
        draft.rejection(second);
        draft.rejection(first);
        draft.rejection(first);
        draft.mutation();
        draft.rejection(second);
    });
    let inbox = |limit| world.read(|read| read.rejected(limit));
    let keys: Vec<_> = inbox(9).iter().map(|stored| (stored.client_id, stored.outcome.client_seq)).collect();
    assert_eq!(keys, [(second, 2), (second, 1), (first, 2), (first, 1)], "STO-13: newest first, applied ones left out");
    assert!(inbox(9).iter().all(|stored| stored.rejected.is_some()), "STO-13: with the mutation itself");
    assert_eq!(inbox(2), inbox(9)[..2], "STO-13: at most `limit`");
}
