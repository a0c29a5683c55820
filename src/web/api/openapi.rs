//! The OpenAPI 3.1 document, made of the table of routes.

use serde_json::{Map, Value, json};

use super::problem;
use super::role::Role;
use super::route::{Gives, Method, Route};
use super::schema;

/// The document.
pub fn document(routes: impl Iterator<Item = &'static Route>) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Trapline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "SNMP traps and security syslog in, passive check results and events out",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::sessions::COOKIE },
            },
            "schemas": { "Problem": schema::problem() },
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }));
    let in_query = route.query.iter().map(
        |param| json!({ "name": param.name, "in": "query", "description": param.says, "schema": { "type": "string" } }),
    );
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let done = match route.gives {
        Gives::Json(schema) => {
            json!({ "200": { "description": "done", "content": { "application/json": { "schema": schema() } } } })
        }
        Gives::Other(kind) => json!({ "200": { "description": "done", "content": { (kind): {} } } }),
        Gives::Nothing => json!({ "204": { "description": "done" } }),
    };
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.says,
        "description": format!("Needs the role {}.", route.role.as_str()),
        "parameters": parameters,
        "responses": done,
    });
    let refers = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    operation["responses"]["default"] =
        json!({ "description": "a problem", "content": { (problem::CONTENT_TYPE): refers } });
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { (route.takes): { "schema": body() } } });
    }
    if route.role == Role::Open {
        operation["security"] = json!([]);
    }
    operation["x-role"] = route.role.as_str().into();
    operation
}

/// A name for generated clients: `get_states_host_service_history`.
fn id(route: &Route) -> String {
    let words = route
        .path
        .trim_start_matches("/api/")
        .trim_start_matches("v1/")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let method = match route.method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Delete => "delete",
    };
    // What differs by the slash at its end alone has a name of its own, too.
    let end = route.path.ends_with('/').then_some("index");
    std::iter::once(method).chain(words).chain(end).collect::<Vec<_>>().join("_")
}
