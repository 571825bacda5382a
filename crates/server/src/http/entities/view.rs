//! A record as REST shows it: its fields beside `id` and `rv`, with the rv as ETag.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};
use syncline_core::Name;
use syncline_core::change::Outcome;
use syncline_core::record::Record;
use syncline_core::schema::Entity;

use crate::http::outcome::kind_text;
use crate::http::problem::ApiResult;
use crate::http::query::{Query, invalid};

/// Which fields to show.
#[derive(Clone, Debug)]
pub enum Selection {
    All,
    Named(Vec<Name>),
}

impl Selection {
    /// Takes `fields=a,b` from a query; every name must be declared.
    pub fn take(query: &mut Query, entity: &Entity) -> ApiResult<Self> {
        let Some(text) = query.take("fields") else { return Ok(Self::All) };
        let names = text.split(',').map(|name| match entity.field(name) {
            Some(field) => Ok(field.name.clone()),
            None if name == "id" || name == "rv" => Ok(Name::new(name)),
            None => Err(invalid("fields", &format!("names `{}`, which `{}` does not have", short(name), entity.name))),
        });
        names.collect::<ApiResult<_>>().map(Self::Named)
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `{"id", "rv", …fields}`; a field without a value is absent.
pub fn record_json(record: &Record, selection: &Selection) -> Value {
    let mut object = Map::with_capacity(record.fields.len() + 2);
    object.insert("id".to_owned(), Value::from(record.id.to_string()));
    object.insert("rv".to_owned(), Value::from(record.rv));
    match selection {
        Selection::All => {
            object.extend(record.fields.iter().map(|(name, value)| (name.to_string(), value.clone())));
        }
        Selection::Named(names) => {
            let named = names.iter().filter_map(|name| Some((name.to_string(), record.fields.get(name)?.clone())));
            object.extend(named);
        }
    }
    Value::Object(object)
}

/// The rv as a strong ETag: `"42"`.
pub fn etag(rv: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{rv}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// A record with its ETag.
pub fn record_response(record: &Record, selection: &Selection) -> Response {
    ([(header::ETAG, etag(record.rv))], Json(record_json(record, selection))).into_response()
}

/// The answer to a write: the record as it is now, or nothing when the caller does not see it (any more), with the outcome
/// in `Syncline-Outcome` and its conflicts in `Syncline-Conflicts`.
pub fn written_response(status: StatusCode, outcome: &Outcome, record: Option<&Record>) -> Response {
    let mut response = match record {
        Some(record) => (status, record_response(record, &Selection::All)).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    };
    outcome_headers(response.headers_mut(), outcome);
    response
}

fn outcome_headers(headers: &mut HeaderMap, outcome: &Outcome) {
    headers.insert("syncline-outcome", HeaderValue::from_static(kind_text(outcome.outcome)));
    let ids: Vec<String> = outcome.conflict_ids.iter().map(ToString::to_string).collect();
    if let Ok(value) = HeaderValue::from_str(&ids.join(","))
        && !ids.is_empty()
    {
        headers.insert("syncline-conflicts", value);
    }
}
