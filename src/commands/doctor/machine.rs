//! The machine: buffers of the kernel, the directory of the journal, the clock.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::finding::Finding;

/// With less free space than this there is a warning.
const LITTLE_SPACE: u64 = 256 << 20;

/// Whether the kernel grants the receive buffers that are configured, in bytes. `privileged`: the daemon may have any.
pub fn buffers(wanted: usize, most: io::Result<usize>, privileged: bool) -> Finding {
    const AREA: &str = "buffers";
    match most {
        _ if privileged => {
            Finding::good(AREA, format!("receive buffers of {wanted} bytes are granted to CAP_NET_ADMIN"))
        }
        Ok(most) if most >= wanted => {
            Finding::good(AREA, format!("the kernel grants receive buffers of {wanted} bytes"))
        }
        Ok(most) => Finding::warning(
            AREA,
            format!(
                "the kernel grants receive buffers of {most} bytes, not {wanted} as configured: bursts may be dropped"
            ),
            format!(
                "run `sysctl -w net.core.rmem_max={wanted}`, and write it to /etc/sysctl.d/trapline.conf"
            ),
        ),
        Err(error) => Finding::note(AREA, format!("net.core.rmem_max cannot be read: {error}"), ""),
    }
}

/// What is known of the directory of the journal.
#[derive(Debug)]
pub struct Directory<'d> {
    /// Its path.
    pub path: &'d Path,
    /// Its mode, if this user may write in it; otherwise why not.
    pub found: io::Result<u32>,
    /// Why this user may not make it, if it is not there.
    pub can_be_made: io::Result<()>,
    /// How many bytes are free for the user.
    pub free: Option<u64>,
    /// How many bytes the journal may have.
    pub max_size: u64,
}

/// Whether the journal has a place.
pub fn journal(directory: &Directory<'_>) -> Vec<Finding> {
    const AREA: &str = "journal";
    let path = directory.path.display();
    let mut findings = Vec::new();
    match (&directory.found, &directory.can_be_made) {
        (Ok(mode), _) => {
            findings.push(Finding::good(AREA, format!("{path} is writable")));
            if mode & 0o007 != 0 {
                findings.push(Finding::warning(
                    AREA,
                    format!("everybody on this machine may look into {path} (mode {:03o})", mode & 0o777),
                    format!("run `chmod o= {path}`"),
                ));
            }
        }
        (Err(error), Ok(())) if error.kind() == ErrorKind::NotFound => {
            findings.push(Finding::good(AREA, format!("{path} is not there yet, and the start makes it")));
        }
        (Err(error), Err(why)) if error.kind() == ErrorKind::NotFound => {
            let (what, remedy) = match why.raw_os_error() {
                Some(libc::EACCES | libc::EPERM) => (
                    format!("{path} is not there, and this user cannot make it"),
                    format!(
                        "make it: `install -d -m 0700 -o trapline -g trapline {path}`, or change [journal] directory"
                    ),
                ),
                _ => unusable(directory.path, why),
            };
            findings.push(Finding::error(AREA, what, remedy));
        }
        (Err(error), _) => {
            let (what, remedy) = unusable(directory.path, error);
            findings.push(Finding::error(AREA, what, remedy));
        }
    }
    if let Some(free) = directory.free {
        let mib = |bytes: u64| bytes >> 20;
        if free < LITTLE_SPACE {
            findings.push(Finding::error(
                "disk",
                format!("only {} MiB are free for {path}", mib(free)),
                "make room: a full disk lets the journal take no outcomes",
            ));
        } else if free < directory.max_size {
            findings.push(Finding::note(
                "disk",
                format!(
                    "{} MiB are free for {path}, and the journal may have {} MiB",
                    mib(free),
                    mib(directory.max_size)
                ),
                "make room, or set [journal] max_size lower, if a sink may be down for long",
            ));
        } else {
            findings.push(Finding::good("disk", format!("{} MiB are free for {path}", mib(free))));
        }
    }
    findings
}

/// What keeps the journal out of a directory, and what to do: other permissions help only where permissions are the reason.
fn unusable(path: &Path, error: &io::Error) -> (String, String) {
    let path = path.display();
    let other = "change [journal] directory";
    match error.raw_os_error() {
        Some(libc::EACCES) => (
            format!("this user may not write in {path}, or not enter a directory on the way"),
            format!(
                "run this as the daemon's user or root; or `chown -R` the directory to the daemon's user: {path}"
            ),
        ),
        Some(libc::EPERM) => (
            format!("the system lets this user not write in {path}: {error}"),
            format!(
                "run this as the daemon's user or root; look for an attribute such as immutable: `lsattr -d {path}`"
            ),
        ),
        Some(libc::ENOTDIR) => (
            format!("{path} is no directory, or something on the way to it is none"),
            format!("name a directory of its own in [journal] directory, not {path}"),
        ),
        Some(libc::EROFS) => (
            format!("{path} is on a file system that is mounted read-only"),
            format!("mount it writable (in a unit: ReadWritePaths=, in a container: a volume), or {other}"),
        ),
        Some(libc::ELOOP) => (
            format!("symbolic links on the way to {path} lead in a circle"),
            format!("correct the links, or {other}"),
        ),
        _ => (
            format!("{path} cannot be used: {error}"),
            format!("correct what the system says there, or {other}"),
        ),
    }
}

/// Whether the clock is in step. SNMPv3 and outcomes depend on it.
pub fn clock(synchronised: io::Result<bool>) -> Finding {
    const AREA: &str = "clock";
    match synchronised {
        Ok(true) => Finding::good(AREA, "the clock is synchronised"),
        Ok(false) => Finding::warning(
            AREA,
            "the kernel says that nobody synchronises the clock: outcomes may have wrong times, which cores discard",
            "install chrony or systemd-timesyncd; in a container look at the host",
        ),
        Err(error) => Finding::note(
            AREA,
            format!("the kernel does not say whether the clock is synchronised: {error}"),
            "",
        ),
    }
}

/// Whether the status of a process says that it has a capability (proc_pid_status(5)).
pub fn has_capability(status: &str, number: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    set >> number & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn buffers_that_the_kernel_grants() {
        let level = |most: io::Result<usize>, privileged| buffers(1 << 24, most, privileged).level;
        assert_eq!(level(Ok(1 << 24), false), Level::Good);
        assert_eq!(level(Ok(212_992), false), Level::Warning);
        assert_eq!(level(Ok(212_992), true), Level::Good);
        assert_eq!(level(Err(ErrorKind::NotFound.into()), false), Level::Note);
    }

    #[test]
    fn a_place_for_the_journal() {
        let path = Path::new("/var/lib/trapline");
        let said = |found: io::Result<u32>, can_be_made, free| {
            journal(&Directory { path, found, can_be_made, free, max_size: 1 << 30 })
        };
        let levels = |found: io::Result<u32>, can_be_made, free| {
            said(found, can_be_made, free).iter().map(|finding| finding.level).collect::<Vec<_>>()
        };
        let system = io::Error::from_raw_os_error;
        let none = || Err(system(libc::ENOENT));
        let denied = || Err(system(libc::EACCES));
        assert_eq!(levels(Ok(0o700), denied(), Some(1 << 31)), [Level::Good, Level::Good]);
        assert_eq!(levels(Ok(0o755), denied(), Some(1 << 29)), [Level::Good, Level::Warning, Level::Note]);
        assert_eq!(levels(none(), Ok(()), Some(1)), [Level::Good, Level::Error]);
        assert_eq!(levels(none(), denied(), None), [Level::Error]);
        // What it is, and what helps: a directory is given away only where permissions are the reason.
        for (error, says, helps) in [
            (libc::EACCES, "may not write in", "chown"),
            (libc::EPERM, "not permitted", "lsattr"),
            (libc::ENOTDIR, "is no directory", "name a directory"),
            (libc::EROFS, "mounted read-only", "mount it writable"),
            (libc::ELOOP, "lead in a circle", "correct the links"),
            (libc::ENAMETOOLONG, "File name too long", "change [journal] directory"),
            (libc::EIO, "Input/output error", "change [journal] directory"),
            (libc::ESTALE, "Stale file handle", "change [journal] directory"),
        ] {
            for can_be_made in [Ok(()), Err(system(error))] {
                let [found] = &said(Err(system(error)), can_be_made, None)[..] else { panic!("{error}") };
                assert!(found.what.contains(says) && found.remedy.contains(helps), "{found:?}");
                assert!(found.level == Level::Error && found.what.contains("/var/lib/trapline"), "{found:?}");
                let permissions = [libc::EACCES, libc::EPERM].contains(&error);
                assert!(
                    permissions || !found.remedy.contains("chown") && !found.remedy.contains("user"),
                    "{found:?}"
                );
            }
            // The same where it has to be made.
            let [found] = &said(none(), Err(system(error)), None)[..] else { panic!("{error}") };
            assert!(!found.remedy.contains("chown") && !found.remedy.is_empty(), "{found:?}");
        }
        let [found] = &said(none(), Err(system(libc::EROFS)), None)[..] else { panic!() };
        assert!(found.what.contains("mounted read-only"), "{found:?}");
    }

    #[test]
    fn capabilities_of_a_process() {
        let status = "Name:\ttrapline\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n";
        assert!(has_capability(status, 10) && !has_capability(status, 12) && !has_capability("", 10));
        assert!(!has_capability("CapEff:\tzz", 0));
    }
}
