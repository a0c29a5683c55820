//! What is on this machine that a configuration must know of. Paths are below a root, which tests choose.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nix::unistd::{AccessFlags, access};

use crate::settings::input;

/// The largest configuration of a core that is read.
const LARGEST: u64 = 4 << 20;

/// Where the packages of monitoring cores and their own installers put the main configuration.
const CORES: [(&str, &str); 9] = [
    ("Nagios", "etc/nagios4/nagios.cfg"),
    ("Nagios", "etc/nagios/nagios.cfg"),
    ("Nagios", "usr/local/nagios/etc/nagios.cfg"),
    ("Nagios", "etc/nagios3/nagios.cfg"),
    ("Naemon", "etc/naemon/naemon.cfg"),
    ("Naemon", "usr/local/etc/naemon/naemon.cfg"),
    ("Centreon Engine", "etc/centreon-engine/centengine.cfg"),
    ("Icinga 1", "etc/icinga/icinga.cfg"),
    ("Shinken or Alignak", "etc/shinken/shinken.cfg"),
];
/// Command pipes, where no configuration of a core can be read. The last two are those of Icinga 2's feature `command`.
const PIPES: [(&str, &str); 7] = [
    ("Nagios", "var/lib/nagios4/rw/nagios.cmd"),
    ("Nagios", "var/spool/nagios/cmd/nagios.cmd"),
    ("Nagios", "usr/local/nagios/var/rw/nagios.cmd"),
    ("Naemon", "var/lib/naemon/naemon.cmd"),
    ("Centreon Engine", "var/lib/centreon-engine/rw/centengine.cmd"),
    ("Icinga 2", "run/icinga2/cmd/icinga2.cmd"),
    ("Icinga 2", "var/run/icinga2/cmd/icinga2.cmd"),
];

/// The monitoring core that results are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Nagios
    Nagios,
    /// Naemon
    Naemon,
    /// Centreon Engine
    Centreon,
    /// Icinga 2, by its API
    Icinga2,
    /// None: results go to a file
    None,
}

impl Wanted {
    fn is(self, name: &str) -> bool {
        match self {
            Wanted::Nagios => name == "Nagios",
            Wanted::Naemon => name == "Naemon",
            Wanted::Centreon => name == "Centreon Engine",
            Wanted::Icinga2 | Wanted::None => false,
        }
    }
}

/// A monitoring core that takes external commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Its name.
    pub name: &'static str,
    /// Its main configuration, if that could be read.
    pub config: Option<PathBuf>,
    /// Its command pipe.
    pub command_file: PathBuf,
    /// Its object cache, if that is there and this user can read it.
    pub objects: Option<PathBuf>,
    /// Whether its configuration says that it takes no external commands.
    pub deaf: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// A core with a command pipe.
    pub core: Option<Core>,
    /// Whether Icinga 2 is there, whose API takes results.
    pub icinga2: bool,
    /// The configuration of snmptrapd.
    pub snmptrapd: Option<PathBuf>,
    /// The configuration of snmptt.
    pub snmptt: Option<PathBuf>,
    /// Whether there are IPv6 addresses.
    pub ipv6: bool,
}

impl Found {
    /// Looks below a root, for this core or any.
    pub fn below(root: &Path, wanted: Option<Wanted>) -> Self {
        let file = |path: &str| Some(root.join(path)).filter(|path| path.is_file());
        Found {
            core: core(root, wanted),
            icinga2: wanted.is_none_or(|wanted| wanted == Wanted::Icinga2)
                && root.join("etc/icinga2").is_dir(),
            snmptrapd: file("etc/snmp/snmptrapd.conf"),
            snmptt: file("etc/snmp/snmptt.conf"),
            ipv6: root.join("proc/net/if_inet6").exists(),
        }
    }
}

fn core(root: &Path, wanted: Option<Wanted>) -> Option<Core> {
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.is(name));
    let configured = CORES.iter().filter(|(name, _)| is_wanted(name)).find_map(|(name, path)| {
        let path = root.join(path);
        let text = input::bytes(&path, LARGEST).ok()?;
        of_config(root, name, &path, &String::from_utf8_lossy(&text))
    });
    let mut pipes = PIPES.iter().filter(|(name, _)| is_wanted(name));
    let by_pipe = || {
        let is_pipe = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.file_type().is_fifo());
        pipes.clone().find_map(|(name, path)| {
            let command_file = Some(root.join(path)).filter(is_pipe)?;
            Some(Core { name, config: None, command_file, objects: None, deaf: false })
        })
    };
    configured.or_else(by_pipe).or_else(|| {
        // One that is named and comes later: its usual pipe.
        let (name, path) = wanted.and_then(|_| pipes.next())?;
        Some(Core { name, config: None, command_file: root.join(path), objects: None, deaf: false })
    })
}

/// A core by its main configuration: lines such as `command_file=/var/lib/nagios4/rw/nagios.cmd`, of which the last counts.
fn of_config(root: &Path, name: &'static str, path: &Path, text: &str) -> Option<Core> {
    let value = |key: &str| {
        text.lines().rev().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim()).filter(|value| !value.is_empty())
        })
    };
    // Absolute on the machine; without a root other than `/` the path stays as it is.
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let readable = |path: &PathBuf| access(path.as_path(), AccessFlags::R_OK).is_ok() && path.is_file();
    Some(Core {
        name,
        config: Some(path.to_owned()),
        command_file: below(value("command_file")?),
        objects: value("object_cache_file").map(below).filter(readable),
        deaf: value("check_external_commands") == Some("0"),
    })
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn file(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn an_empty_machine_has_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Found::below(root.path(), None), Found::default());
    }

    #[test]
    fn a_core_by_each_configuration() {
        for (name, path) in CORES {
            let root = tempfile::tempdir().unwrap();
            let root = root.path();
            let text = "# command_file=/no\nlog_file=/x\ncommand_file=/run/cmd\n check_external_commands = 0 \n\
                        object_cache_file=/var/objects.cache\n";
            file(root, path, text);
            let core = Found::below(root, None).core.unwrap();
            assert_eq!((core.name, &core.command_file, core.deaf), (name, &root.join("run/cmd"), true));
            assert_eq!((core.config, core.objects), (Some(root.join(path)), None));
            file(root, "var/objects.cache", "");
            assert_eq!(Found::below(root, None).core.unwrap().objects, Some(root.join("var/objects.cache")));
            // Without a pipe in its configuration it is none.
            file(root, path, "log_file=/x\n");
            assert_eq!(Found::below(root, None).core, None);
        }
    }

    #[test]
    fn the_core_that_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for path in ["etc/nagios4/nagios.cfg", "etc/naemon/naemon.cfg"] {
            file(root, path, "command_file=/run/cmd\n");
        }
        std::fs::create_dir_all(root.join("etc/icinga2")).unwrap();
        let found = |wanted| {
            let Found { core, icinga2, .. } = Found::below(root, wanted);
            (core.map(|core| (core.name, core.config.is_some())), icinga2)
        };
        assert_eq!(found(None), (Some(("Nagios", true)), true));
        assert_eq!(found(Some(Wanted::Naemon)), (Some(("Naemon", true)), false));
        assert_eq!(found(Some(Wanted::Centreon)), (Some(("Centreon Engine", false)), false));
        assert_eq!(found(Some(Wanted::Icinga2)), (None, true));
        assert_eq!(found(Some(Wanted::None)), (None, false));
    }

    #[test]
    fn a_core_by_each_pipe() {
        for (name, path) in PIPES {
            let root = tempfile::tempdir().unwrap();
            let root = root.path();
            file(root, path, "a file is no pipe");
            assert_eq!(Found::below(root, None).core, None);
            std::fs::remove_file(root.join(path)).unwrap();
            mkfifo(&root.join(path), Mode::S_IRWXU).unwrap();
            let core = Found::below(root, None).core.unwrap();
            assert_eq!((core.name, core.command_file), (name, root.join(path)));
        }
    }
}
