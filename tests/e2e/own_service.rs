//! Trapline as a service of its own, and `trapline status --check` as a plugin.

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::wait_until;

/// The exit status and the line of the plugin.
fn check(daemon: &Daemon, more: &[&str]) -> (i32, String) {
    let config = daemon.path("trapline.toml").display().to_string();
    let run = output(&[&["status", "--check", "--config", &config], more].concat());
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!((text.lines().count(), run.stderr.len()), (1, 0), "{text}");
    (run.status.code().unwrap(), text)
}

#[test]
fn the_daemon_is_a_service_and_a_plugin_says_the_same() {
    let own = "[self]\nhost = \"mon-{{ node }}\"\nevery = \"1s\"\n";
    let mut daemon = Daemon::start(&format!("{FILE_SINK}{own}"));
    let node =
        String::from_utf8(std::process::Command::new("uname").arg("-n").output().unwrap().stdout).unwrap();
    wait_until("it reports itself", || daemon.outcomes("out.jsonl").len() > 1);
    let own = &daemon.outcomes("out.jsonl")[1];
    assert_eq!(
        (&own["service"], &own["state"], &own["rule"]),
        (&"Trapline".into(), &"ok".into(), &"self".into())
    );
    assert_eq!(own["host"], format!("mon-{}", node.trim()));
    assert!(own["perfdata"].as_str().unwrap().starts_with("age="), "{own}");
    let (status, line) = check(&daemon, &[]);
    assert!(status == 0 && line.starts_with("TRAPLINE OK - ") && line.contains(" | age="), "{status} {line}");

    // A sink that cannot deliver, added by a reload; there is something to deliver at the next interval.
    let path = daemon.path("trapline.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let missing = "[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"missing.cmd\"\n";
    std::fs::write(&path, format!("{before}{missing}")).unwrap();
    daemon.reload();
    let says = |state: &str| {
        let outcomes = daemon.outcomes("out.jsonl");
        outcomes.iter().any(|own| {
            own["state"] == state && own["output"].as_str().unwrap().contains("sink 'core' fails, ")
        })
    };
    wait_until("it warns of itself", || says("warning"));
    wait_until("the plugin warns", || check(&daemon, &[]).0 == 1);
    wait_until("old outcomes are critical", || {
        check(&daemon, &["--warning", "1s", "--critical", "2s"]).0 == 2
    });
    let (status, line) = check(&daemon, &["--warning", "soon"]);
    assert!(status == 3 && line.starts_with("TRAPLINE UNKNOWN - --warning soon: "), "{line}");
    assert_eq!(check(&daemon, &["--warning", "2h", "--critical", "1h"]).0, 3);

    // A section that nobody knows.
    std::fs::write(&path, before.replace("[self]", "[selfish]")).unwrap();
    daemon.reload();
    wait_until("a reload that is refused is told", || check(&daemon, &[]).1.contains("reload was refused"));
    daemon.stop();
    let (status, line) = check(&daemon, &[]);
    assert!(status == 2 && line.starts_with("TRAPLINE CRITICAL - no daemon answers on "), "{line}");
    std::fs::write(&path, "[journal\n").unwrap();
    assert_eq!(check(&daemon, &[]).0, 3);
}
