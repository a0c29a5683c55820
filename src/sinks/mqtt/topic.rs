//! Topics of MQTT.

use crate::outcome::name::{breaks_line, turns};
use crate::sinks::http::escape::percent_where;
use crate::sinks::sink::Said;

/// The longest topic in octets (MQTT 5.0, section 1.5.4).
pub(super) const LONGEST: usize = 65_535;

/// A value as a part of one level of a topic: what separates levels, stands for some of them or begins a topic of the broker's own is
/// percent-encoded, and so is what a UTF-8 string of MQTT should not have.
pub(super) fn level(value: &str) -> String {
    percent_where(value, |c| matches!(c, '/' | '+' | '#' | '$') || is_no_text(c))
}

/// What a UTF-8 string of MQTT must or should not have: controls and non-characters (section 1.5.4); and what turns text.
fn is_no_text(c: char) -> bool {
    let number = u32::from(c);
    breaks_line(c) || turns(c) || (0xfdd0..=0xfdef).contains(&number) || number & 0xfffe == 0xfffe
}

/// Whether a text is a topic to which messages can be published.
///
/// # Errors
///
/// Why it is none.
pub(super) fn check(topic: &str) -> Result<(), Said> {
    if topic.is_empty() {
        return Err("the topic is empty".into());
    }
    if topic.len() > LONGEST {
        return Err(format!("the topic has {} bytes, more than {LONGEST}", topic.len()).into());
    }
    if topic.contains(['+', '#']) {
        return Err(format!("a topic has no wildcard, '+' or '#': {topic}").into());
    }
    if topic.contains(is_no_text) {
        return Err(format!("the topic has a control character: {topic}").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_stay_in_their_level() {
        assert_eq!(level("Interface Gi0/3"), "Interface Gi0%2F3");
        assert_eq!(level("$SYS/+/#\0é%2F"), "%24SYS%2F%2B%2F%23%00é%252F");
        assert_eq!(level("a\u{2028}\u{202e}\u{ffff}\u{fdd0}"), "a%E2%80%A8%E2%80%AE%EF%BF%BF%EF%B7%90");
        assert!(check("").is_err() && check("a/+").is_err() && check("a\u{1}").is_err());
        assert!(check(&"a".repeat(LONGEST)).is_ok() && check(&"a".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_makes_a_level_or_a_wildcard(values in proptest::collection::vec("[/+#$%\\x00a2F]{0,4}|\\PC{0,9}", 1..9)) {
            let mut known: HashMap<String, String> = HashMap::new();
            for value in values {
                let level = level(&value);
                prop_assert!(!level.contains(['/', '+', '#', '$', '\0']));
                prop_assert!(check(&["a/", &level].concat()).is_ok());
                // No two values share a topic.
                prop_assert_eq!(known.insert(level, value.clone()).unwrap_or(value.clone()), value);
            }
        }
    }
}
