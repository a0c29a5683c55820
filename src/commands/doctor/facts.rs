//! Facts of the machine that a configuration depends on.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::certificates::{self, Account};
use super::finding::Finding;
use super::machine::{self, Directory};
use super::ports::{Daemon, Wanted};
use crate::config::Config;
use crate::intake::listener::Listener;
use crate::settings::diagnostic::Place;
use crate::settings::input;
use crate::time::clock;

/// CAP_NET_BIND_SERVICE: capabilities(7).
const BIND: u32 = 10;

/// The addresses that a configuration wants, and where it says so. With port 0 the kernel chooses one.
pub fn wanted(config: &Config) -> Vec<(Wanted, Option<&Place>)> {
    let of_listener = |listener: &'_ Listener| {
        Some(Wanted {
            section: listener.protocol.section(),
            datagram: listener.transport.udp().is_some(),
            address: listener.transport.address()?,
            optional: listener.optional,
        })
    };
    let listeners = config.listeners().filter_map(|one| Some((of_listener(one)?, one.place.as_ref())));
    let http = config.http.iter().map(|http| {
        let (address, optional) = (http.listen, http.optional);
        (Wanted { section: "[http]", datagram: false, address, optional }, http.place.as_ref())
    });
    listeners.chain(http).filter(|(wanted, _)| wanted.address.port() != 0).collect()
}

/// Who binds the ports.
pub fn who(daemon: Option<u32>) -> Daemon {
    match daemon {
        Some(id) => Daemon::Runs(id),
        None if machine::has_capability(&status("self"), BIND) => Daemon::Not(0),
        None => Daemon::Not(number("sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(1024)),
    }
}

/// What is to be said of the files of TLS.
pub fn certificates(config: &Config, daemon: Option<u32>) -> Vec<Finding> {
    let of_http = config.intake.iter().filter_map(|one| one.site.tls.as_ref());
    let of_web = config.http.iter().filter_map(|http| http.tls.as_ref());
    let account = match daemon {
        Some(id) => Account::of_process(&status(&id.to_string())),
        // The directory is made by the daemon's user.
        None => Account::of_owner(&config.journal.directory).ok(),
    };
    let now = clock::now() / 1_000_000;
    let all = config.syslog.tls.iter().chain(of_http).chain(of_web);
    all.flat_map(|tls| certificates::judge(tls, account.as_ref(), now)).collect()
}

/// The directory of the journal.
pub fn directory(config: &Config) -> Directory<'_> {
    use std::os::unix::fs::PermissionsExt as _;

    let path = config.journal.directory.as_path();
    let may_write = |path: &Path| {
        let meta = path.metadata()?;
        // What may not be executed is refused before it is no directory.
        if !meta.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        access(path, AccessFlags::W_OK | AccessFlags::X_OK)?;
        Ok(meta.permissions().mode())
    };
    // A relative path has the empty one above it.
    let there = |path: &&Path| !path.as_os_str().is_empty() && path.exists();
    let above = path.ancestors().find(there).unwrap_or(Path::new("."));
    let free = statvfs(above).ok().map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()));
    Directory {
        path,
        found: may_write(path),
        can_be_made: may_write(above).map(drop),
        free,
        max_size: config.journal.max_size,
    }
}

/// The status of a process; empty if it cannot be read.
pub fn status(process: &str) -> String {
    proc(&format!("{process}/status"))
}

fn proc(name: &str) -> String {
    let text = input::text(&Path::new("/proc").join(name), 1 << 16);
    text.map_or_else(|_| String::new(), |text| text.to_string())
}

/// The number in a file of `/proc`.
pub fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    proc(name).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::machine;

    /// Whoever asks: root may write everywhere but not in what is no directory.
    #[test]
    fn a_file_in_the_place_of_the_journal_is_no_matter_of_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
        let mut config = Config::default();
        for (path, says) in [
            (file.clone(), "is no directory"),
            (file.join("below"), "is no directory"),
            (folder.path().join("circle"), "in a circle"),
        ] {
            config.journal.directory = path.clone();
            let found = machine::journal(&directory(&config));
            assert!(found[0].what.contains(says), "{}: {found:?}", path.display());
            assert!(!found[0].remedy.contains("chown"), "{found:?}");
        }
        config.journal.directory = folder.path().join("new");
        assert!(machine::journal(&directory(&config))[0].what.contains("the start makes it"));
    }
}
