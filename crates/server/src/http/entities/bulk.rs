//! `POST /api/{entity}/bulk`: many writes in one request, all or nothing or each by itself.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use syncline_core::change::{Op, Outcome, OutcomeKind};
use syncline_core::id::RecordId;
use syncline_core::protocol::Code;
use syncline_core::protocol::limits::OPS_PER_MUTATION_MAX;
use syncline_core::schema::Entity;
use syncline_core::storage::StoreResult;
use syncline_core::{Fields, Seq};

use super::idempotency::{derived_record_id, idempotency};
use super::write::{author, entity_natural_id, fields_of, parse_id};
use super::{entity, visible};
use crate::app::App;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::outcome::kind_text;
use crate::http::problem::{ApiError, ApiResult};
use crate::push::{Idempotency, Write};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// All in one mutation, or each in its own.
    #[serde(default)]
    atomic: bool,
    operations: Vec<Operation>,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Operation {
    Create {
        id: Option<Value>,
        fields: Map<String, Value>,
    },
    Update {
        id: Value,
        /// The rv the change was made on; absent: the present one.
        rv: Option<Seq>,
        fields: Map<String, Value>,
    },
    Delete {
        id: Value,
        rv: Option<Seq>,
    },
}

/// One result per operation, in order.
#[derive(Serialize)]
pub struct Answer {
    results: Vec<OneResult>,
}

#[derive(Serialize)]
struct OneResult {
    id: RecordId,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Operations of one request. More: `too_large`.
const OPERATIONS_MAX: usize = OPS_PER_MUTATION_MAX;

/// What is to be done to a record, before its present rv is known.
enum Intent {
    Create { id: RecordId, fields: Fields },
    Update { id: RecordId, rv: Option<Seq>, fields: Fields },
    Delete { id: RecordId, rv: Option<Seq> },
}

pub async fn bulk(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> ApiResult<axum::Json<Answer>> {
    let schema = app.schema();
    let entity = entity(&schema, &name)?;
    let count = request.operations.len();
    if count == 0 || count > OPERATIONS_MAX {
        let code = if count == 0 { Code::Validation } else { Code::TooLarge };
        return Err(ApiError::new(code, format!("A bulk request has 1 to {OPERATIONS_MAX} operations.")));
    }
    let text = serde_json::to_string(&request).map_err(|_| ApiError::internal())?;
    let idempotency = idempotency(&headers, &caller, format!("POST {name}/bulk {text}").as_bytes())?;
    let mut intents = Vec::with_capacity(count);
    for (operation, index) in request.operations.into_iter().zip(0_u64..) {
        intents.push(intent(entity, &caller, operation, idempotency.as_ref().map(|key| (key, index)))?);
    }
    let (ids, ops) = ops(&app, &caller, entity, intents).await?;
    let mutations = if request.atomic { vec![ops] } else { ops.into_iter().map(|op| vec![op]).collect() };
    let write = Write { author: author(&caller), mutations, precondition: None, idempotency };
    let outcomes = app.write(write).await?;
    let shared = outcomes.len() == 1;
    let of = |index: usize| outcomes.get(if shared { 0 } else { index });
    let results = ids.into_iter().enumerate().filter_map(|(index, id)| Some(one_result(id, of(index)?)));
    Ok(axum::Json(Answer { results: results.collect() }))
}

fn one_result(id: RecordId, outcome: &Outcome) -> OneResult {
    let is_rejected = outcome.outcome == OutcomeKind::Rejected;
    OneResult {
        id,
        outcome: kind_text(outcome.outcome),
        code: outcome.code.filter(|_| is_rejected),
        detail: outcome.detail.clone().filter(|_| is_rejected),
    }
}

fn intent(
    entity: &Entity,
    caller: &Caller,
    operation: Operation,
    key: Option<(&Idempotency, u64)>,
) -> ApiResult<Intent> {
    Ok(match operation {
        Operation::Create { id, fields } => {
            let fields = fields_of(entity, fields)?;
            let id = match (id, entity_natural_id(entity, caller, &fields), key) {
                (Some(given), _, _) => parse_id(&given)?,
                (None, Some(natural), _) => natural,
                (None, None, Some((key, index))) => derived_record_id(key, index),
                (None, None, None) => RecordId(crate::random::uuid_v7()),
            };
            Intent::Create { id, fields }
        }
        Operation::Update { id, rv, fields } => {
            Intent::Update { id: parse_id(&id)?, rv, fields: fields_of(entity, fields)? }
        }
        Operation::Delete { id, rv } => Intent::Delete { id: parse_id(&id)?, rv },
    })
}

/// The ops, with the present rv where the caller named none. A record that is not visible gets base 0; the engine answers
/// it like one that is not there.
async fn ops(app: &App, caller: &Caller, entity: &Entity, intents: Vec<Intent>) -> ApiResult<(Vec<RecordId>, Vec<Op>)> {
    let (grants, name) = (caller.access.grants.clone(), entity.name.clone());
    let read = move |read: &dyn syncline_core::storage::Read| {
        let present = |id| Ok(visible(read, &grants, &name, id)?.map_or(0, |record| record.rv));
        let base = |id, rv: Option<Seq>| rv.map_or_else(|| present(id), Ok);
        let op = |intent| -> StoreResult<(RecordId, Op)> {
            let entity = name.clone();
            Ok(match intent {
                Intent::Create { id, fields } => (id, Op::Create { entity, id, fields }),
                Intent::Update { id, rv, fields } => (id, Op::Update { entity, id, base_rv: base(id, rv)?, fields }),
                Intent::Delete { id, rv } => (id, Op::Delete { entity, id, base_rv: base(id, rv)? }),
            })
        };
        intents.into_iter().map(op).collect::<StoreResult<Vec<_>>>()
    };
    Ok(app.db.read(caller.workspace_id(), read).await?.into_iter().unzip())
}
