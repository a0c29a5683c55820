//! snmptt, which takes its traps from files.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process;
use crate::table::{Table, cell};

const COUNT: usize = 2_000;
const LIMIT: Duration = Duration::from_secs(30);

/// snmptt's daemon on a full spool folder, as snmptthandler fills it.
pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let d = dir.display();
    std::fs::create_dir(dir.join("spool")).unwrap();
    for n in 0..COUNT {
        let text = "1795176000\nrouter1\nUDP: [127.0.0.1]:5000->[127.0.0.1]:162\n.1.3.6.1.2.1.1.3.0 0:0:00:01.00\n\
                    .1.3.6.1.6.3.1.1.4.1.0 .1.3.6.1.6.3.1.1.5.3\n.1.3.6.1.2.1.2.2.1.1.3 3\n.1.3.6.1.2.1.2.2.1.7.3 1\n\
                    .1.3.6.1.2.1.2.2.1.8.3 2\n.1.3.6.1.2.1.2.2.1.2.3 GigabitEthernet0/3\n";
        std::fs::write(dir.join(format!("spool/#snmptt-trap-1795176000{n:06}")), text).unwrap();
    }
    let mut events: String = (0..9)
        .map(|n| {
            format!("EVENT other{n} .1.3.6.1.4.1.9999{n}.0.1 \"Status Events\" Normal\nFORMAT other $1\n")
        })
        .collect();
    events.push_str("EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT Link down on $4 (admin $2, oper $3)\n");
    std::fs::write(dir.join("snmptt.conf"), events).unwrap();
    let ini = format!(
        "[General]\nmode = daemon\ndns_enable = 0\nnet_snmp_perl_enable = 0\n\
         [DaemonMode]\ndaemon_fork = 0\npid_file = {d}/snmptt.pid\nspool_directory = {d}/spool/\nsleep = 1\n\
         [Logging]\nstdout_enable = 0\nlog_enable = 1\nlog_file = {d}/snmptt.log\nsyslog_enable = 0\nsyslog_system_enable = 0\n\
         [TrapFiles]\nsnmptt_conf_files = <<END\n{d}/snmptt.conf\nEND\n"
    );
    std::fs::write(dir.join("snmptt.ini"), ini).unwrap();
    let spawned = Command::new("/usr/sbin/snmptt")
        .args(["--daemon", &format!("--ini={d}/snmptt.ini")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut process) = spawned else {
        println!("snmptt is not installed: run benches/fetch_peers");
        return;
    };
    let logged =
        || std::fs::read_to_string(dir.join("snmptt.log")).unwrap_or_default().matches("Link down").count();
    let start = Instant::now();
    while logged() < COUNT && start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (taken, seconds) = (logged(), start.elapsed().as_secs_f64());
    let cpu = process::of_process(process.id()).cpu as f64 / 1000.0;
    process.kill().unwrap();
    process.wait().unwrap();
    let mut table = Table::new(&["peer"], &["taken/s", "lost", "CPU us each, with its start"]);
    table.row(vec![
        "snmptt".to_owned(),
        cell(taken as f64 / seconds, 0),
        (COUNT - taken).to_string(),
        cell(cpu / taken as f64, 1),
    ]);
    table.print();
}
