//! Names of topics.

use std::fmt::Write as _;

use crate::sinks::sink::Said;

/// The longest name of a topic.
const LONGEST: usize = 249;

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// A value as a part of one word of a name. All but letters, digits and `-` of ASCII become `_` and two digits in hex for each octet, also `_`
/// itself: names have no other signs, `.` separates words, and different values never become the same.
pub(super) fn word(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "_{byte:02X}");
        }
        out
    })
}

/// Whether a text is a name that a topic can have.
///
/// # Errors
///
/// Why it is none.
pub(super) fn check(topic: &str) -> Result<(), Said> {
    if topic.len() > LONGEST {
        return Err(format!("the topic has {} signs, more than {LONGEST}", topic.len()).into());
    }
    if matches!(topic, "" | "." | "..") {
        return Err(format!("'{topic}' is no name of a topic").into());
    }
    if !topic.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_')) {
        return Err(format!(
            "a topic has only letters, digits, '.', '_' and '-' of ASCII in its name: {topic}"
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_stay_in_their_word() {
        assert_eq!(word("Interface Gi0/3.1_a-b"), "Interface_20Gi0_2F3_2E1_5Fa-b");
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\n"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"a".repeat(LONGEST)).is_ok() && check(&"a".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_makes_a_word_and_no_two_share_a_topic(values in proptest::collection::vec("[._2E \\-]{0,4}|\\PC{0,9}", 1..9)) {
            let mut known: HashMap<String, String> = HashMap::new();
            for value in values {
                let word = word(&value);
                prop_assert!(!word.contains('.'));
                prop_assert!(check(&["a.x", &word].concat()).is_ok());
                prop_assert_eq!(known.insert(word, value.clone()).unwrap_or(value.clone()), value);
            }
        }
    }
}
