//! Who holds a lock, as `/proc/locks` tells it.

use nix::sys::stat::{major, minor};

use super::disk::Identity;

/// The process that holds the lock of a file, as text for people; none if the system does not tell.
pub(super) fn holder(file: Identity) -> Option<String> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let process = holder_in(&locks, file)?;
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    match name.trim() {
        "" => Some(format!("process {process}")),
        name => Some(format!("process {process} ({})", name.escape_debug())),
    }
}

/// The number of the process that holds the lock. A line: `1: FLOCK  ADVISORY  WRITE 3131 fe:01:131456 0 EOF`
/// (proc_locks(5)); one of a process that waits has `->` in the second place.
fn holder_in(locks: &str, file: Identity) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{}", major(file.device), minor(file.device), file.inode);
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let held = words.next()? == "FLOCK";
        let process = words.nth(2)?.parse().ok()?;
        (held && words.next()? == place && process != 0).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_and_not_who_waits() {
        let locks = "1: POSIX  ADVISORY  WRITE 17 fe:01:131456 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 18 fe:01:131456 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 19 fe:01:131457 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 20 fe:01:131456 0 EOF\n\
                     5: FLOCK  ADVISORY\n";
        let device = nix::sys::stat::makedev(0xfe, 1);
        assert_eq!(holder_in(locks, Identity { device, inode: 131_456 }), Some(20));
        assert_eq!(holder_in(locks, Identity { device, inode: 1 }), None);
    }
}
