//! A rule for what was posted over HTTP.

use serde_json::{Map, Value};

use super::draft::{Draft, slug};
use crate::posted::kept::Kept;
use crate::settings::section::quoted;

/// A rule for a service that checks in: it says by itself how it is.
pub fn posted(kept: &Kept) -> Draft {
    let id = slug(&format!("{} {}", kept.kind.as_str(), kept.name), 60);
    let name = quoted(&kept.name);
    let rule = format!(
        "# State: what the service says.\n[[rule]]\nid = {}\ncheckin = {name}\n[rule.check]\nservice = \"{{{{ checkin }}}}\"\nstate = \"status\"\noutput = \"{{{{ info }}}}\"\n",
        quoted(&id)
    );
    let fields: Map<String, Value> = serde_json::from_str(&kept.text).unwrap_or_default();
    let host = kept.host.iter().map(|host| format!("host = {}", quoted(host)));
    let plain = fields.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        Some(format!("{} = {value}", quoted(name)))
    });
    let fields: Vec<String> = host.chain(plain).collect();
    Draft { rule, message: format!("checkin = {{ {} }}", fields.join(", ")) }
}
