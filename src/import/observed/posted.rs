//! A rule for what was posted over HTTP.

use serde_json::{Map, Value};

use super::draft::{Draft, slug};
use crate::message::PostKind;
use crate::posted::kept::Kept;
use crate::settings::section::quoted;

/// How many fields are named in the comment.
const MOST: usize = 12;

/// A rule for a service that checks in, which says by itself how it is, or for an event.
pub fn posted(kept: &Kept) -> Draft {
    let id = quoted(&slug(&format!("{} {}", kept.kind.as_str(), kept.name), 60));
    let name = quoted(&kept.name);
    let host = kept.host.iter().map(|host| format!("host = {}", quoted(host)));
    if kept.kind == PostKind::Json {
        let fields: Map<String, Value> = serde_json::from_str(&kept.text).unwrap_or_default();
        let known: Vec<String> =
            fields.keys().take(MOST).map(|key| format!("json[{}]", quoted(key))).collect();
        let rule = format!(
            "# State, service and output: choose them by the fields, such as {}.\n[[rule]]\nid = {id}\njson = {name}\n[rule.check]\nservice = {name}\nstate = \"unknown\"\noutput = \"{{{{ text }}}}\"\n",
            known.join(", ").escape_debug()
        );
        let own = [format!("name = {name}"), format!("body = {}", quoted(&kept.text))];
        let fields: Vec<String> = own.into_iter().chain(host).collect();
        return Draft { rule, message: format!("json = {{ {} }}", fields.join(", ")) };
    }
    let rule = format!(
        "# State: what the service says.\n[[rule]]\nid = {id}\ncheckin = {name}\n[rule.check]\nservice = \"{{{{ checkin }}}}\"\nstate = \"status\"\noutput = \"{{{{ info }}}}\"\n"
    );
    let fields: Map<String, Value> = serde_json::from_str(&kept.text).unwrap_or_default();
    let plain = fields.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        Some(format!("{} = {value}", key(name)))
    });
    let fields: Vec<String> = host.chain(plain).collect();
    Draft { rule, message: format!("checkin = {{ {} }}", fields.join(", ")) }
}

/// A key of TOML: bare where it can be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { Value::from(name).to_string() }
}
