//! Every case of the contract on every database (invariant 11), each a test of its own.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/postgres.rs"]
mod server;

use syncline_core::storage::Store;
use syncline_core::storage::contract::{self, World};
use syncline_storage::postgres::{PostgresOptions, PostgresStore};
use syncline_storage::{SqliteOptions, SqliteStore};

fn on_sqlite(case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.sqlite");
    run(case, SqliteStore::open(path, contract::schema(), SqliteOptions::default()).unwrap());
}

fn on_postgres(case: &str) {
    let database = server::TestDatabase::new();
    run(case, PostgresStore::open(&database.url, contract::schema(), PostgresOptions::default()).unwrap());
}

fn run<S: Store>(case: &str, store: S) {
    let cases = contract::cases::<S>();
    let (_, run) = cases.into_iter().find(|(name, _)| *name == case).unwrap();
    run(&mut World::new(contract::schema(), store));
}

macro_rules! cases {
    ($($case:ident,)*) => {
        mod sqlite {
            $(#[test] fn $case() { super::on_sqlite(stringify!($case)); })*
        }
        mod postgres {
            $(#[test] fn $case() { super::on_postgres(stringify!($case)); })*
        }
        const CASES: &[&str] = &[$(stringify!($case),)*];
    };
}

cases![
    sto_1_a_failed_plan_leaves_nothing,
    sto_1_a_refused_write_set_leaves_nothing,
    sto_1_a_plan_sees_the_state_it_is_applied_to,
    sto_2_another_head_is_refused,
    sto_3_values_read_back_exactly,
    sto_3_updates_replace_every_field,
    sto_3_versions_read_back_exactly,
    sto_4_a_tombstone_keeps_its_values_and_can_be_restored,
    sto_5_find_by_scalar,
    sto_5_find_by_element,
    sto_5_find_needs_an_index,
    sto_6_unique_keys_follow_every_write,
    sto_6_two_records_swap_their_keys,
    sto_7_changed_pages_without_splitting_an_rv,
    sto_7_changed_shows_the_present_scope_only,
    sto_8_departures_are_the_latest_in_range,
    sto_9_digests_and_scopes,
    sto_10_scope_rows_are_ordered_by_id,
    sto_11_the_log_pages_and_chains,
    sto_12_outcomes_and_clients_read_back,
    sto_12_a_stored_outcome_never_changes,
    sto_13_the_inbox_is_newest_first,
    sto_14_compact_forgets_the_old,
    sto_14_compact_keeps_what_is_not_acknowledged,
    sto_14_compact_forgets_what_single_requests_were_told,
    sto_14_a_forgotten_record_stays_gone_and_may_be_found_by_id,
    sto_15_an_epoch_moves_only_the_head,
    sto_16_workspaces_are_apart,
    sto_17_scan_pages_live_records,
    sto_18_workspaces_exist_once,
    sto_19_contradictions_are_refused,
    sto_20_references_in_any_order,
    sto_21_lists_are_those_of_the_reference,
    sto_21_a_list_names_declared_fields_only,
];

/// The names of the tests above are the names of the suite's cases.
fn assert_complete<S: Store>() {
    let all: Vec<&str> = contract::cases::<S>().into_iter().map(|(name, _)| name).collect();
    assert_eq!(CASES, all, "the list above names every case of the suite");
}

#[test]
fn inv_11_sqlite_passes_the_contract() {
    assert_complete::<SqliteStore>();
}

#[test]
fn inv_11_postgres_passes_the_contract() {
    assert_complete::<PostgresStore>();
}
