//! Pieces of JSON Schema (draft 2020-12) for the OpenAPI document.

use serde_json::{Map, Value, json};

/// Anything.
pub fn any() -> Value {
    json!({})
}

/// Any object.
pub fn object() -> Value {
    json!({ "type": "object" })
}

/// A text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A text, or null.
pub fn maybe_text() -> Value {
    json!({ "type": ["string", "null"] })
}

/// A whole number.
pub fn number() -> Value {
    json!({ "type": "integer" })
}

/// Yes or no.
pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A list.
pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// An object with these properties, all of which it has. It may have more.
pub fn with(properties: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let all: Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": all })
}

/// An object that may have these properties and no others.
pub fn only(required: &[&str], properties: &[(&str, Value)]) -> Value {
    let mut schema = with(properties);
    schema["required"] = json!(required);
    schema["additionalProperties"] = false.into();
    schema
}

/// A problem.
pub fn problem() -> Value {
    let line = || json!({ "type": ["integer", "null"] });
    let mistake = with(&[
        ("file", text()),
        ("line", line()),
        ("column", line()),
        ("message", text()),
        ("hint", maybe_text()),
        ("severity", json!({ "enum": ["error", "warning"] })),
    ]);
    let mut schema = with(&[("type", text()), ("title", text()), ("status", number()), ("detail", text())]);
    schema["properties"]["errors"] = list(mistake);
    schema
}
