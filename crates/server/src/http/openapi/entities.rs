//! The endpoints of every declared entity: one generic implementation, described with each entity's own fields.

use serde_json::{Map, Value, json};
use syncline_core::schema::{Entity, Field, FieldType, Format, Schema, SetItem};

use crate::http::entities::endings;

/// Adds paths and schemas of all entities.
pub fn describe(schema: &Schema, document: &mut Value) {
    for entity in schema.entities.values() {
        let name = entity.name.as_str();
        let schemas = &mut document["components"]["schemas"];
        schemas[record_name(name)] = record(entity);
        schemas[format!("{name}_fields")] = fields(entity);
        let paths = &mut document["paths"];
        let is_taken = paths.get(format!("/api/{name}")).is_some();
        let base = if is_taken { format!("/api/records/{name}") } else { format!("/api/{name}") };
        for (path, item) in [
            (base.clone(), collection(entity)),
            (format!("{base}/{{id}}"), one(entity)),
            (format!("{base}/bulk"), json!({"post": bulk(name)})),
        ] {
            paths[path] = item;
        }
    }
    describe_records(schema, document);
}

/// The same endpoints under a name that nothing else can take, for all entities at once.
fn describe_records(schema: &Schema, document: &mut Value) {
    let names: Vec<&str> = schema.entities.values().map(|entity| entity.name.as_str()).collect();
    let name = json!({"name": "entity", "in": "path", "required": true, "schema": {"type": "string", "enum": names}});
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}});
    let any = json!({"type": "object"});
    let operation = |id: &str, summary: &str, responses: Value| {
        secured(json!({
            "tags": ["entities"], "operationId": id, "summary": format!("{summary}: as under /api/ENTITY"),
            "responses": responses,
        }))
    };
    let with_body = |mut operation: Value| {
        operation["requestBody"] = body(&any);
        operation
    };
    let changed = |status: &str| {
        json!({status: answer("Done", &any), "202": answer("Done; a part waits for review", &any),
        "204": {"description": "Done, out of the caller's sight"}})
    };
    let base = "/api/records/{entity}";
    document["paths"][base] = json!({
        "parameters": [name],
        "get": operation("list_records", "Lists records", json!({"200": answer("A page", &any)})),
        "post": with_body(operation("create_record", "Creates a record", changed("201"))),
    });
    document["paths"][format!("{base}/{{id}}")] = json!({
        "parameters": [name, id],
        "get": operation("get_record", "Gets a record", json!({"200": answer("The record", &any),
            "304": {"description": "It has the rv of `If-None-Match`"}})),
        "patch": with_body(operation("update_record", "Changes members of a record", changed("200"))),
        "delete": operation("delete_record", "Deletes a record", json!({"204": {"description": "Deleted"}})),
    });
    document["paths"][format!("{base}/bulk")] = json!({
        "parameters": [name],
        "post": with_body(operation("bulk_records", "Writes many records",
            json!({"200": answer("One result per operation, in order", &any)}))),
    });
}

fn record_name(entity: &str) -> String {
    format!("{entity}_record")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn body(schema: &Value) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

/// As REST shows it.
fn record(entity: &Entity) -> Value {
    let mut properties = Map::new();
    properties.insert("id".to_owned(), json!({"type": "string", "format": "uuid"}));
    properties
        .insert("rv".to_owned(), json!({"type": "integer", "minimum": 0, "description": "Seq of its last change"}));
    properties.extend(entity.fields.values().map(|field| (field.name.to_string(), stored(field))));
    json!({"type": "object", "required": ["id", "rv"], "properties": properties})
}

/// As a write names them. What the server alone writes is not among them.
fn fields(entity: &Entity) -> Value {
    let writable = entity.fields.values().filter(|field| !field.is_server_only && !field.is_filled());
    let properties: Map<_, _> = writable.map(|field| (field.name.to_string(), written(field))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The canonical form of a field's values.
fn stored(field: &Field) -> Value {
    match &field.kind {
        FieldType::Text { max_len, .. } => json!({"type": "string", "maxLength": max_len}),
        FieldType::Choice { choices } => json!({"type": "string", "enum": choices}),
        FieldType::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        FieldType::Decimal { .. } => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
        FieldType::Boolean => json!({"type": "boolean"}),
        FieldType::Date => json!({"type": "string", "format": "date"}),
        FieldType::Timestamp => json!({"type": "string", "format": "date-time"}),
        FieldType::Uuid => json!({"type": "string", "format": "uuid"}),
        FieldType::Json { .. } => json!({}),
        FieldType::Set { items, max_items, max_len } => {
            json!({"type": "array", "uniqueItems": true, "maxItems": max_items, "items": item(*items, *max_len)})
        }
        FieldType::Counter => json!({"type": "integer"}),
    }
}

/// What a write may say of a field; `null` clears it.
fn written(field: &Field) -> Value {
    let value = match &field.kind {
        FieldType::Text { max_len, format } => text(*max_len, format.as_ref()),
        FieldType::Decimal { .. } => json!({"type": ["string", "number"]}),
        FieldType::Set { items, max_len, .. } => {
            let list = json!({"type": "array", "items": item(*items, *max_len)});
            let change =
                json!({"type": "object", "properties": {"add": list, "remove": list}, "additionalProperties": false});
            json!({"anyOf": [list, change]})
        }
        FieldType::Counter => {
            let step = json!({"type": "object", "required": ["inc"], "properties": {"inc": {"type": "integer"}}});
            json!({"anyOf": [{"type": "integer"}, step]})
        }
        FieldType::Choice { .. }
        | FieldType::Integer { .. }
        | FieldType::Boolean
        | FieldType::Date
        | FieldType::Timestamp
        | FieldType::Uuid
        | FieldType::Json { .. } => stored(field),
    };
    json!({"anyOf": [value, {"type": "null"}]})
}

fn text(max_len: u32, format: Option<&Format>) -> Value {
    let mut text = json!({"type": "string", "maxLength": max_len});
    let name = match format {
        Some(Format::Email) => "email",
        Some(Format::Url | Format::HttpsUrl) => "uri",
        Some(Format::Hostname) => "hostname",
        Some(
            Format::Phone
            | Format::Currency
            | Format::Country
            | Format::Timezone
            | Format::Language
            | Format::Slug
            | Format::Position
            | Format::NotBlank
            | Format::Pattern(_),
        )
        | None => return text,
    };
    text["format"] = json!(name);
    text
}

fn item(item: SetItem, max_len: u32) -> Value {
    match item {
        SetItem::Text | SetItem::FoldedText => json!({"type": "string", "minLength": 1, "maxLength": max_len}),
        SetItem::Uuid => json!({"type": "string", "format": "uuid"}),
    }
}

fn secured(mut operation: Value) -> Value {
    operation["security"] = json!([{"bearer": []}]);
    operation
}

fn key() -> Value {
    json!({"name": "Idempotency-Key", "in": "header", "description": "Makes the write repeatable",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}})
}

fn etag() -> Value {
    json!({"name": "If-Match", "in": "header", "description": "Only while the record has this rv, as its ETag says it",
        "schema": {"type": "string"}})
}

fn shown() -> Value {
    json!({"name": "fields", "in": "query", "description": "Names of the fields to show, with commas between them",
        "schema": {"type": "string"}})
}

fn collection(entity: &Entity) -> Value {
    let name = entity.name.as_str();
    let mut parameters = vec![
        json!({"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}}),
        json!({"name": "after", "in": "query", "description": "`next` of the page before", "schema": {"type": "string"}}),
        json!({"name": "sort", "in": "query", "description": "A field, or -field for the other way round", "schema": {"type": "string"}}),
        shown(),
    ];
    let reserved = |field: &&Field| !["limit", "after", "sort", "fields"].contains(&field.name.as_str());
    let filters = entity.fields.values().filter(|field| !matches!(field.kind, FieldType::Json { .. })).filter(reserved);
    for field in filters {
        let description = "Only records with this value; empty: without one";
        parameters
            .push(json!({"name": field.name, "in": "query", "description": description, "schema": {"type": "string"}}));
        parameters.extend(endings(field).iter().map(|ending| {
            let name = format!("{}.{ending}", field.name);
            json!({"name": name, "in": "query", "description": meaning(ending), "schema": {"type": "string"}})
        }));
    }
    let page = json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": reference(&record_name(name))},
            "next": {"type": ["string", "null"], "description": "`after` of the next page"},
        },
    });
    let list = json!({
        "tags": [name], "operationId": format!("list_{name}"), "summary": format!("Lists {name}"),
        "parameters": parameters, "responses": {"200": answer("A page", &page)},
    });
    let mut new = fields(entity);
    new["properties"]["id"] =
        json!({"type": "string", "format": "uuid", "description": "Minted by the creator; otherwise by the server"});
    let record = reference(&record_name(name));
    let create = json!({
        "tags": [name], "operationId": format!("create_{name}"), "summary": format!("Creates a record of {name}"),
        "parameters": [key()], "requestBody": body(&new),
        "responses": {
            "201": answer("Created", &record),
            "202": answer("Created; a part of it waits for review", &record),
            "204": {"description": "Created, out of the caller's sight"},
        },
    });
    json!({"get": secured(list), "post": secured(create)})
}

/// What a parameter with this ending asks for.
fn meaning(ending: &str) -> &'static str {
    match ending {
        "in" => "Only records with one of these values; 1 to 100, with commas between them",
        "gt" => "Only records with a greater value",
        "gte" => "Only records with this value or a greater one",
        "lt" => "Only records with a smaller value",
        "lte" => "Only records with this value or a smaller one",
        "starts" => "Only records whose text begins so, whatever the case of its letters a to z",
        _ => "",
    }
}

fn one(entity: &Entity) -> Value {
    let name = entity.name.as_str();
    let record = reference(&record_name(name));
    let get = json!({
        "tags": [name], "operationId": format!("get_{name}"), "summary": format!("Gets a record of {name}"),
        "parameters": [shown()],
        "responses": {"200": answer("The record", &record), "304": {"description": "It has the rv of `If-None-Match`"}},
    });
    let update = json!({
        "tags": [name], "operationId": format!("update_{name}"), "summary": format!("Changes members of a record of {name}"),
        "parameters": [key(), etag()], "requestBody": body(&reference(&format!("{name}_fields"))),
        "responses": {
            "200": answer("Changed", &record),
            "202": answer("Changed; a part of it waits for review", &record),
            "204": {"description": "Changed, and out of the caller's sight"},
        },
    });
    let delete = json!({
        "tags": [name], "operationId": format!("delete_{name}"), "summary": format!("Deletes a record of {name}"),
        "parameters": [key(), etag()],
        "responses": {"204": {"description": "Deleted, with what cascades from it"}},
    });
    let id = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}]);
    json!({"parameters": id, "get": secured(get), "patch": secured(update), "delete": secured(delete)})
}

fn bulk(name: &str) -> Value {
    let (id, rv) = (json!({"type": "string", "format": "uuid"}), json!({"type": ["integer", "null"], "minimum": 0}));
    let fields = reference(&format!("{name}_fields"));
    let operation = |op: &str, required: Value, properties: Value| {
        let mut properties = properties;
        properties["op"] = json!({"type": "string", "enum": [op]});
        json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
    };
    let operations = json!({"oneOf": [
        operation("create", json!(["op", "fields"]), json!({"id": id, "fields": fields})),
        operation("update", json!(["op", "id", "fields"]), json!({"id": id, "rv": rv, "fields": fields})),
        operation("delete", json!(["op", "id"]), json!({"id": id, "rv": rv})),
    ]});
    let request = json!({
        "type": "object", "required": ["operations"], "additionalProperties": false,
        "properties": {
            "atomic": {"type": "boolean", "default": false, "description": "All or nothing"},
            "operations": {"type": "array", "minItems": 1, "maxItems": 256, "items": operations},
        },
    });
    let result = json!({
        "type": "object", "required": ["id", "outcome"],
        "properties": {
            "id": id,
            "outcome": {"type": "string", "enum": ["applied", "merged", "superseded", "in_review", "rejected"]},
            "code": {"type": "string"},
            "detail": {"type": "string"},
        },
    });
    let answered = json!({"type": "object", "required": ["results"], "properties": {"results": {"type": "array", "items": result}}});
    secured(json!({
        "tags": [name], "operationId": format!("bulk_{name}"), "summary": format!("Writes many records of {name}"),
        "parameters": [key()], "requestBody": body(&request),
        "responses": {"200": answer("One result per operation, in order", &answered)},
    }))
}
