//! The suite every storage adapter passes (invariant 11): plain functions that panic with the rule they found broken.
//!
//! | rule | says |
//! |---|---|
//! | STO-1 | a write set is applied whole or not at all; what a plan read and wrote is one moment |
//! | STO-2 | a plan made on another head is refused as `Unavailable`, and nothing happens |
//! | STO-3 | a record reads back exactly as written, whatever its values |
//! | STO-4 | a tombstone keeps its last values; a restore makes it live again |
//! | STO-5 | `find` knows live records by indexed scalar and by set element, in id order |
//! | STO-6 | `find_unique` follows every write, also when two records swap their keys |
//! | STO-7 | `changed` pages in `(rv, id)` order and never splits an rv |
//! | STO-8 | `departures` gives the latest departure per record within the range asked for |
//! | STO-9 | digests are stored per scope; `scopes` lists exactly those with something in them, in order |
//! | STO-10 | `scope_rows` gives a scope's live records in `(id, entity)` order |
//! | STO-11 | the log pages in order, reads back exactly, and its chain is the head's |
//! | STO-12 | outcomes and clients read back exactly; a stored outcome never changes |
//! | STO-13 | the inbox gives rejected mutations, newest first |
//! | STO-14 | `compact` forgets what is old and acknowledged, and nothing else; deleted ids stay known |
//! | STO-15 | `begin_epoch` moves head and `min_seq` to the epoch's base and leaves everything else; none begins twice |
//! | STO-16 | workspaces never see one another, also with the same ids |
//! | STO-17 | `scan` pages through live records in id order |
//! | STO-18 | a workspace exists once, and one that does not exist is an error |
//! | STO-19 | a plan that contradicts what is stored is refused as `Corrupt`, and nothing happens |
//! | STO-20 | records that refer to one another may be written in any order within a write set |
//! | STO-21 | `list` filters, sorts and pages as the reference does over all live records, within the scopes asked for |

mod draft;
mod history;
mod life;
mod lists;
mod records;
mod scopes;

use std::sync::Arc;

pub use draft::{CLIENT, Draft, World, id, workspace};

use super::Store;
use crate::schema::Schema;

/// Runs every case on a store of its own. `factory` opens an empty one for the given schema.
pub fn run<S: Store>(mut factory: impl FnMut(&Arc<Schema>) -> S) {
    let schema = schema();
    for (name, case) in cases::<S>() {
        // Said before the case runs, so that the output of a failing test ends with the case that failed.
        println!("contract: {name}");
        case(&mut World::new(schema.clone(), factory(&schema)));
    }
}

/// One case: panics with the rule it found broken.
pub type Case<S> = fn(&mut World<S>);

/// Every case with its name, for a runner that wants to treat them one by one.
pub fn cases<S: Store>() -> Vec<(&'static str, Case<S>)> {
    macro_rules! list {
        ($($module:ident::$case:ident,)*) => { vec![$((stringify!($case), $module::$case::<S> as Case<S>),)*] };
    }
    list![
        life::sto_1_a_failed_plan_leaves_nothing,
        life::sto_1_a_refused_write_set_leaves_nothing,
        life::sto_1_a_plan_sees_the_state_it_is_applied_to,
        life::sto_2_another_head_is_refused,
        records::sto_3_values_read_back_exactly,
        records::sto_3_updates_replace_every_field,
        records::sto_3_versions_read_back_exactly,
        records::sto_4_a_tombstone_keeps_its_values_and_can_be_restored,
        records::sto_5_find_by_scalar,
        records::sto_5_find_by_element,
        records::sto_5_find_needs_an_index,
        records::sto_6_unique_keys_follow_every_write,
        records::sto_6_two_records_swap_their_keys,
        scopes::sto_7_changed_pages_without_splitting_an_rv,
        scopes::sto_7_changed_shows_the_present_scope_only,
        scopes::sto_8_departures_are_the_latest_in_range,
        scopes::sto_9_digests_and_scopes,
        scopes::sto_10_scope_rows_are_ordered_by_id,
        history::sto_11_the_log_pages_and_chains,
        history::sto_12_outcomes_and_clients_read_back,
        history::sto_12_a_stored_outcome_never_changes,
        history::sto_13_the_inbox_is_newest_first,
        life::sto_14_compact_forgets_the_old,
        life::sto_14_compact_keeps_what_is_not_acknowledged,
        life::sto_14_compact_forgets_what_single_requests_were_told,
        life::sto_14_a_forgotten_record_stays_gone_and_may_be_found_by_id,
        life::sto_15_an_epoch_moves_only_the_head,
        life::sto_16_workspaces_are_apart,
        records::sto_17_scan_pages_live_records,
        life::sto_18_workspaces_exist_once,
        life::sto_19_contradictions_are_refused,
        records::sto_20_references_in_any_order,
        lists::sto_21_lists_are_those_of_the_reference,
        lists::sto_21_a_list_names_declared_fields_only,
    ]
}

/// The suite's own schema: every field type, indexes, uniqueness and every kind of reference.
pub fn schema() -> Arc<Schema> {
    let schema = Schema::parse(include_str!("contract/schema.toml"), "storage/contract/schema.toml");
    Arc::new(schema.expect("the suite's schema is checked in"))
}
