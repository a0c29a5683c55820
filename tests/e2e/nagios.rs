//! A real Nagios 4: results show in its status file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::support::{Program, link_trap, read, run, snmptrap, wait_for, wait_until};

const ROOM: &str = "/usr/sbin/nagios4";

/// What id(1) says of who runs the tests.
pub fn id(what: &str) -> String {
    String::from_utf8(run(Command::new("id").arg(what)).stdout).unwrap().trim().to_owned()
}

/// A Nagios in a directory of its own.
pub struct Nagios {
    dir: PathBuf,
    program: Option<Program>,
}

impl Nagios {
    /// Writes its configuration: the host `sw1` with some passive services.
    pub fn prepare(dir: &Path, services: &[&str]) -> Self {
        let dir = dir.join("nagios");
        for sub in ["rw", "results", "archives", "objects"] {
            std::fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let d = dir.display();
        let (user, group) = (id("-un"), id("-gn"));
        let main = format!(
            "log_file={d}/nagios.log\ncfg_dir={d}/objects\nobject_cache_file={d}/objects.cache\n\
             precached_object_file={d}/objects.precache\nstatus_file={d}/status.dat\ncommand_file={d}/rw/nagios.cmd\n\
             query_socket={d}/rw/nagios.qh\nlock_file={d}/nagios.lock\ntemp_file={d}/nagios.tmp\ntemp_path={d}\n\
             check_result_path={d}/results\nlog_archive_path={d}/archives\nstate_retention_file={d}/retention.dat\n\
             retain_state_information=0\nnagios_user={user}\nnagios_group={group}\ncheck_external_commands=1\n\
             use_syslog=0\nstatus_update_interval=1\ncheck_result_reaper_frequency=1\nexecute_service_checks=0\n\
             execute_host_checks=0\nlog_passive_checks=1\nenable_notifications=0\n"
        );
        std::fs::write(dir.join("nagios.cfg"), main).unwrap();
        let mut objects = String::from(
            "define command {\n command_name none\n command_line /bin/true\n}\n\
             define timeperiod {\n timeperiod_name always\n alias always\n monday 00:00-24:00\n tuesday 00:00-24:00\n\
             wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n sunday 00:00-24:00\n}\n\
             define contact {\n contact_name ops\n host_notifications_enabled 0\n service_notifications_enabled 0\n\
             host_notification_period always\n service_notification_period always\n host_notification_commands none\n\
             service_notification_commands none\n}\n\
             define host {\n host_name sw1\n address 127.0.0.1\n check_command none\n max_check_attempts 1\n\
             check_period always\n contacts ops\n notification_period always\n}\n",
        );
        for service in services {
            objects.push_str(&format!(
                "define service {{\n host_name sw1\n service_description {service}\n check_command none\n\
                 max_check_attempts 1\n active_checks_enabled 0\n passive_checks_enabled 1\n is_volatile 1\n\
                 check_period always\n contacts ops\n notification_period always\n}}\n"
            ));
        }
        std::fs::write(dir.join("objects/all.cfg"), objects).unwrap();
        Nagios { dir, program: None }
    }

    pub fn start(&mut self) {
        let config = self.dir.join("nagios.cfg");
        let _ = std::fs::remove_file(self.dir.join("status.dat"));
        self.program =
            Some(Program::start(Command::new(ROOM).arg(config).stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("Nagios has its pipe and its status", || {
            self.command_file().exists() && self.dir.join("status.dat").exists()
        });
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal("TERM");
        wait_until("Nagios ends", || program.0.try_wait().unwrap().is_some());
    }

    pub fn command_file(&self) -> PathBuf {
        self.dir.join("rw/nagios.cmd")
    }

    pub fn result_path(&self) -> PathBuf {
        self.dir.join("results")
    }

    pub fn log(&self) -> String {
        read(&self.dir.join("nagios.log"))
    }

    /// The fields of a service in the status file.
    fn service(&self, description: &str) -> Option<HashMap<String, String>> {
        let status = read(&self.dir.join("status.dat"));
        status.split("servicestatus {").skip(1).find_map(|block| {
            let block = block.split("\n\t}").next()?;
            let fields: HashMap<_, _> = block
                .lines()
                .filter_map(|l| l.trim().split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect();
            (fields.get("service_description").map(String::as_str) == Some(description)).then_some(fields)
        })
    }

    /// Waits until a service has a state and an output that contains some text; gives its fields.
    pub fn wait_service(&self, description: &str, state: &str, output: &str) -> HashMap<String, String> {
        wait_for(&format!("'{description}' is {state} with '{output}'"), || {
            self.service(description).filter(|s| {
                s.get("current_state").map(String::as_str) == Some(state)
                    && s.get("plugin_output").is_some_and(|o| o.contains(output))
            })
        })
    }
}

/// A daemon before a Nagios, through its pipe.
pub fn before(nagios: &Nagios) -> Daemon {
    before_pipe(&nagios.command_file())
}

/// A daemon before the pipe of a core.
pub fn before_pipe(command_file: &Path) -> Daemon {
    Daemon::start(&format!(
        "[hosts]\nmap = {{ \"127.0.0.1\" = \"sw1\", \"::1\" = \"sw1\" }}\n\
         [[sinks]]\ntype = \"nagios\"\ncommand_file = \"{}\"\n",
        command_file.display()
    ))
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
const LINK_UP: &str = "1.3.6.1.6.3.1.1.5.4";

#[test]
fn link_traps_of_both_versions_turn_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &["Interface Gi0/3"]);
    nagios.start();
    let daemon = before(&nagios);
    let target = daemon.snmp_target();
    let v1 = |generic: &str, status: &str| {
        let head = ["-v1", "-c", "public", &target, "1.3.6.1.4.1.9.1.1", "127.0.0.1", generic, "0", "100"];
        link_trap(&head, "Gi0/3", status);
    };
    v1("2", "2");
    nagios.wait_service("Interface Gi0/3", "2", "Link down on Gi0/3 (admin up, oper down)");
    v1("3", "1");
    nagios.wait_service("Interface Gi0/3", "0", "Link up on Gi0/3");
    link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], "Gi0/3", "2");
    nagios.wait_service("Interface Gi0/3", "2", "Link down on Gi0/3");
    link_trap(&["-v2c", "-c", "public", &target, "", LINK_UP], "Gi0/3", "1");
    nagios.wait_service("Interface Gi0/3", "0", "Link up");
    // Over IPv6 too.
    let v6 = format!("udp6:[::1]:{}", daemon.snmp);
    link_trap(&["-v2c", "-c", "public", &v6, "", LINK_DOWN], "Gi0/3", "2");
    nagios.wait_service("Interface Gi0/3", "2", "Link down");
}

#[test]
fn arcserve_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &["ArcServe Backup"]);
    nagios.start();
    let daemon = before(&nagios);
    let target = daemon.snmp_target();
    for (text, state) in [
        ("Backup Job No. 7 failed", "2"),
        ("Backup Job No. 7 cancelled", "1"),
        ("Backup Job No. 7 finished OK", "0"),
        ("Backup Job No. 7 incomplete", "1"),
    ] {
        snmptrap(&[
            "-v1",
            "-c",
            "public",
            &target,
            "1.3.6.1.4.1.791.2",
            "127.0.0.1",
            "6",
            "9",
            "1",
            "1.3.6.1.4.1.791.2.1",
            "s",
            text,
        ]);
        nagios.wait_service("ArcServe Backup", state, text);
    }
}

#[test]
fn a_hostile_varbind_makes_exactly_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &["SNMP trap", "Other"]);
    nagios.start();
    let mut daemon = Daemon::prepare(&format!(
        "[hosts]\nmap = {{ \"127.0.0.1\" = \"sw1\" }}\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n\
         [[sinks]]\ntype = \"nagios\"\ncommand_file = \"{}\"\n{}",
        nagios.command_file().display(),
        crate::daemon::FILE_SINK
    ));
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.check]\nservice = \"SNMP trap\"\nstate = \"critical\"\noutput = \"{{ v[1] }}\"\n",
    )
    .unwrap();
    daemon.restart();
    let hostile = "bad\n[1] PROCESS_SERVICE_CHECK_RESULT;sw1;Other;2;forged\r\n;x|a=1;\\n\x1b[31mred";
    let hex: String = hostile.bytes().chain([0xff, 0xfe, 0x80]).map(|b| format!("{b:02x}")).collect();
    // As text, with a line break and escape sequences that are valid UTF-8.
    daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", hostile]);
    wait_until("Nagios has the first result", || {
        nagios.log().matches("PASSIVE SERVICE CHECK: sw1;SNMP trap").count() >= 1
    });
    // With octets that are no UTF-8.
    daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "x", &hex]);
    daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", "the end"]);
    nagios.wait_service("SNMP trap", "2", "the end");
    wait_until("Nagios logs all three", || {
        nagios.log().matches("PASSIVE SERVICE CHECK: sw1;SNMP trap").count() >= 3
    });
    let log = nagios.log();
    assert_eq!(log.matches("EXTERNAL COMMAND: PROCESS_SERVICE_CHECK_RESULT").count(), 3, "{log}");
    assert!(!log.contains("sw1;Other"), "{log}");
    assert!(!log.contains("\x1b["), "{log}");
    assert_eq!(nagios.service("Other").unwrap()["has_been_checked"], "0");
    wait_until("three outcomes", || daemon.outcomes("out.jsonl").len() == 3);
    let path = r"C:\temp\new";
    daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", path]);
    let service = nagios.wait_service("SNMP trap", "2", "C:");
    assert_eq!(service["plugin_output"], path);
}

#[test]
fn results_wait_while_nagios_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("Interface Gi0/{n}")).collect();
    let mut nagios = Nagios::prepare(dir.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    // The daemon is there first.
    let daemon = before(&nagios);
    let target = daemon.snmp_target();
    let down = |range: std::ops::Range<usize>| {
        range.for_each(|n| {
            link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], &format!("Gi0/{n}"), "2");
        });
    };
    down(0..10);
    wait_until("the sink says what is wrong", || daemon.log().contains("cannot open the command file"));
    nagios.start();
    (0..10).for_each(|n| drop(nagios.wait_service(&format!("Interface Gi0/{n}"), "2", "Link down")));
    // Restarted in the middle.
    down(10..20);
    nagios.stop();
    down(20..40);
    daemon.wait_count("outcomes", 40);
    nagios.start();
    (20..40).for_each(|n| drop(nagios.wait_service(&format!("Interface Gi0/{n}"), "2", "Link down")));
    // A pipe in whose place a plain file stands swallows nothing.
    nagios.stop();
    let _ = std::fs::remove_file(nagios.command_file());
    std::fs::write(nagios.command_file(), "").unwrap();
    down(0..1);
    wait_until("the status says so", || {
        daemon.status()["sinks"][0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("it is no named pipe"))
    });
    assert_eq!(read(&nagios.command_file()), "");
}

#[test]
fn through_the_check_result_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &["Interface Gi0/3"]);
    nagios.start();
    let daemon = Daemon::start(&format!(
        "[hosts]\nmap = {{ \"127.0.0.1\" = \"sw1\" }}\n\
         [[sinks]]\nname = \"spool\"\ntype = \"nagios\"\nmethod = \"spool\"\ncheck_result_path = \"{}\"\n",
        nagios.result_path().display()
    ));
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    nagios.wait_service("Interface Gi0/3", "2", "Link down on Gi0/3 (admin up, oper down)");
    wait_until("Nagios deletes the file", || std::fs::read_dir(nagios.result_path()).unwrap().count() == 0);
}
