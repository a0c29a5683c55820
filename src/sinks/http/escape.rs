//! Escaping for the places where values stand in requests.

use std::fmt::Write as _;

/// Percent-encoded (RFC 3986, section 2): all but unreserved characters.
pub fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// What stands between the quotes of a JSON string.
pub fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_value_leaves_its_place(text in any::<String>()) {
            let json: serde_json::Value = serde_json::from_str(&format!("{{\"a\":\"{}\"}}", in_json(&text))).unwrap();
            prop_assert_eq!(json["a"].as_str().unwrap(), &text);
            prop_assert!(percent(&text).bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        }
    }
}
