//! Subjects of NATS.

use crate::outcome::name::{breaks_line, turns};
use crate::sinks::http::escape::percent_where;
use crate::sinks::sink::Said;

/// The longest subject in bytes: a line of the protocol has 4096, with more than the subject.
pub(super) const LONGEST: usize = 2048;

/// A value as a part of one word of a subject: what separates words, stands for some of them or begins a subject of the server's own is
/// percent-encoded, and so is what ends a line or turns text.
pub(super) fn word(value: &str) -> String {
    percent_where(value, |c| matches!(c, '.' | '*' | '>' | '$') || ends(c))
}

fn ends(c: char) -> bool {
    c.is_whitespace() || breaks_line(c) || turns(c)
}

/// Whether a text is a subject to which messages can be published.
///
/// # Errors
///
/// Why it is none.
pub(super) fn check(subject: &str) -> Result<(), Said> {
    if subject.len() > LONGEST {
        return Err(format!("the subject has {} bytes, more than {LONGEST}", subject.len()).into());
    }
    if subject.split('.').any(str::is_empty) {
        return Err(format!("the subject has an empty word: {subject}").into());
    }
    if subject.split('.').any(|word| word == "*" || word == ">") {
        return Err(format!("a subject of a message has no wildcard, '*' or '>': {subject}").into());
    }
    if subject.contains(ends) {
        return Err(format!("a subject has no white space and no control character: {subject}").into());
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
        assert_eq!(word("Interface Gi0/3.1"), "Interface%20Gi0/3%2E1");
        assert_eq!(word("$SYS.>.*\r\nPUB x 0\r\n%"), "%24SYS%2E%3E%2E%2A%0D%0APUB%20x%200%0D%0A%25");
        assert!(
            check("").is_err() && check("a..b").is_err() && check("a.>").is_err() && check("a b").is_err()
        );
        assert!(check(&"a".repeat(LONGEST)).is_ok() && check(&"a".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_makes_a_word_or_a_wildcard(values in proptest::collection::vec("[.*>$% \r\n2E]{0,4}|\\PC{0,9}", 1..9)) {
            let mut known: HashMap<String, String> = HashMap::new();
            for value in values {
                let word = word(&value);
                prop_assert!(!word.contains(['.', '*', '>', '$', ' ', '\r', '\n']));
                prop_assert!(check(&["a.x", &word].concat()).is_ok());
                // No two values share a subject.
                prop_assert_eq!(known.insert(word, value.clone()).unwrap_or(value.clone()), value);
            }
        }
    }
}
