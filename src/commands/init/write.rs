//! The text of the configuration. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::find::{Core, Found};
use crate::settings::section::quoted;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'c> {
    /// What is on the machine.
    pub found: &'c Found,
    /// The port for SNMP, and why it is not 162.
    pub snmp: Port,
    /// The port for syslog, and why it is not 514.
    pub syslog: Port,
    /// The directory of the journal.
    pub journal: &'c Path,
    /// The folder of the user's rules.
    pub rules: &'c Path,
}

/// A port, and why it is not the standard one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// Why; empty for the standard one.
    pub why: String,
}

/// The configuration.
pub fn text(choice: &Choice<'_>) -> String {
    let mut out = String::from(
        "# Trapline's configuration, written by `trapline init` for this machine. Commented lines are examples; config/trapline.toml\n\
         # and docs/ have every key. `trapline check` checks it, `trapline reload` puts changes in force, `trapline doctor` says what\n\
         # is wrong on this machine. Relative paths are relative to the folder of this file.\n",
    );
    listeners(&mut out, choice);
    let _ = write!(
        out,
        "\n[rules]\n# Your rules: *.toml files in this folder. They are tried before the shipped packs, which `trapline rule list` shows.\n\
         paths = [{}]\n# packs = [\"if-mib\", \"ups\"]              # only these packs; [] for none\n",
        path(choice.rules)
    );
    hosts(&mut out, choice.found.core.as_ref());
    let _ = write!(
        out,
        "\n[journal]\n# Holds every outcome until every sink has delivered it; also unmatched messages, dead letters and the control socket.\n\
         directory = {}\nmax_size = \"1GiB\"\n",
        path(choice.journal)
    );
    out.push_str(
        "\n# Metrics for Prometheus on /metrics; /alive; /ready.\n[http]\nlisten = \"127.0.0.1:8162\"\n\n\
         # MIBs: without this section those of the system's folders, such as /usr/share/snmp/mibs.\n\
         # [mibs]\n# paths = [\"/usr/share/snmp/mibs\", \"mibs\"]\n",
    );
    sinks(&mut out, choice.found, &choice.journal.join("outcomes.jsonl"));
    out
}

fn listeners(out: &mut String, Choice { found, snmp, syslog, .. }: &Choice<'_>) {
    out.push_str("\n[snmp]\n");
    let because = |out: &mut String, port: &Port| {
        if !port.why.is_empty() {
            let _ = writeln!(out, "# {}.", one_line(&port.why));
        }
    };
    because(out, snmp);
    let port = snmp.number;
    let v6 = if found.ipv6 { format!(", \"[::]:{port}\"") } else { String::new() };
    let _ = writeln!(out, "listen = [\"0.0.0.0:{port}\"{v6}]");
    out.push_str(
        "# Communities to accept, for v1 and v2c. Default: any.\n# communities = [\"public\"]\n\
         # Networks and addresses that may send. Default: all.\n# allow = [\"192.0.2.0/24\"]\n\
         # Senders that may name another host than themselves, because they forward its traps: docs/hosts.md.\nrelays = []\n",
    );
    if let Some(file) = &found.snmptrapd {
        let _ = writeln!(
            out,
            "# snmptrapd has communities and users in {0}: `trapline import snmptrapd {0}` prints them for this file.",
            one_line(&file.display().to_string())
        );
    }
    out.push_str(
        "# A user of SNMPv3; docs/snmpv3.md.\n# [[snmp.users]]\n# name = \"ops\"\n# auth = \"SHA-256\"\n# auth_password_file = \"ops.auth\"\n\
         # priv = \"AES-128\"\n# priv_password_file = \"ops.priv\"\n\n[syslog]\n",
    );
    because(out, syslog);
    let port = syslog.number;
    let _ = writeln!(out, "listen = [\"udp://0.0.0.0:{port}\", \"tcp://0.0.0.0:{port}\"]");
    out.push_str(
        "# Senders that may name another host in their lines: your central syslog servers, such as [\"192.0.2.10\"]. Lines of all others\n\
         # are of the host that sends them, whatever they name: docs/hosts.md.\nrelays = []\n",
    );
}

fn hosts(out: &mut String, core: Option<&Core>) {
    out.push_str(
        "\n[hosts]\n# From addresses and names in messages to the names that your monitoring core uses: docs/hosts.md.\n\
         # map = { \"192.0.2.1\" = \"router1\" }\n# files = [\"hosts.csv\"]                  # lines \"address,name\"\n",
    );
    match core.and_then(|core| core.objects.as_ref().map(|objects| (core.name, objects))) {
        Some((name, objects)) => {
            let _ = writeln!(out, "# The addresses that {name} knows.\nnagios_objects = {}", path(objects));
        }
        None => out.push_str("# nagios_objects = \"/var/cache/nagios4/objects.cache\"\n"),
    }
}

fn sinks(out: &mut String, found: &Found, outcomes: &Path) {
    if let Some(file) = &found.snmptt {
        let file = one_line(&file.display().to_string());
        let _ = writeln!(
            out,
            "\n# snmptt has rules: `trapline import snmptt {file} -o rules/snmptt.toml`; docs/snmptt.md."
        );
    }
    out.push_str("\n# Where outcomes go: any number of sinks. docs/sinks/ has a page for each type.\n");
    match &found.core {
        Some(core) => {
            let name = core.name;
            if core.deaf {
                let config = core.config.as_ref().map_or("its configuration".to_owned(), |path| path.display().to_string());
                let _ = writeln!(out, "# {name} takes no external commands: set check_external_commands=1 in {}.", one_line(&config));
            }
            let _ = write!(
                out,
                "# {name}, by its command pipe. The services must be there: docs/sinks/nagios.md.\n\
                 [[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = {}\n",
                path(&core.command_file)
            );
        }
        None => out.push_str(
            "# Nagios, Naemon, Centreon: the command pipe.\n# [[sinks]]\n# type = \"nagios\"\n# command_file = \"/var/lib/nagios4/rw/nagios.cmd\"\n",
        ),
    }
    let here = if found.icinga2 { "Icinga 2 is on this machine. Its API" } else { "Icinga 2: its API" };
    let _ = write!(
        out,
        "\n# {here} needs a user with the permission actions/process-check-result: docs/sinks/icinga2.md.\n\
         # [[sinks]]\n# type = \"icinga2\"\n# url = \"https://127.0.0.1:5665\"\n# user = \"trapline\"\n# password_file = \"icinga2.password\"\n\
         # ca_file = \"/var/lib/icinga2/certs/ca.crt\"\n\
         \n# A line of JSON for each outcome, to see what happens.\n[[sinks]]\nname = \"outcomes\"\ntype = \"file\"\npath = {}\n",
        // Where the daemon may write in any case.
        path(outcomes)
    );
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Every machine gives a configuration without a mistake and without a warning.
    #[test]
    fn every_configuration_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("objects.cache"), "").unwrap();
        std::fs::create_dir(at("rules")).unwrap();
        let core = |objects: bool, deaf: bool| Core {
            name: "Nagios",
            config: Some("/etc/na\ngios.cfg".into()),
            command_file: "/run/a \"pipe\"".into(),
            objects: objects.then(|| at("objects.cache")),
            deaf,
        };
        for bits in 0..32u8 {
            let bit = |n: u8| bits >> n & 1 == 1;
            let found = Found {
                core: bit(0).then(|| core(bit(1), bit(2))),
                icinga2: bit(3),
                snmptrapd: bit(3).then(|| "/etc/snmp/a\nb.conf".into()),
                snmptt: bit(4).then(|| "/etc/snmp/snmptt.conf".into()),
                ipv6: bit(4),
            };
            let port = |standard, other| {
                if bit(3) {
                    Port { number: standard, why: String::new() }
                } else {
                    Port { number: other, why: "somebody has\nthe port".to_owned() }
                }
            };
            let choice = Choice {
                found: &found,
                snmp: port(162, 1162),
                syslog: port(514, 1514),
                journal: Path::new("var"),
                rules: Path::new("rules"),
            };
            let path = at("trapline.toml");
            std::fs::write(&path, text(&choice)).unwrap();
            let (config, warnings) =
                Config::load(&path).unwrap_or_else(|found| panic!("{}", found.to_text()));
            assert_eq!(warnings.to_text(), "", "{}", text(&choice));
            // What `trapline check` warns of beside that.
            assert!(!config.syslog.relays.are_all());
            assert_eq!(config.sinks.len(), 1 + usize::from(bit(0)));
            let listens: Vec<u16> = config
                .snmp
                .listen
                .iter()
                .filter_map(|one| one.transport.address())
                .map(|at| at.port())
                .collect();
            assert_eq!(listens, vec![if bit(3) { 162 } else { 1162 }; 1 + usize::from(bit(4))]);
        }
    }
}
