//! A real Shinken, on Python 2.7: results arrive in its scheduler through the command file.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::alignak::{BASICS, SWITCH};
use crate::nagios;
use crate::support::{Group, link_trap, optional, port, read, wait_or, wait_port, wait_until};

const SATELLITES: [&str; 5] = ["scheduler", "receiver", "broker", "poller", "reactionner"];

struct Shinken {
    dir: TempDir,
    _programs: Vec<Group>,
}

impl Shinken {
    fn start() -> Option<Self> {
        let root = optional("shinken", "Shinken", "Python 2.7")?;
        let dir = TempDir::new().unwrap();
        let ports = configure(dir.path());
        let start = |name: &str, config: &str| {
            let mut command = Command::new(root.join("bin/python"));
            command.arg(root.join("source/bin").join(format!("shinken-{name}"))).args(["-c", config]);
            command.env("PYTHONPATH", root.join("source")).current_dir(&dir);
            Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
        };
        let mut programs: Vec<_> =
            SATELLITES.iter().map(|name| start(name, &format!("{name}.ini"))).collect();
        // The arbiter looks again only after a while for those that it does not reach.
        ports.into_iter().for_each(wait_port);
        programs.push(start("arbiter", "shinken.cfg"));
        let shinken = Shinken { dir, _programs: programs };
        wait_until("its receiver has made the pipe", || shinken.dir.path().join("run/nagios.cmd").exists());
        shinken.wait_log("CURRENT SERVICE STATE: sw1;Interface Gi0/3;PENDING");
        Some(shinken)
    }

    /// Waits for the change of the service to a state; Shinken calls the first one soft.
    fn wait_alert(&self, state: &str, output: &str) {
        let head = format!("SERVICE ALERT: sw1;Interface Gi0/3;{state};");
        let path = self.dir.path().join("log/scheduler.log");
        wait_or(
            || format!("'{head}' in {}", read(&path)),
            || read(&path).lines().any(|line| line.contains(&head) && line.contains(output)).then_some(()),
        );
    }

    fn wait_log(&self, text: &str) {
        let path = self.dir.path().join("log/scheduler.log");
        wait_or(|| format!("'{text}' in {}", read(&path)), || read(&path).contains(text).then_some(()));
    }
}

/// Writes the configuration of all its daemons; gives the ports of those that serve the arbiter.
fn configure(d: &Path) -> Vec<u16> {
    for folder in ["run", "log", "objects", "modules/pipe"] {
        std::fs::create_dir_all(d.join(folder)).unwrap();
    }
    std::fs::write(d.join("modules/pipe/__init__.py"), "").unwrap();
    std::fs::write(d.join("modules/pipe/module.py"), include_str!("shinken_pipe.py")).unwrap();
    let path = d.display();
    let (user, group) = (nagios::id("-un"), nagios::id("-gn"));
    // Where root runs it, 0 says that this is meant.
    let common =
        format!("idontcareaboutsecurity=0\ndaemon_enabled=1\nuse_ssl=0\nmodules_dir={path}/modules\n");
    let mut objects = format!(
        "{BASICS}{SWITCH}define realm {{\n realm_name All\n default 1\n}}\n\
         define module {{\n module_name pipe\n module_type pipe\n command_file {path}/run/nagios.cmd\n}}\n\
         define arbiter {{\n arbiter_name arbiter-1\n address 127.0.0.1\n port {}\n}}\n",
        port()
    );
    let mut ports = Vec::new();
    for name in SATELLITES {
        let port = port();
        ports.push(port);
        let ini = format!(
            "[daemon]\nworkdir={path}/run\nlogdir={path}/log\npidfile={path}/run/{name}.pid\nhost=127.0.0.1\nport={port}\n\
             user={user}\ngroup={group}\nuse_local_log=1\nlocal_log={path}/log/{name}.log\nlog_level=INFO\n{common}"
        );
        std::fs::write(d.join(format!("{name}.ini")), ini).unwrap();
        let more = match name {
            "receiver" => " modules pipe\n direct_routing 1\n",
            "poller" | "reactionner" => " min_workers 1\n max_workers 1\n",
            _ => "",
        };
        objects.push_str(&format!(
            "define {name} {{\n {name}_name {name}-1\n address 127.0.0.1\n port {port}\n realm All\n \
             check_interval 2\n{more}}}\n"
        ));
    }
    std::fs::write(d.join("objects/all.cfg"), objects).unwrap();
    let main = format!(
        "cfg_dir=objects\nshinken_user={user}\nshinken_group={group}\nworkdir={path}/run\nlock_file={path}/run/arbiter.pid\n\
         local_log={path}/log/arbiter.log\nlog_level=INFO\npack_distribution_file={path}/run/packs\n\
         execute_host_checks=0\nexecute_service_checks=0\nlog_passive_checks=1\nlog_initial_states=1\n{common}"
    );
    std::fs::write(d.join("shinken.cfg"), main).unwrap();
    ports
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
const LINK_UP: &str = "1.3.6.1.6.3.1.1.5.4";

#[test]
fn link_traps_turn_the_service_in_the_scheduler() {
    let Some(shinken) = Shinken::start() else { return };
    let daemon = nagios::before_pipe(&shinken.dir.path().join("run/nagios.cmd"));
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    shinken.wait_alert("CRITICAL", "Link down on Gi0/3 (admin up, oper down)");
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_UP], "Gi0/3", "1");
    shinken.wait_alert("OK", "Link up on Gi0/3");
}
