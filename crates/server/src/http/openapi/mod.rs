//! `/api/openapi.json` and `/api/docs`: what this server answers, made from the handlers' own descriptions and the schema.

mod entities;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use syncline_core::protocol::Code;
use syncline_core::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// Everything but the entities' own endpoints, which [`entities::describe`] adds for those that are declared.
#[derive(OpenApi)]
#[openapi(
    info(title = "Syncline", description = "Offline-first sync for lead and CRM data, over REST."),
    modifiers(&Bearer),
    paths(
        super::auth::login::login,
        super::auth::refresh::refresh,
        super::auth::logout::logout,
        super::auth::validate::validate,
        super::auth::password::change_password,
        super::auth::public_keys::public_keys,
        super::auth::devices::list_devices,
        super::auth::devices::revoke_device,
        super::auth::devices::rename_device,
        super::admin::users::list_users,
        super::admin::users::create_user,
        super::admin::users::get_user,
        super::admin::users::update_user,
        super::admin::users::deactivate_user,
        super::admin::identities::unlink_identity,
        super::admin::members::update_member,
        super::admin::rejected::rejected,
        super::admin::devices::devices,
        super::admin::clients::clients,
        super::admin::audit::audit,
        super::admin::alerts::alerts,
        super::admin::webhooks::list_webhooks,
        super::admin::webhooks::create_webhook,
        super::admin::webhooks::get_webhook,
        super::admin::webhooks::update_webhook,
        super::admin::webhooks::delete_webhook,
        super::admin::webhooks::deliveries,
        super::admin::webhooks::retry_delivery,
        super::analytics::usage::usage,
        super::analytics::sync::sync,
        super::analytics::connections::connections,
        super::analytics::conflicts::conflicts,
        super::analytics::calls::calls,
        super::analytics::calls::report,
        super::hooks::receive,
        super::messages::send,
        super::messages::list,
        super::messages::types,
        super::messages::acknowledge,
        super::messages::dead_letters,
        super::messages::get,
        super::messages::replay,
        super::stats::stats,
        super::sync::snapshot::snapshot,
        super::sync::status::status,
        super::sync::trigger::trigger,
        super::sync::history::history,
        super::sync::rejected::rejected,
        super::entities::search::search,
        super::entities::search::enhanced_search,
        super::entities::search::leads_by_contact,
        super::health::live,
        super::health::ready,
        super::health::health,
        super::presence::connected,
        super::presence::viewers,
        super::metrics::metrics
    )
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Where a client runs.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for core's type, which knows nothing of documents")]
pub enum DeploymentMode {
    WebApp,
    BrowserExtension,
    LocalInstall,
    MobileApp,
}

/// How much of a workspace a member may see.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for core's type, which knows nothing of documents")]
pub enum ReadScope {
    Own,
    Team,
    All,
}

/// A version of the declaration of entities.
#[derive(ToSchema)]
#[expect(dead_code, reason = "stands for core's type, which knows nothing of documents")]
pub struct SchemaRef {
    version: u32,
    hash: String,
}

/// Statuses that any request may be answered with. A 500 is always a bug, so it is not among them.
const ALWAYS: [u16; 12] = [400, 401, 403, 404, 408, 413, 414, 422, 429, 431, 503, 504];
/// Further ones of requests with a body.
const WITH_BODY: [u16; 5] = [409, 410, 412, 415, 424];

/// The document for this schema.
fn document(schema: &Schema) -> Value {
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["info"]["license"] = json!({"name": "Apache-2.0", "identifier": "Apache-2.0"});
    for (path, method, id, what) in TRANSPORTS {
        document["paths"][path] = transport(path, method, id, what);
    }
    entities::describe(schema, &mut document);
    document["components"]["schemas"]["Problem"] = problem();
    document["components"]["responses"]["Problem"] = json!({
        "description": "What happened and what to do (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths.iter_mut() {
        let Some(item) = item.as_object_mut() else { continue };
        for (method, operation) in item.iter_mut().filter(|(_, operation)| operation.get("responses").is_some()) {
            let statuses = ALWAYS
                .iter()
                .chain(WITH_BODY.iter().filter(|_| matches!(method.as_str(), "post" | "patch" | "delete")));
            for status in statuses {
                let responses = &mut operation["responses"];
                if responses.get(status.to_string()).is_none() {
                    responses[status.to_string()] = json!({"$ref": "#/components/responses/Problem"});
                }
            }
            if TRANSPORTS.iter().any(|(transport, ..)| transport == path) {
                operation["responses"]["426"] = json!({"$ref": "#/components/responses/Problem"});
            }
        }
    }
    document
}

/// The body of every error.
fn problem() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "class", "message"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": codes},
            "class": {"type": "string", "enum": ["transient", "session", "protocol", "rejected", "local", "fatal"]},
            "message": {"type": "string"},
            "retry_ms": {"type": "integer", "minimum": 0},
            "request_id": {"type": "string"},
            "entity": {"type": "string"},
            "field": {"type": "string"},
        },
    })
}

/// The ways of the sync protocol, which a document can only point at.
const TRANSPORTS: [(&str, &str, &str, &str); 4] = [
    ("/ws/{deployment_mode}/{client_id}", "get", "socket", "Opens a WebSocket"),
    ("/sse/{deployment_mode}/{client_id}", "get", "events", "Opens a stream of server-sent events"),
    ("/poll/{deployment_mode}/{client_id}", "post", "poll", "Waits for frames"),
    ("/channel/{channel}", "post", "channel", "Hands frames to an open session"),
];

fn transport(path: &str, method: &str, id: &str, what: &str) -> Value {
    let names = path.split(['{', '}']).skip(1).step_by(2);
    let parameters: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    json!({method: {
        "tags": ["sync"],
        "operationId": id,
        "summary": format!("{what} speaking the sync protocol: see spec/PROTOCOL.md"),
        "parameters": parameters,
        "responses": {"101": {"description": "A WebSocket is open"}, "200": {"description": "Frames"}},
    }})
}

/// `GET /api/openapi.json`, with what [`render`] made.
pub fn serve(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// The document as it is sent.
pub fn render(schema: &Schema) -> Bytes {
    document(schema).to_string().into()
}

const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");
/// Nothing from anywhere else, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// `GET /api/docs`: the document for people.
pub async fn page() -> Response {
    asset(PAGE, "text/html; charset=utf-8")
}

/// `GET /api/docs/page.js`.
pub async fn script() -> Response {
    asset(SCRIPT, "text/javascript; charset=utf-8")
}

/// `GET /api/docs/page.css`.
pub async fn style() -> Response {
    asset(STYLE, "text/css; charset=utf-8")
}

fn asset(text: &'static str, content_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{Config, Server};

    /// Addresses that serve the document and its page themselves.
    const SELF: [&str; 4] = ["/api/openapi.json", "/api/docs", "/api/docs/page.js", "/api/docs/page.css"];

    /// The addresses a router knows, as its debugging text quotes them.
    fn paths(router: &axum::Router) -> Vec<String> {
        let text = format!("{router:?}");
        let quoted = text.split('"').skip(1).step_by(2);
        quoted.filter(|path| path.starts_with('/')).map(ToOwned::to_owned).collect()
    }

    /// Operations of the document as `(path, method)`.
    fn operations(document: &Value) -> Vec<(String, String)> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            operations.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
        }
        operations
    }

    /// The address with something in place of every parameter.
    fn example(path: &str) -> String {
        let parts = path
            .split('/')
            .map(|part| if part.starts_with('{') { "00000000-0000-7000-8000-000000000000" } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    #[tokio::test]
    async fn api_4_every_route_of_the_router_is_in_the_document_and_the_other_way_round() {
        crate::install_crypto();
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.http.port = 0;
        config.metrics.port = Some(0);
        config.metrics.is_on_main_port = true;
        config.rates.is_enabled = false;
        config.store.data_dir = data.path().to_owned();
        let server = Server::start(config, Arc::new(Schema::crm())).await.unwrap();
        let router = crate::http::router(Arc::clone(server.app()));
        let documented = operations(&document(&Schema::crm()));
        let generic = |path: &str| path.replace("/api/{entity}", "/api/contacts");
        let known = paths(&router);
        assert!(known.len() > 25, "the router's paths were not read: {known:?}");
        let mut missing = Vec::new();
        for path in known.iter().filter(|path| {
            path.starts_with("/api")
                || path.starts_with("/health")
                || TRANSPORTS.iter().any(|(transport, ..)| transport == path)
                || path.starts_with("/metrics")
        }) {
            if SELF.contains(&path.as_str()) {
                continue;
            }
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let request = Request::builder().method(method).uri(example(path)).body(Body::empty()).unwrap();
                let answer = router.clone().oneshot(request).await.unwrap();
                let is_there = answer.status() != StatusCode::METHOD_NOT_ALLOWED;
                let wanted = if path.starts_with("/api/{entity}") { generic(path) } else { path.clone() };
                if is_there && !documented.contains(&(wanted.clone(), method.to_owned())) {
                    missing.push(format!("{method} {path}"));
                }
            }
        }
        assert!(
            missing.is_empty(),
            "describe these with #[utoipa::path] and list them in http/openapi/mod.rs: {missing:?}"
        );
        for (path, method) in documented {
            let request = Request::builder().method(method.as_str()).uri(example(&path)).body(Body::empty()).unwrap();
            let status = router.clone().oneshot(request).await.unwrap().status();
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is documented and not there");
        }
        server.stop().await;
    }

    #[test]
    fn api_4_the_document_is_openapi_3_1_and_refers_to_nothing_that_is_not_there() {
        let document = document(&Schema::crm());
        assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
        let mut references = Vec::new();
        collect(&document, &mut references);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap_or(&reference);
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let ids: Vec<_> = operations(&document)
            .iter()
            .filter_map(|(path, method)| {
                document["paths"][path][method.to_lowercase()]["operationId"].as_str().map(ToOwned::to_owned)
            })
            .collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), operations(&document).len(), "every operation has an id");
        assert_eq!(unique.len(), ids.len(), "no two have the same");
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                references.extend(members.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                members.values().for_each(|member| collect(member, references));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
