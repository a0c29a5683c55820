//! Decoded messages on a terminal.

use crate::terminal::println;
use serde_json::Value;

/// Escaped for a terminal: a value from the network moves no cursor.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

/// Prints a message that was described as JSON, a field a line.
pub fn print_message(described: &Value) {
    for (name, value) in described.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("varbinds", Value::Array(varbinds)) => {
                println!("varbinds");
                for (at, v) in varbinds.iter().enumerate() {
                    let (name, kind, text) = (plain(&v["name"]), plain(&v["type"]), plain(&v["text"]));
                    println!("  v[{}]  {name} ({kind}) = {text}", at + 1);
                }
            }
            (_, Value::Object(fields)) if fields.is_empty() => {}
            (name, Value::Object(fields)) => {
                let fields: Vec<String> = fields
                    .iter()
                    .filter(|(_, v)| !v.is_null())
                    .map(|(k, v)| format!("{k}={}", plain(v)))
                    .collect();
                println!("{name:<16}{}", fields.join("  "));
            }
            (name, value) => println!("{name:<16}{}", plain(value)),
        }
    }
}
