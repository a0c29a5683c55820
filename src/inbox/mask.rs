//! What lines of one kind have in common.

use std::fmt::Write as _;

/// How many bytes of a line are looked at.
const MOST: usize = 400;

/// The line without what differs from message to message: every word with a digit becomes `#`, and so does what is in
/// quotes. At most 400 bytes of the line are looked at.
///
/// Lines with equal masks are of one kind: `link 3 of eth1 is down` and `link 4 of eth2 is down` both give
/// `link # of # is down`.
pub fn mask(line: &str) -> String {
    let line = &line[..line.floor_char_boundary(MOST)];
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').map_or(1, |end| end + 2),
            c if is_part_of_word(c) => rest.find(|c| !is_part_of_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        match first {
            '"' if length > 1 => masked.push_str("\"#\""),
            c if is_part_of_word(c) => push_word(&mut masked, part),
            _ => masked.push_str(part),
        }
        rest = after;
    }
    masked
}

/// Addresses, paths, names with a domain and numbers with a unit are one word each.
fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '/' | '@' | '%' | '+')
}

fn push_word(masked: &mut String, word: &str) {
    if !word.bytes().any(|b| b.is_ascii_digit()) {
        masked.push_str(word);
        return;
    }
    // A sentence may end behind a number.
    let end = word.trim_end_matches(['.', ':', '-']);
    // Writing to a String cannot fail.
    let _ = write!(masked, "#{}", &word[end.len()..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_is_masked() {
        for (line, masked) in [
            ("", ""),
            ("connection refused", "connection refused"),
            ("link 3 of eth1 is down", "link # of # is down"),
            ("from 192.0.2.7: 3 errors.", "from #: # errors."),
            ("disk /dev/sda1 at 99%, user \"root\" of 2001:db8::1", "disk # at #, user \"#\" of #"),
            ("an \"open quote of h1", "an \"open quote of #"),
            ("température 21°", "température #°"),
        ] {
            assert_eq!(mask(line), masked, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_mask_has_no_digit_and_is_its_own_mask(line in any::<String>()) {
            let masked = mask(&line);
            prop_assert!(!masked.bytes().any(|b| b.is_ascii_digit()), "{masked}");
            prop_assert_eq!(mask(&masked), masked);
        }

        #[test]
        fn numbers_do_not_matter(a in any::<u32>(), b in any::<u32>()) {
            prop_assert_eq!(mask(&format!("port {a} is down")), mask(&format!("port {b} is down")));
        }
    }
}
