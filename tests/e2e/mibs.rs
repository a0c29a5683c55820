//! MIBs as users have them: what comes while they are read waits, the index is kept, values read as net-snmp's.

use std::process::Command;

use crate::daemon::{Daemon, FILE_SINK, output, trapline};
use crate::support::{Program, link_trap, read, run, wait_until};

#[test]
fn what_comes_while_modules_are_read_waits_on_disk() {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    std::fs::create_dir(daemon.path("mibs")).unwrap();
    // A module that takes as long as the test wants: a pipe that nobody has written into yet.
    let slow = daemon.path("mibs/SLOW-MIB.txt");
    run(Command::new("mkfifo").arg(&slow));
    let log = std::fs::File::create(daemon.path("log")).unwrap();
    let mut first = Program::start(
        trapline()
            .args(["run", "--config"])
            .arg(daemon.path("trapline.toml"))
            .stderr(log.try_clone().unwrap()),
    );
    let target = daemon.snmp_target();
    let down = |n: u32| {
        link_trap(&["-v2c", "-c", "public", &target, "", "1.3.6.1.6.3.1.1.5.3"], &format!("Gi0/{n}"), "2");
    };
    let waiting = daemon.path("var/waiting");
    wait_until("the daemon listens", || daemon.path("var/engine").exists());
    for n in 0..20 {
        down(n);
    }
    wait_until("they wait", || std::fs::metadata(&waiting).is_ok_and(|m| m.len() > 20 * 100));
    assert!(!read(&daemon.path("log")).contains("listening: "));
    // It is killed before it is ready; the next one takes what it left.
    first.kill();
    let mut daemon = daemon;
    let mut command = trapline();
    command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
    let writer = std::thread::spawn(move || {
        // Whoever opens it reads nothing, at once.
        while slow.exists() {
            drop(std::fs::File::options().write(true).open(&slow));
            // Not at once again: the end is only to be seen while nobody has it open to write.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    down(20);
    daemon.start_as(command);
    down(21);
    wait_until("all that waited, and what came after", || daemon.outcomes("out.jsonl").len() >= 21);
    let services: Vec<String> =
        daemon.outcomes("out.jsonl").iter().map(|o| o["service"].as_str().unwrap().to_owned()).collect();
    for n in (0..20).chain([21]) {
        assert!(services.contains(&format!("Interface Gi0/{n}")), "Gi0/{n}: {services:?}");
    }
    assert!(!waiting.exists());
    // The writer waits for a reader: here is one, and then nothing to write into any more.
    let slow = daemon.path("mibs/SLOW-MIB.txt");
    let _reader = std::fs::File::options().read(true).write(true).open(&slow).unwrap();
    std::fs::remove_file(slow).unwrap();
    writer.join().unwrap();
}

#[test]
fn rules_of_a_module_pass_check_and_test_as_they_come() {
    let daemon = Daemon::prepare("[rules]\npaths = [\"rules.toml\"]\n");
    let made = output(&["mib", "rules", "IF-MIB", "UPS-MIB", "OSPF-TRAP-MIB"]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    // What clears reaches the service of what went wrong.
    assert_eq!(text.matches("service = \"link {{ index['IF-MIB::ifIndex'] }}\"").count(), 2, "{text}");
    std::fs::write(daemon.path("rules.toml"), text).unwrap();
    let config = daemon.path("trapline.toml").display().to_string();
    for command in ["check", "test"] {
        let done = output(&[command, "--config", &config]);
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let wrong = output(&["mib", "rules", "IF-MBI"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean 'IF-MIB'?"), "{wrong:?}");
}
