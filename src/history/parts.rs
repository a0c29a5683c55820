//! The names of the files of rows. The number rises with each; the date is for people.

use std::io::{self, ErrorKind};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::files::Folder;

const START: &str = "outcomes-";
const END: &str = ".db";
/// What SQLite has beside a file.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What a file is called that is no database any more.
const UNREADABLE: &str = ".unreadable";

/// A file of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) date: String,
}

impl Name {
    pub(super) fn new(number: u64, now: i64) -> Self {
        Name { number, date: date(now) }
    }

    pub(super) fn file(&self) -> String {
        format!("{START}{:06}-{}{END}", self.number, self.date)
    }

    fn parse(file: &str) -> Option<Self> {
        let (number, date) = file.strip_prefix(START)?.strip_suffix(END)?.split_once('-')?;
        let name = Name { number: number.parse().ok()?, date: date.to_owned() };
        (name.file() == file && date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
            .then_some(name)
    }
}

/// The day of a time, UTC.
pub(super) fn date(micros: i64) -> String {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC).date().to_string()
}

/// The files of rows, the oldest first.
pub(super) fn all(folder: &Folder) -> io::Result<Vec<Name>> {
    let mut names: Vec<Name> = folder.list()?.iter().filter_map(|name| Name::parse(name)).collect();
    names.sort();
    Ok(names)
}

/// The bytes of a file and what SQLite has beside it.
pub(super) fn bytes(folder: &Folder, file: &str) -> u64 {
    let length = |name: &str| folder.measure(name).unwrap_or(0);
    length(file) + BESIDE.iter().map(|end| length(&format!("{file}{end}"))).sum::<u64>()
}

/// Removes a file and what SQLite has beside it. Who reads it goes on to its end.
pub(super) fn remove(folder: &Folder, file: &str) -> io::Result<()> {
    for name in [""].iter().chain(&BESIDE).map(|end| format!("{file}{end}")) {
        match folder.remove(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a file that is no database another name, so that a new one can take its place.
pub(super) fn set_aside(folder: &Folder, file: &str) -> io::Result<String> {
    let aside = folder.set_aside(file)?;
    for end in BESIDE {
        match folder.remove(&format!("{file}{end}")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// The files that were set aside.
pub(super) fn unreadable(folder: &Folder) -> io::Result<Vec<String>> {
    Ok(folder.list()?.into_iter().filter(|name| name.contains(UNREADABLE)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_their_number_and_others_are_none() {
        let name = Name::new(17, 1_795_000_000_000_000);
        assert_eq!(name.file(), "outcomes-000017-2026-11-18.db");
        assert_eq!(Name::parse(&name.file()), Some(name));
        let (young, old) = (Name::new(1_000_000, 0), Name::new(999_999, 1_795_000_000_000_000));
        assert!(old < young);
        for other in [
            "outcomes-17-2026-11-18.db",
            "outcomes-000017-2026-11-18.db-wal",
            "rollup.db",
            "outcomes-000017-../../etc.db",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
