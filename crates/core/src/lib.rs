//! The pure heart of Syncline: schema, merge, rules, digests, protocol types, the engine that plans every commit, and
//! the session machines of both sides.
//!
//! Nothing here performs I/O, reads a clock or draws randomness (invariant 1): time, ids and stored state are arguments,
//! decisions are return values. Start reading at [`engine`] (server) and [`replica`] (client); [`merge`] holds all of the
//! conflict policy on one page.

pub mod change;
pub mod clock;
pub mod digest;
pub mod engine;
pub mod id;
pub mod merge;
pub mod messages;
pub mod principal;
pub mod protocol;
pub mod record;
pub mod replica;
pub mod schema;
pub mod session;
pub mod storage;

/// A field value as it stands on the wire and in memory: JSON, canonicalised by the schema's field type
/// (see [`schema::FieldType`] for the canonical form of each). Absent and `null` mean the same: no value.
pub type Value = serde_json::Value;

/// An entity or field name of the schema: lower snake case, cheap to clone.
pub type Name = smol_str::SmolStr;

/// The field values of one record or patch by field name, in name order, so that equal contents encode to equal bytes.
pub type Fields = std::collections::BTreeMap<Name, Value>;
/// Fields that several hold at once: a record, the change that made it, and whoever still looks at it. Copied on write.
pub type SharedFields = std::sync::Arc<Fields>;

/// Milliseconds since the Unix epoch. Always an argument here, never read from a clock.
pub type TimestampMs = u64;

/// Position in a workspace's change log; 0 is "before everything". Stays below 2^53 (JSON numbers are exact to there).
pub type Seq = u64;
