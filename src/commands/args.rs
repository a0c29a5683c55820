//! Arguments that several commands have.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::num::IntErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::config::file;
use crate::history::filter::time;
use crate::settings::values::parse_duration;

/// Where a configuration is looked for that is not named, in this order.
const USUAL: [&str; 2] = ["trapline.toml", "/etc/trapline/trapline.toml"];

/// `--config`
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file. Default: ./trapline.toml, /etc/trapline/trapline.toml, or built-in defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is named cannot be asked for alone: a command that forgets the usual places would work on another journal, or take what is
/// configured for something that is not.
impl ConfigArg {
    /// The configuration file that is named, or is in a usual place; none for the built-in defaults.
    pub fn path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| first_of(USUAL.map(Path::new)))
    }

    /// The same for a command that takes more than one: what is named here and these, or what [`ConfigArg::path`] gives if nothing is
    /// named.
    pub fn paths(&self, others: Vec<PathBuf>) -> Vec<Option<PathBuf>> {
        let named: Vec<_> = self.config.clone().into_iter().chain(others).map(Some).collect();
        if named.is_empty() { vec![self.path()] } else { named }
    }

    /// What a plugin says of a configuration that cannot be read, in its line.
    pub fn unreadable(&self) -> String {
        let path = self.path().unwrap_or_default();
        let path = path.display();
        format!("the configuration {path} cannot be read; run `trapline check {path}`")
    }

    /// No configuration is named.
    #[cfg(test)]
    pub fn none() -> Self {
        ConfigArg { config: None }
    }
}

/// The first of these places that has something: also a link to nothing, which whoever reads it reports. If none has, the first one
/// that may have something, as this user cannot look at it: what is configured there is not what a command does without.
fn first_of<const N: usize>(places: [&Path; N]) -> Option<PathBuf> {
    let looked = places.map(|path| (path, path.symlink_metadata().map_err(|error| error.kind())));
    let has = looked.iter().find(|(_, found)| found.is_ok());
    let may_have =
        |(_, found): &&(&Path, _)| !matches!(found, Err(ErrorKind::NotFound | ErrorKind::NotADirectory));
    has.or_else(|| looked.iter().find(may_have)).map(|(path, _)| path.to_path_buf())
}

/// Arguments of a list that has no others.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

/// What is said where the folder of the history is not there: the daemon makes it at its first start with `[history]`.
pub fn no_history(config: Option<&Path>, directory: &Path) -> String {
    let todo = if file::has_history(config) {
        "the daemon makes it when it starts with this configuration: start it with `trapline run`, or restart it"
    } else {
        "add [history] to the configuration of the daemon, or name the configuration with --config"
    };
    format!("there is no history in {}; {todo}", directory.display())
}

/// A pattern of names. An empty one is the name of nothing.
pub fn glob(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty, and no name is; write a name, or leave the option out for all".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a whole number of a range. Who writes something else is told the range and `example`: clap and std say only what is wrong.
pub fn whole<N>(range: RangeInclusive<u64>, example: u64) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: TryFrom<u64> + Send + Sync + 'static,
{
    move |text| {
        let (least, most) = (range.start(), range.end());
        let parsed = text.parse::<u64>();
        // Without a limit that anybody meets, none is told.
        let is_larger = matches!(&parsed, Err(error) if *error.kind() == IntErrorKind::PosOverflow);
        let of_range = if *most == u64::MAX && !is_larger {
            format!("{least} or more")
        } else {
            format!("from {least} to {most}")
        };
        let number = parsed.ok().filter(|number| range.contains(number));
        let number = number.and_then(|number| N::try_from(number).ok());
        number.ok_or_else(|| format!("write a whole number, {of_range}, such as {example}"))
    }
}

/// Reads a time in seconds, with or without a fraction, up to `most`.
pub fn seconds(most: u32, example: f64) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let number = text.parse::<f64>().ok().filter(|seconds| (0.0..=f64::from(most)).contains(seconds));
        let time = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        time.ok_or_else(|| format!("write a number of seconds, from 0 to {most}, such as {example}"))
    }
}

/// Reads the number of one of `what`, which `command` lists.
pub fn listed(what: &str, command: &str) -> impl Fn(&str) -> Result<u64, String> + Clone {
    let hint = format!("write the number of {what}; `{command}` lists them");
    move |text| text.parse().map_err(|_| hint.clone())
}

/// An address of IPv4 or IPv6.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "write an IP address, such as 192.0.2.1 or 2001:db8::1".to_owned())
}

/// An address of IPv4.
pub fn ipv4_address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| "write an IPv4 address, such as 192.0.2.1".to_owned())
}

/// A time with its zone.
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "write a time with its zone, such as 2026-11-20T12:00:00Z".to_owned())
}

/// A name in a MIB, which is never empty: all names have an empty part.
pub fn mib_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err(
            "it is empty, and no name is; write a name, a part of one or an OID, such as linkDown".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// A time that is given as such or as an age, in microseconds since 1970 UTC.
///
/// # Errors
///
/// What to write.
pub fn moment(text: &str, now: i64) -> Result<i64, String> {
    if let Some(age) = parse_duration(text) {
        return Ok(now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)));
    }
    time(text).map_err(|_| {
        format!(
            "'{}' is no time; write an age such as 7d, a time such as 2026-11-26T12:00:00Z, or milliseconds since 1970",
            text.chars().take(64).collect::<String>().escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_looked_at_is_passed_over_only_for_one_that_is_there() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["file", "other"] {
            std::fs::write(path(name), "").unwrap();
        }
        symlink(path("nowhere"), path("dangling")).unwrap();
        symlink(path("loop"), path("loop")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        let long = "x".repeat(300);
        std::fs::create_dir(path("closed")).unwrap();
        std::fs::write(path("closed/file"), "").unwrap();
        std::fs::set_permissions(path("closed"), std::fs::Permissions::from_mode(0o0)).unwrap();
        for (places, chosen) in [
            (["file", "other"], Some("file")),
            (["absent", "other"], Some("other")),
            (["file/below", "other"], Some("other")),
            (["absent", "file/below"], None),
            (["dangling", "other"], Some("dangling")),
            (["loop", "other"], Some("loop")),
            (["folder", "other"], Some("folder")),
            (["absent", "closed/file"], Some("closed/file")),
            (["closed/file", "absent"], Some("closed/file")),
            (["absent", &long], Some(&*long)),
            (["loop/below", "absent"], Some("loop/below")),
            // The folder in which root has become another user has nothing to say to that one.
            (["loop/below", "other"], Some("other")),
        ] {
            let paths = places.map(path);
            assert_eq!(first_of(paths.each_ref().map(|path| &**path)), chosen.map(path), "{places:?}");
        }
        std::fs::set_permissions(path("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn times_are_ages_or_dates_and_what_is_neither_names_both() {
        let now = 1_795_694_400_000_000;
        assert_eq!(moment("2h", now), Ok(now - 7_200_000_000));
        assert_eq!(moment("2026-11-26T11:00:00Z", now), Ok(1_795_690_800_000_000));
        for text in ["yesterday", "99999999999999999999d", "-5m", "", "7 dogs"] {
            let said = moment(text, now).unwrap_err();
            assert!(said.contains("such as 7d") && said.contains("2026-11-26T12:00:00Z"), "{said}");
        }
    }

    #[test]
    fn a_history_that_is_not_there_is_told_what_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("c.toml");
        for (text, part) in [
            ("[history]\n", "the daemon makes it when it starts"),
            ("[history]\nkeep = \"90d\"\n[nonsense]\n", "the daemon makes it when it starts"),
            ("[journal]\ndirectory = \"var\"\n", "add [history] to the configuration"),
            ("[[[", "add [history] to the configuration"),
        ] {
            std::fs::write(&config, text).unwrap();
            let said = no_history(Some(&config), Path::new("var/history"));
            assert!(
                said.starts_with("there is no history in var/history; ") && said.contains(part),
                "{said}"
            );
        }
        assert!(no_history(None, Path::new("h")).contains("add [history]"));
    }

    #[test]
    fn numbers_of_a_range_are_read_and_others_are_told_the_range() {
        const OPEN: u64 = u64::MAX;
        let (few, many) = ("write a whole number, from 1 to 9, such as 5", "0 or more, such as 5");
        for (range, text, expected) in [
            (1..=9, "1", Ok(1)),
            (1..=9, "9", Ok(9)),
            (1..=9, "0", Err(few)),
            (1..=9, "10", Err(few)),
            (1..=9, "-1", Err(few)),
            (1..=9, "2.5", Err(few)),
            (1..=9, "99999999999999999999", Err(few)),
            (0..=OPEN, "0", Ok(0)),
            (0..=OPEN, "18446744073709551615", Ok(OPEN)),
            (0..=OPEN, "18446744073709551616", Err("from 0 to 18446744073709551615, such as 5")),
            (0..=OPEN, "ten", Err(many)),
            (0..=OPEN, "", Err(many)),
        ] {
            let read = whole::<u64>(range, 5)(text);
            match (read, expected) {
                (Err(said), Err(part)) => assert!(said.contains(part), "{text}: {said}"),
                (read, expected) => assert_eq!(read, expected.map_err(str::to_owned), "{text}"),
            }
        }
        // What a number is kept in has an end, too.
        assert_eq!(whole::<u8>(0..=255, 5)("255"), Ok(255));
    }

    #[test]
    fn seconds_have_fractions_and_an_end() {
        let read = seconds(60, 0.5);
        for (text, milliseconds) in [("0", 0), ("0.25", 250), ("60", 60_000), ("1e1", 10_000)] {
            assert_eq!(read(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "2s", "-1", "60.1", "NaN", "inf", "1e300"] {
            assert_eq!(
                read(text).unwrap_err(),
                "write a number of seconds, from 0 to 60, such as 0.5",
                "{text}"
            );
        }
    }

    #[test]
    fn no_pattern_is_empty() {
        for (text, holds) in [("", false), (" ", false), ("*", true), ("core-*", true)] {
            assert_eq!(glob(text).is_ok(), holds, "{text:?}");
        }
    }
}
