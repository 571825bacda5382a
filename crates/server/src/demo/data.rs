//! The demo's records: a team, status options, a pipeline, companies, contacts, leads, deals and tasks.

use serde_json::json;
use syncline_core::change::Op;
use syncline_core::id::{RecordId, WorkspaceId};
use syncline_core::{Fields, Value};

use super::words::{
    CITIES, COMPANY_HEADS, COMPANY_TAILS, FIRST_NAMES, JOB_TITLES, LAST_NAMES, PRODUCTS, SOURCES, TAGS,
};
use super::{USERS, demo_id};
use crate::app::App;
use crate::bootstrap::{create, fields};
use crate::server::ServerError;

const COMPANIES: usize = 40;
const CONTACTS: usize = 200;
const OPPORTUNITIES: usize = 30;
const TASKS: usize = 40;
/// Mutations written at a time.
const BATCH: usize = 100;

/// Name, meaning, color.
const LEAD_STATUSES: [(&str, &str, &str); 6] = [
    ("New", "open", "#64748b"),
    ("Contacted", "ongoing", "#0ea5e9"),
    ("Qualified", "ongoing", "#6366f1"),
    ("On hold", "on_hold", "#f59e0b"),
    ("Won", "won", "#22c55e"),
    ("Lost", "lost", "#ef4444"),
];

/// Name, type, probability.
const STAGES: [(&str, &str, u8); 5] = [
    ("Discovery", "open", 10),
    ("Proposal", "open", 40),
    ("Negotiation", "open", 70),
    ("Won", "won", 100),
    ("Lost", "lost", 0),
];

/// Writes what is not there yet.
pub(super) async fn ensure(app: &App, workspace_id: &WorkspaceId) -> Result<(), ServerError> {
    let mut missing = Vec::new();
    for op in all() {
        let (entity, id) = (op.target().0.to_owned(), op.target().1);
        let is_known = app.db.read(workspace_id, move |read| Ok(read.record(&entity, id)?.is_some())).await?;
        if !is_known {
            missing.push(vec![op]);
        }
    }
    for batch in missing.chunks(BATCH) {
        app.write_all(workspace_id, batch.to_vec()).await?;
    }
    Ok(())
}

fn all() -> Vec<Op> {
    let mut ops = vec![team(), pipeline()];
    ops.extend((0..LEAD_STATUSES.len()).map(status_option));
    ops.extend((0..STAGES.len()).map(stage));
    ops.extend((0..COMPANIES).map(company));
    ops.extend((0..CONTACTS).map(contact));
    ops.extend((0..CONTACTS).map(lead));
    ops.extend((0..OPPORTUNITIES).map(opportunity));
    ops.extend((0..TASKS).map(task));
    ops
}

fn id(entity: &str, number: usize) -> RecordId {
    RecordId(demo_id(entity, number as u128))
}

fn reference(entity: &str, number: usize) -> Value {
    json!(id(entity, number))
}

/// A number that looks random and is the same at every start: the high bits of a multiplicative hash.
fn pick(salt: u64, number: usize, of: usize) -> usize {
    let mixed =
        (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed >> 33) % of as u64) as usize
}

/// Position keys in order: A, B, C …
fn position(number: usize) -> Value {
    let letter = char::from(b'A' + u8::try_from(number % 26).unwrap_or(0));
    json!(format!("{letter}V"))
}

/// The owner of a record, spread over the two agents, the team and nobody.
fn owner(fields: &mut Fields, name: &'static str, number: usize) {
    match number % 4 {
        0 => drop(fields.insert(name.into(), json!(USERS[2].user_id()))),
        1 => drop(fields.insert(name.into(), json!(USERS[3].user_id()))),
        2 => drop(fields.insert("team_id".into(), reference("teams", 0))),
        _ => {}
    }
}

fn team() -> Op {
    let members = json!([USERS[2].user_id(), USERS[3].user_id()]);
    create("teams", id("teams", 0), fields([("name", json!("Field sales")), ("member_ids", members)]))
}

fn pipeline() -> Op {
    let fields = fields([
        ("name", json!("Sales")),
        ("entity", json!("opportunity")),
        ("is_default", json!(true)),
        ("rotten_days", json!(30)),
        ("position", position(0)),
    ]);
    create("pipelines", id("pipelines", 0), fields)
}

fn stage(number: usize) -> Op {
    let (name, kind, probability) = STAGES[number];
    let fields = fields([
        ("pipeline_id", reference("pipelines", 0)),
        ("name", json!(name)),
        ("type", json!(kind)),
        ("probability", json!(probability)),
        ("position", position(number)),
    ]);
    create("pipeline_stages", id("pipeline_stages", number), fields)
}

fn status_option(number: usize) -> Op {
    let (name, kind, color) = LEAD_STATUSES[number];
    let fields = fields([
        ("category", json!("lead")),
        ("name", json!(name)),
        ("type", json!(kind)),
        ("color", json!(color)),
        ("position", position(number)),
        ("is_default", json!(number == 0)),
    ]);
    create("status_options", id("status_options", number), fields)
}

fn company_name(number: usize) -> String {
    let head = COMPANY_HEADS[number % COMPANY_HEADS.len()];
    format!("{head} {}", COMPANY_TAILS[(number / 2 + number / COMPANY_HEADS.len()) % COMPANY_TAILS.len()])
}

fn slug(text: &str) -> String {
    text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn company(number: usize) -> Op {
    let name = company_name(number);
    let domain = format!("{}{number}.example", slug(&name));
    let (city, country) = CITIES[pick(1, number, CITIES.len())];
    let fields = fields([
        ("website", json!(format!("https://{domain}"))),
        ("domain", json!(domain)),
        ("type", json!(if number.is_multiple_of(3) { "customer" } else { "prospect" })),
        ("address", json!({"city": city, "country": country})),
        ("name", json!(name)),
    ]);
    create("companies", id("companies", number), fields)
}

fn contact(number: usize) -> Op {
    let first = FIRST_NAMES[pick(2, number, FIRST_NAMES.len())];
    let last = LAST_NAMES[pick(3, number, LAST_NAMES.len())];
    let company = pick(4, number, COMPANIES);
    let (city, country) = CITIES[pick(5, number, CITIES.len())];
    let mut fields = fields([
        ("firstname", json!(first)),
        ("lastname", json!(last)),
        ("name", json!(format!("{first} {last}"))),
        ("email", json!(format!("{}.{}{number}@example.com", slug(first), slug(last)))),
        ("phone_number", json!(format!("+1 555 01{:02} {:03}", number % 100, number))),
        ("company_name", json!(company_name(company))),
        ("company_id", reference("companies", company)),
        ("job_title", json!(JOB_TITLES[pick(6, number, JOB_TITLES.len())])),
        ("city", json!(city)),
        ("country", json!(country)),
        ("lead_source", json!(SOURCES[pick(7, number, SOURCES.len())])),
        ("tags", json!([TAGS[pick(8, number, TAGS.len())]])),
    ]);
    owner(&mut fields, "assigned_to", number);
    create("contacts", id("contacts", number), fields)
}

fn lead(number: usize) -> Op {
    let priorities = ["low", "medium", "medium", "high", "urgent"];
    let temperatures = ["cold", "warm", "warm", "hot"];
    let statuses = LEAD_STATUSES.len() - 1;
    let mut fields = fields([
        ("contact_id", reference("contacts", number)),
        ("product_interest", json!(PRODUCTS[pick(9, number, PRODUCTS.len())])),
        ("lead_source", json!(SOURCES[pick(7, number, SOURCES.len())])),
        ("status_option_id", reference("status_options", pick(10, number, statuses))),
        ("priority", json!(priorities[pick(11, number, priorities.len())])),
        ("temperature", json!(temperatures[pick(12, number, temperatures.len())])),
        ("estimated_value", json!(format!("{}.00", 500 + 250 * pick(13, number, 60)))),
        ("currency", json!("EUR")),
        ("company_id", reference("companies", pick(4, number, COMPANIES))),
        ("tags", json!([TAGS[pick(14, number, TAGS.len())], TAGS[pick(15, number, TAGS.len())]])),
    ]);
    owner(&mut fields, "owner_id", number);
    create("leads", id("leads", number), fields)
}

fn opportunity(number: usize) -> Op {
    let stage = pick(16, number, 3);
    let contact = number * 5 % CONTACTS;
    let mut fields = fields([
        ("name", json!(format!("{} for {}", PRODUCTS[pick(17, number, PRODUCTS.len())], company_name(number)))),
        ("contact_id", reference("contacts", contact)),
        ("lead_id", reference("leads", contact)),
        ("company_id", reference("companies", number)),
        ("pipeline_id", reference("pipelines", 0)),
        ("stage_id", reference("pipeline_stages", stage)),
        ("probability", json!(STAGES[stage].2)),
        ("amount", json!(format!("{}.00", 2_000 + 1_500 * pick(18, number, 40)))),
        ("currency", json!("EUR")),
    ]);
    if number.is_multiple_of(2) {
        fields.insert("owner_id".into(), json!(USERS[2 + number % 4 / 2].user_id()));
    }
    create("opportunities", id("opportunities", number), fields)
}

fn task(number: usize) -> Op {
    let kinds =
        [("follow_up", "Follow up with"), ("call", "Call"), ("email", "Write to"), ("todo", "Prepare an offer for")];
    let (kind, verb) = kinds[pick(19, number, kinds.len())];
    let contact = number * 3 % CONTACTS;
    let first = FIRST_NAMES[pick(2, contact, FIRST_NAMES.len())];
    let mut fields = fields([
        ("title", json!(format!("{verb} {first}"))),
        ("type", json!(kind)),
        ("status", json!("todo")),
        ("subject_type", json!("contact")),
        ("subject_id", reference("contacts", contact)),
    ]);
    if number.is_multiple_of(2) {
        fields.insert("assigned_to".into(), json!(USERS[2 + number % 4 / 2].user_id()));
    }
    create("tasks", id("tasks", number), fields)
}
