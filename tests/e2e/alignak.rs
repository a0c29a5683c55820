//! A real Alignak, on Python 3.6: results arrive in its scheduler through the web services of its receiver.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::nagios::id;
use crate::pages::block;
use crate::support::{Group, link_trap, optional, port, read, wait_or, wait_port};

/// The command, time period and contact that objects refer to.
pub const BASICS: &str = "define command {\n command_name none\n command_line /bin/true\n}\n\
     define timeperiod {\n timeperiod_name always\n alias always\n monday 00:00-24:00\n tuesday 00:00-24:00\n\
     wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n sunday 00:00-24:00\n}\n\
     define contact {\n contact_name ops\n host_notifications_enabled 0\n service_notifications_enabled 0\n\
     host_notification_period always\n service_notification_period always\n host_notification_commands none\n\
     service_notification_commands none\n}\n";

/// A host with a passive service.
pub const SWITCH: &str = "define host {\n host_name sw1\n address 127.0.0.1\n check_command none\n max_check_attempts 1\n\
     active_checks_enabled 0\n check_interval 1\n retry_interval 1\n check_period always\n contacts ops\n\
     notification_period always\n}\n\
     define service {\n host_name sw1\n service_description Interface Gi0/3\n check_command none\n\
     max_check_attempts 1\n check_interval 1\n retry_interval 1\n active_checks_enabled 0\n passive_checks_enabled 1\n\
     check_period always\n contacts ops\n notification_period always\n}\n";

const DAEMONS: [&str; 6] = ["scheduler", "receiver", "broker", "poller", "reactionner", "arbiter"];

pub struct Alignak {
    root: PathBuf,
    dir: TempDir,
    /// Of its daemons, in their order.
    ports: Vec<u16>,
    programs: Vec<Group>,
}

impl Alignak {
    /// Writes its configuration, with these objects beside the basics; nothing where no Alignak is installed.
    pub fn prepare(objects: &str) -> Option<Self> {
        let root = optional("alignak", "Alignak", "Python 3.6")?;
        let dir = TempDir::new().unwrap();
        let d = dir.path();
        for folder in ["run", "log"] {
            std::fs::create_dir(d.join(folder)).unwrap();
        }
        let path = d.display();
        let mut config = format!(
            "[DEFAULT]\nworkdir={path}/run\nlogdir={path}/log\netcdir={path}\nbindir={}/bin\nuser={}\ngroup={}\n\
             idontcareaboutsecurity=1\nhost=127.0.0.1\naddress=127.0.0.1\npolling_interval=1\nmin_workers=1\nmax_workers=1\n\
             logger_configuration={}/share/alignak/etc/alignak-logger.json\n\
             [alignak-configuration]\nalignak_name=test\ncfg={path}/objects.cfg\nexecute_host_checks=0\nexecute_service_checks=0\n\
             [module.web-services]\nname=web-services\ntype=web-services\npython_name=alignak_module_ws\n\
             authorization=0\nalignak_host=\nalignak_backend=\n",
            root.display(),
            id("-un"),
            id("-gn"),
            root.display()
        );
        let ports: Vec<u16> = DAEMONS.iter().map(|_| port()).collect();
        for (name, port) in DAEMONS.iter().zip(&ports) {
            config.push_str(&format!("[daemon.{name}-1]\ntype={name}\nname={name}-1\nport={port}\n"));
            if *name == "receiver" {
                config.push_str("modules=web-services\n");
            }
        }
        std::fs::write(d.join("alignak.ini"), config).unwrap();
        std::fs::write(d.join("objects.cfg"), format!("{BASICS}{objects}")).unwrap();
        Some(Alignak { root, dir, ports, programs: Vec::new() })
    }

    /// Adds objects to its configuration.
    pub fn add(&self, objects: &str) {
        let path = self.dir.path().join("objects.cfg");
        std::fs::write(&path, read(&path) + objects).unwrap();
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.root.join("bin").join(format!("alignak-{name}")));
        command.args(["-e", "alignak.ini", "-n", &format!("{name}-1")]).current_dir(&self.dir);
        command
    }

    /// What its arbiter says of the configuration.
    pub fn verify(&self) -> String {
        let said = self.command("arbiter").arg("-V").output().unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    fn start(&mut self) {
        for name in DAEMONS {
            if name == "arbiter" {
                // It looks again only after a while for those that it does not reach.
                self.ports[..5].iter().copied().for_each(wait_port);
            }
            let mut command = self.command(name);
            let program = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
            self.programs.push(program);
        }
        self.wait_log("scheduler-1.log", "starting main loop");
        self.wait_log("receiver-1.log", "starting main loop");
        self.wait_log("arbiter-1.log", "dispatching #1 is ok");
    }

    fn wait_log(&self, name: &str, text: &str) {
        let path = self.dir.path().join("log").join(name);
        wait_or(|| format!("'{text}' in {}", read(&path)), || read(&path).contains(text).then_some(()));
    }
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
const LINK_UP: &str = "1.3.6.1.6.3.1.1.5.4";

#[test]
fn link_traps_turn_the_service_in_the_scheduler() {
    let Some(mut alignak) = Alignak::prepare(SWITCH) else { return };
    alignak.start();
    let url = format!("http://127.0.0.1:{}/ws", alignak.ports[1]);
    // As the page prints it, but for the login, which this receiver does not ask for.
    let printed = block("alignak.md", &[("url", &url)]);
    let sink: String = printed
        .lines()
        .filter(|line| !line.starts_with("user") && !line.starts_with("password"))
        .map(|line| format!("{line}\n"))
        .collect();
    let daemon = Daemon::start(&format!("[hosts]\nmap = {{ \"127.0.0.1\" = \"sw1\" }}\n{sink}"));
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    let events = "alignak-events.log";
    alignak.wait_log(
        events,
        "SERVICE ALERT: sw1;Interface Gi0/3;CRITICAL;HARD;1;Link down on Gi0/3 (admin up, oper down)",
    );
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_UP], "Gi0/3", "1");
    alignak.wait_log(events, "SERVICE ALERT: sw1;Interface Gi0/3;OK;HARD;1;Link up on Gi0/3");
}
