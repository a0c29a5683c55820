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
    /// Its mode, and whether this user may write in it.
    pub found: io::Result<(u32, bool)>,
    /// Whether this user may make it, if it is not there.
    pub can_be_made: bool,
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
    match &directory.found {
        Ok((mode, true)) => {
            findings.push(Finding::good(AREA, format!("{path} is writable")));
            if mode & 0o007 != 0 {
                findings.push(Finding::warning(
                    AREA,
                    format!("everybody on this machine may look into {path} (mode {:03o})", mode & 0o777),
                    format!("run `chmod o= {path}`"),
                ));
            }
        }
        Ok((_, false)) => findings.push(Finding::error(
            AREA,
            format!("this user may not write in {path}"),
            format!("run this as the daemon's user or root; or `chown -R` the directory to the daemon's user: {path}"),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound && directory.can_be_made => {
            findings.push(Finding::good(AREA, format!("{path} is not there yet, and the start makes it")));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => findings.push(Finding::error(
            AREA,
            format!("{path} is not there, and this user cannot make it"),
            format!("make it: `install -d -m 0700 -o trapline -g trapline {path}`, or change [journal] directory"),
        )),
        Err(error) => findings.push(Finding::error(
            AREA,
            format!("{path} cannot be looked at: {error}"),
            "run this as the daemon's user or root, or change [journal] directory",
        )),
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
        let levels = |found: io::Result<(u32, bool)>, can_be_made, free| {
            let path = Path::new("/var/lib/trapline");
            let directory = Directory { path, found, can_be_made, free, max_size: 1 << 30 };
            journal(&directory).iter().map(|finding| finding.level).collect::<Vec<_>>()
        };
        let none = || Err(ErrorKind::NotFound.into());
        assert_eq!(levels(Ok((0o700, true)), false, Some(1 << 31)), [Level::Good, Level::Good]);
        assert_eq!(
            levels(Ok((0o755, true)), false, Some(1 << 29)),
            [Level::Good, Level::Warning, Level::Note]
        );
        assert_eq!(levels(Ok((0o700, false)), false, None), [Level::Error]);
        assert_eq!(levels(none(), true, Some(1)), [Level::Good, Level::Error]);
        assert_eq!(levels(none(), false, None), [Level::Error]);
        assert_eq!(levels(Err(ErrorKind::PermissionDenied.into()), true, None), [Level::Error]);
    }

    #[test]
    fn capabilities_of_a_process() {
        let status = "Name:\ttrapline\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n";
        assert!(has_capability(status, 10) && !has_capability(status, 12) && !has_capability("", 10));
        assert!(!has_capability("CapEff:\tzz", 0));
    }
}
