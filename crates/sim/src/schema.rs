//! The simulator's schema: the CRM's, with accounts whose balances only move in pairs, and a later version with one more
//! field and rule.

use std::sync::Arc;

use syncline_core::schema::Schema;

/// Sum of all balances at every moment.
pub const BALANCE_SUM: i64 = 300;
pub const ACCOUNTS: &str = "sim_accounts";

const CRM: &str = include_str!("../../../schema/crm.toml");

const EXTRA: &str = r#"
[entities.sim_accounts]
tier = "important"
scope = ["workspace"]
title = "name"
create = "server"
update = "integration"
delete = "server"
[entities.sim_accounts.fields]
name = { type = "text", max_len = 40 }
balance = { type = "counter" }
"#;

const LATER: &str = r#"later_note = { type = "text", max_len = 40 }
[[entities.sim_accounts.rules]]
name = "not_forbidden"
on = ["update"]
when = "changed.name"
check = "new.name != 'forbidden'"
message = "This name is taken by a later schema."
"#;

thread_local! {
    static FIRST: Arc<Schema> = parse(&format!("{CRM}{EXTRA}"));
    static SECOND: Arc<Schema> = parse(&format!("{}{EXTRA}{LATER}", CRM.replacen("version = 1", "version = 2", 1)));
}

fn parse(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text, "sim.toml").expect("the simulator's schema is checked by its tests"))
}

pub fn first() -> Arc<Schema> {
    FIRST.with(Arc::clone)
}

/// An additive change: one field and one rule more.
pub fn second() -> Arc<Schema> {
    SECOND.with(Arc::clone)
}
