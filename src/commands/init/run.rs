//! Looks at the machine, writes the configuration and checks it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use nix::unistd::{Gid, Group, fchown, geteuid};

use super::find::{Found, Wanted};
use super::write::{Choice, Port, text};
use crate::commands::doctor::{machine, sockets};
use crate::config::loaded;
use crate::files::named;
use crate::mib::load::Held;
use crate::settings::input;
use crate::terminal::{eprintln, print, println, say};

/// CAP_NET_BIND_SERVICE: capabilities(7).
const BIND: u32 = 10;
/// The group of the service, as docs/install.md makes it.
const GROUP: &str = "trapline";

/// Arguments of `trapline init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The new file; - is standard output. Default: /etc/trapline/trapline.toml for root, else ./trapline.toml
    file: Option<PathBuf>,
    /// The journal directory. Default: /var/lib/trapline for root, otherwise var next to the file
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// The monitoring core for results. Default: the one found on this machine
    #[arg(long)]
    core: Option<Wanted>,
    /// Listen on 162 and 514, even if other programs use these ports now
    #[arg(long)]
    standard_ports: bool,
}

impl InitArgs {
    /// Whether it does something besides what it prints.
    pub fn changes(&self) -> bool {
        self.file.as_deref() != Some(Path::new("-"))
    }
}

/// Writes a configuration for this machine; false if it does not pass the check.
///
/// # Errors
///
/// If the file exists or cannot be written.
pub fn run(args: &InitArgs) -> anyhow::Result<bool> {
    let root = geteuid().is_root();
    let usual = || PathBuf::from(if root { "/etc/trapline/trapline.toml" } else { "trapline.toml" });
    let file = args.file.clone().unwrap_or_else(usual);
    let journal = args.journal.clone().unwrap_or_else(|| {
        let of_service = root && file.starts_with("/etc");
        PathBuf::from(if of_service { "/var/lib/trapline" } else { "var" })
    });
    let found = Found::below(Path::new("/"), args.core);
    let choice = Choice {
        found: &found,
        snmp: port(162, 1162, args.standard_ports),
        syslog: port(514, 1514, args.standard_ports),
        journal: &journal,
        rules: Path::new("rules"),
    };
    let text = text(&choice);
    if file == Path::new("-") {
        print!("{text}");
        return Ok(true);
    }
    if let Some(stream) = named::stream(&file).context("cannot write the configuration")? {
        named::write_to(stream, &file, &text).context("cannot write the configuration")?;
        return Ok(true);
    }
    if file.symlink_metadata().is_ok() {
        bail!(
            "{} is there already, and stays as it is; name another file, or look at it with `trapline check`",
            file.display()
        );
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(&folder.join("rules"))?;
    write(&file, &text).context("cannot write the configuration")?;
    say_found(&choice);
    say!("wrote {}", file.display());
    let setup = loaded::load(Some(&file), &Held::default());
    let good = match &setup {
        Ok(setup) => {
            loaded::print(&setup.found);
            setup.compiled.rules.is_some()
        }
        Err(found) => {
            loaded::print(found);
            false
        }
    };
    if good {
        println!(
            "next: look at the file; `trapline doctor`; `trapline run`, or `systemctl enable --now trapline`"
        );
    }
    Ok(good)
}

/// The standard port, if this user may bind it and nobody has it.
fn port(standard: u16, other: u16, always: bool) -> Port {
    if always {
        return Port { number: standard, why: String::new() };
    }
    let holders = sockets::on_ports(&[standard]);
    if let Some(socket) = holders.iter().find(|socket| socket.datagram || standard != 162) {
        let who = socket.owner.as_ref().map_or_else(
            || "another program".to_owned(),
            |owner| format!("{} (process {})", owner.name, owner.id),
        );
        let why = format!("{who} has the standard port {standard}: stop it, and write {standard} here");
        return Port { number: other, why };
    }
    let status = input::text(Path::new("/proc/self/status"), 1 << 16);
    let lowest = input::text(Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start"), 64);
    let lowest: u16 = lowest.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if standard >= lowest || status.is_ok_and(|status| machine::has_capability(&status, BIND)) {
        return Port { number: standard, why: String::new() };
    }
    let why = format!(
        "The standard port is {standard}; ports below {lowest} need CAP_NET_BIND_SERVICE, which this user does not have"
    );
    Port { number: other, why }
}

/// Makes the folder of the user's rules, and those above it.
fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| {
        format!("cannot make {}; run this as root, or name a file in a folder of yours", folder.display())
    })
}

/// Creates the file, for its owner and the group of the service: passwords may come into it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = named::create(path, 0o640, |out| out.write_all(text.as_bytes()))?;
    let Some(file) = file.filter(|_| geteuid().is_root()) else { return Ok(()) };
    match Group::from_name(GROUP) {
        Ok(Some(group)) => fchown(&file, None, Some(Gid::from_raw(group.gid.as_raw())))?,
        _ => eprintln!(
            "trapline: there is no group '{GROUP}', so that only root can read the file; docs/install.md makes the user of the service"
        ),
    }
    Ok(())
}

/// Says what was found, and what follows from it.
fn say_found(choice: &Choice<'_>) {
    let found = choice.found;
    match &found.core {
        Some(core) if core.config.is_none() && !core.command_file.exists() => say!(
            "did not find {}: results go to {}, its usual pipe, once it is there",
            core.name,
            core.command_file.display()
        ),
        Some(core) => say!("found {}: results go to {}", core.name, core.command_file.display()),
        None => say!(
            "found no monitoring core with a command pipe: results go to a file only; docs/sinks/ has others"
        ),
    }
    if let Some(core) = found.core.as_ref().filter(|core| core.deaf) {
        say!("{} takes no external commands: set check_external_commands=1", core.name);
    }
    if found.icinga2 {
        say!("found Icinga 2: its sink is commented out, it needs a user of the API");
    }
    if let Some(file) = &found.snmptrapd {
        say!(
            "found snmptrapd: `trapline import snmptrapd {}` prints its communities and users",
            file.display()
        );
    }
    if let Some(file) = &found.snmptt {
        say!("found snmptt: `trapline import snmptt {}` makes rules of its EVENTs", file.display());
    }
    for port in [&choice.snmp, &choice.syslog].into_iter().filter(|port| !port.why.is_empty()) {
        say!("port {}: {}", port.number, port.why);
    }
}
