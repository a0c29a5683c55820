//! The names that rotations give to files.

/// The ends of the names of files that are compressed.
const COMPRESSED: [&str; 6] = [".gz", ".xz", ".zst", ".bz2", ".lz4", ".Z"];
/// How many digits a number of a rotation has at most.
const DIGITS: usize = 4;

/// What a file is to the one that is followed, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// It had the name: behind it stands what a rotation puts there.
    Rotated,
    /// The same, compressed.
    Compressed,
    /// Its name begins as such names do, but what follows is of no rotation that is known.
    Maybe,
    /// Another one.
    Stranger,
}

/// What a file with the name `other` is to the one with the name `followed`.
pub(super) fn kin(followed: &str, other: &str) -> Kin {
    let Some(suffix) = other.strip_prefix(followed) else { return Kin::Stranger };
    let plain = COMPRESSED.iter().find_map(|end| suffix.strip_suffix(end));
    match plain {
        Some(plain) if is_rotation(plain) => Kin::Compressed,
        None if is_rotation(suffix) => Kin::Rotated,
        _ if suffix.starts_with(['.', '-', '_']) => Kin::Maybe,
        _ => Kin::Stranger,
    }
}

/// `.1`, `-20261127`, `.2026-11-27`, `.old`, `~`: what logrotate, newsyslog, savelog and the loggers of languages append.
fn is_rotation(suffix: &str) -> bool {
    if suffix == "~" || suffix == ".old" {
        return true;
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    suffix.strip_prefix('.').is_some_and(|number| number.len() <= DIGITS && is_number(number))
        || suffix.strip_prefix(['.', '-', '_']).is_some_and(is_date)
}

/// A day or a month, and what tells times of it apart; or the seconds since 1970.
fn is_date(text: &str) -> bool {
    let number = |from: usize, length: usize| {
        let digits = text.get(from..from + length)?;
        digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    };
    if text.len() == 10 && number(0, 10).is_some_and(|seconds| seconds >= 1_000_000_000) {
        return true;
    }
    let between = |from: usize| usize::from(text[from..].starts_with(['-', '.', '_']));
    let Some(1970..=2199) = number(0, 4) else { return false };
    let month = 4 + between(4);
    let Some(1..=12) = number(month, 2) else { return false };
    if text.len() == month + 2 {
        return true;
    }
    let day = month + 2 + between(month + 2);
    let Some(1..=31) = number(day, 2) else { return false };
    let is_of_a_time = |octet: u8| octet.is_ascii_digit() || b"-_.:T+Z".contains(&octet);
    text.bytes().skip(day + 2).all(is_of_a_time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_rotations_and_of_other_files() {
        for (kind, suffixes) in [
            (
                Kin::Rotated,
                &[
                    ".0",
                    ".1",
                    ".12",
                    ".001",
                    "~",
                    ".old",
                    "-20261127",
                    ".20261127",
                    "_20261127",
                    "-2026-11-27",
                    ".2026-11-27",
                    "-2026112713",
                    "-20261127-13",
                    "-20261127-1",
                    "-20261127-1764230400",
                    "-1764230400",
                    ".2026-11-27_10-00",
                    ".2026-11-27.1",
                    "-2026-11-27T10:00:00Z",
                    "-202611",
                    ".2026-11",
                ][..],
            ),
            (
                Kin::Compressed,
                &[".1.gz", ".2.xz", "-20261127.zst", ".2026-11-27.bz2", ".old.gz", ".0.lz4", ".3.Z"],
            ),
            (
                Kin::Maybe,
                &[
                    ".warn",
                    ".err",
                    ".info",
                    "-errors",
                    "_audit",
                    ".1.warn",
                    ".12345",
                    ".gz",
                    ".bak",
                    ".1.gz.1",
                    "-1",
                    "_2",
                    "-20261327",
                    "-20261132",
                    ".1969-11-27",
                    "-20261127x",
                    "-20261127.warn",
                    ".",
                    "-",
                    ".2026-é1",
                    ".tmp",
                    ".swp",
                    ".warn.1",
                    ".warn-20261127.gz",
                    "-0764230400",
                ],
            ),
            (Kin::Stranger, &["", "1", "man", "log.1", "20261127", "er.log", "x~"]),
        ] {
            for suffix in suffixes {
                assert_eq!(kin("mail", &format!("mail{suffix}")), kind, "mail{suffix}");
                assert_eq!(kin("my.log", &format!("my.log{suffix}")), kind, "my.log{suffix}");
                assert_eq!(kin("mail", &format!("old{suffix}")), Kin::Stranger, "old{suffix}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_is_something(name in "\\PC*", suffix in "[-._~0-9a-zé]{0,20}") {
            kin(&name, &format!("{name}{suffix}"));
            is_date(&suffix);
        }
    }
}
