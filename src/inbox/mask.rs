//! What lines of one kind have in common.

use crate::syslog::pieces::{Piece, pieces};

/// The line without what differs from message to message: every word with a digit becomes `#`, and so does what is in
/// quotes. At most 400 bytes of the line are looked at.
///
/// Lines with equal masks are of one kind: `link 3 of eth1 is down` and `link 4 of eth2 is down` both give
/// `link # of # is down`.
pub fn mask(line: &str) -> String {
    let mut masked = String::new();
    for piece in pieces(line) {
        masked.push_str(match piece {
            Piece::Fixed(text) => text,
            Piece::Word(_) => "#",
            Piece::Quoted(_) => "\"#\"",
        });
    }
    masked
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
