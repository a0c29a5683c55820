//! The files of `[syslog.tls]` and of `tls` of `[[intake]]` and `[http]`: whether the daemon's user can read them, and whether the certificate is valid.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::intake::tls::in_words;
use crate::settings::certificate::Validity;
use crate::settings::tls_server::Server;
use crate::time::clock::rfc3339;

const AREA: &str = "certificates";

/// A user, with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub user: u32,
    /// The numbers of its groups.
    pub groups: Vec<u32>,
}

impl Account {
    /// That of a process, of its `/proc/PID/status`.
    pub fn of_process(status: &str) -> Option<Self> {
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>())
        };
        // Real, effective, saved, and of the file system: the last one decides.
        let user = *numbers("Uid:")?.last()?;
        let groups = numbers("Gid:")?.into_iter().chain(numbers("Groups:").unwrap_or_default()).collect();
        Some(Account { user, groups })
    }

    /// That of the owner of a file.
    pub fn of_owner(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Account { user: meta.uid(), groups: vec![meta.gid()] })
    }

    /// Whether permissions let it in; `bit` is 4 to read a file, 1 to pass a folder. Access control lists are not known here.
    fn may(&self, Permissions { mode, user, group }: Permissions, bit: u32) -> bool {
        let of_group = self.groups.contains(&group);
        let shift = if self.user == user { 6 } else { 3 * u32::from(of_group) };
        self.user == 0 || (mode >> shift) & bit != 0
    }
}

/// Who may use a file.
#[derive(Debug, Clone, Copy)]
pub struct Permissions {
    mode: u32,
    user: u32,
    group: u32,
}

fn permissions(path: &Path) -> io::Result<Permissions> {
    let meta = fs::metadata(path)?;
    Ok(Permissions { mode: meta.mode(), user: meta.uid(), group: meta.gid() })
}

/// The file or the folder on the way to it that an account cannot use; none if it can read the file.
fn in_the_way(path: &Path, account: &Account) -> io::Result<Option<std::path::PathBuf>> {
    let path = path.canonicalize()?;
    for folder in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if !account.may(permissions(folder)?, 1) {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok((!account.may(permissions(&path)?, 4)).then_some(path))
}

/// What is to be said of the files; `now` is in seconds since 1970 UTC. Without an account nobody is known who would read them.
pub fn judge(server: &Server, account: Option<&Account>, now: i64) -> Vec<Finding> {
    let parts = &server.parts;
    let mut findings = vec![age(server, now)];
    let files = [Some(&parts.certificate), Some(&parts.key), parts.client_authorities.as_ref()];
    for path in files.into_iter().flatten() {
        let Some(account) = account else { break };
        match in_the_way(path, account) {
            Ok(None) => {}
            Ok(Some(way)) => findings.push(Finding::error(
                AREA,
                format!("the daemon's user ({}) cannot read {}", account.user, path.display()),
                format!(
                    "give its group the right to read {} (chgrp, chmod g+r; g+x for a folder)",
                    way.display()
                ),
            )),
            Err(error) => findings.push(Finding::error(
                AREA,
                format!("cannot look at {}: {error}", path.display()),
                "run this as root",
            )),
        }
    }
    if permissions(&parts.key).is_ok_and(|key| key.mode & 0o004 != 0) {
        let key = parts.key.display();
        findings.push(Finding::warning(
            AREA,
            format!("everybody on this machine may read the key {key}"),
            format!("run `chmod o-rwx {key}`"),
        ));
    }
    findings
}

fn age(server: &Server, now: i64) -> Finding {
    let Some((what, remedy)) = in_words(server, now) else {
        let file = server.parts.certificate.display();
        let end = server.certificate.as_ref().map(|one| rfc3339(one.not_after.saturating_mul(1_000_000)));
        let end =
            end.map_or_else(|| "cannot be looked into".to_owned(), |end| format!("is valid until {end}"));
        return Finding::good(AREA, format!("the certificate in {file} {end}"));
    };
    match server.certificate.as_ref().map(|one| one.validity(now)) {
        Some(Validity::EndsSoon) => Finding::warning(AREA, what, remedy),
        _ => Finding::error(AREA, what, remedy),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_account_of_a_process() {
        let status = "Name:\ttrapline\nUid:\t0\t0\t0\t997\nGid:\t5\t5\t5\t6\nGroups:\t4 27 \n";
        let account = Account { user: 997, groups: vec![5, 5, 5, 6, 4, 27] };
        assert_eq!(Account::of_process(status), Some(account));
        assert_eq!(Account::of_process(""), None);
    }

    #[test]
    fn permissions_are_those_of_owner_group_and_others() {
        let account = Account { user: 7, groups: vec![8, 9] };
        for (mode, user, group, read, pass) in [
            (0o400, 7, 1, true, false),
            (0o077, 7, 8, false, false),
            (0o640, 1, 9, true, false),
            (0o704, 1, 9, false, false),
            (0o711, 1, 1, false, true),
            (0o604, 1, 1, true, false),
        ] {
            let permissions = Permissions { mode, user, group };
            assert_eq!(account.may(permissions, 4), read, "{mode:o}");
            assert_eq!(account.may(permissions, 1), pass, "{mode:o}");
            assert!(Account { user: 0, groups: vec![0] }.may(permissions, 4));
        }
    }

    #[test]
    fn what_is_in_the_way_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("folder"), dir.path().join("folder/key"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(dir.path(), 0o755);
        let stranger = Account { user: u32::MAX - 9, groups: vec![u32::MAX - 9] };
        for (of_folder, of_file, expected) in
            [(0o711, 0o604, None), (0o711, 0o640, Some(&file)), (0o750, 0o604, Some(&folder))]
        {
            set(&folder, of_folder);
            set(&file, of_file);
            let way = in_the_way(&file, &stranger).unwrap();
            let expected = expected.map(|path| path.canonicalize().unwrap());
            assert_eq!(way, expected, "{of_folder:o} {of_file:o}");
        }
        assert!(in_the_way(&dir.path().join("nowhere"), &stranger).is_err());
    }
}
