//! Services that check in by HTTP, with the clients that docs/checkins.md prints.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{PATIENCE, port, run, wait_for, wait_until};

const TOKEN: &str = "0123456789abcdef";

/// The blocks of a page in a language.
fn blocks_of(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let begin = format!("```{language}\n");
    let all = text.split(&begin).skip(1);
    all.map(|rest| rest.split("```").next().unwrap().trim_end().to_owned()).collect()
}

fn blocks(language: &str) -> Vec<String> {
    blocks_of("checkins.md", language)
}

fn toml(page: &str) -> Vec<String> {
    blocks_of(page, "toml")
}

/// A daemon with a service, and what else is in its section and that of the service.
fn prepare(listen: u16, intake: &str, service: &str) -> Daemon {
    let daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n{intake}\n\
         [[intake.checkin]]\nservice = \"backup-laptop\"\nhost = \"laptop\"\ntoken_file = \"backup-laptop.token\"\n{service}\n"
    ));
    let token = daemon.path("backup-laptop.token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(token));
    daemon
}

/// Runs a line of a shell in the daemon's folder.
fn shell(daemon: &Daemon, line: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_trapline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", line]).current_dir(daemon.dir.path()).env("PATH", path).output().unwrap()
}

fn made(daemon: &Daemon) -> Vec<[String; 4]> {
    let text = |outcome: &Value, key: &str| outcome[key].as_str().unwrap_or("-").to_owned();
    let all = daemon.outcomes("out.jsonl");
    all.iter().map(|o| ["host", "service", "state", "output"].map(|key| text(o, key))).collect()
}

#[test]
fn the_calls_of_the_page_work_as_printed() {
    let listen = port();
    let mut daemon = prepare(listen, "", "timeout = \"32d\"\nlate = \"warning\"");
    daemon.restart();
    let here =
        |line: &str| line.replace("127.0.0.1:5000", &format!("127.0.0.1:{listen}")).replace("TOKEN", TOKEN);
    let plugin = |daemon: &Daemon| {
        let asked = blocks("sh").into_iter().find(|line| line.starts_with("trapline checkin query")).unwrap();
        let asked = shell(daemon, &here(&asked));
        (asked.status.code().unwrap(), String::from_utf8(asked.stdout).unwrap())
    };
    assert_eq!(plugin(&daemon), (3, "TRAPLINE UNKNOWN - no report yet\n".to_owned()));
    let mut expected = Vec::new();
    let calls = blocks("sh").into_iter().filter(|line| !line.starts_with("trapline checkin"));
    for call in calls {
        let said = shell(&daemon, &here(&call));
        assert!(said.status.success(), "{call}: {said:?}");
        let (state, output) =
            if call.contains("WARNING") { ("warning", "2 files skipped") } else { ("ok", "12 files") };
        expected.push(["laptop", "backup-laptop", state, output].map(str::to_owned));
        let (status, line) = plugin(&daemon);
        assert_eq!(status, i32::from(state == "warning"), "{line}");
        assert!(line.contains(&format!(" - {output} | age=")), "{line}");
    }
    assert_eq!(expected.len(), 4);
    wait_until("all results are there", || made(&daemon) == expected);
    let wrong = shell(
        &daemon,
        &here(
            "curl -s -o answer -w '%{http_code}' --data 'service=backup-laptop&token=x&status=ok' http://127.0.0.1:5000/",
        ),
    );
    assert_eq!(String::from_utf8(wrong.stdout).unwrap(), "401");
    let status = daemon.status();
    assert_eq!(
        (&status["intake"]["posts_received"], &status["intake"]["posts_refused"]),
        (&4.into(), &1.into())
    );
    assert!(
        !daemon.log().contains(TOKEN) && daemon.log().contains("was not taken (token)"),
        "{}",
        daemon.log()
    );
    // The last report is there after a stop; a crash forgets the last seconds at most.
    daemon.stop();
    assert_eq!(plugin(&daemon).0, 3);
    daemon.restart();
    let (status, line) = plugin(&daemon);
    assert_eq!((status, line.contains("12 files | age=")), (0, true), "{line}");
    let files = std::fs::read_dir(daemon.path("var")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        assert!(!crate::support::read(&file).contains(TOKEN), "{}", file.display());
    }
}

/// The fields of the hash table in the line for PowerShell.
fn powershell_fields() -> Vec<(String, String)> {
    let line = blocks("powershell").remove(0);
    let method = "Invoke-RestMethod -Method Post -Uri http://127.0.0.1:5000/ \
                  -ContentType 'application/json; charset=utf-8' -Body (@{";
    let table = line.strip_prefix(method).and_then(|rest| rest.strip_suffix("} | ConvertTo-Json)")).unwrap();
    let pairs = table.split("; ").map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').replace("TOKEN", TOKEN))).collect()
}

/// PowerShell cannot be installed, so this is what its documentation says that it sends for the line of the page: JSON on several
/// lines. Windows PowerShell 5.1 waits for 100 Continue before it sends the body.
#[test]
fn what_powershell_sends_is_taken() {
    let listen = port();
    let mut daemon = prepare(listen, "", "");
    daemon.restart();
    let fields = powershell_fields();
    let written = |begin: &str, between: &str, colon: &str, end: &str| {
        let lines: Vec<String> =
            fields.iter().map(|(name, value)| format!("\"{name}\":{colon}\"{value}\"")).collect();
        format!("{{{begin}{}{end}}}", lines.join(between))
    };
    let old = written("\r\n    ", ",\r\n    ", "  ", "\r\n");
    let new = written("\r\n  ", ",\r\n  ", " ", "\r\n");
    let agent = "User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US)";
    let json = "Content-Type: application/json; charset=utf-8";
    let heads = [
        format!(
            "POST / HTTP/1.1\r\n{agent} WindowsPowerShell/5.1.19041.4648\r\n{json}\r\nHost: 127.0.0.1:{listen}\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\nConnection: Keep-Alive\r\n\r\n",
            old.len()
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{listen}\r\n{agent} PowerShell/7.4.6\r\nAccept-Encoding: gzip, deflate, br\r\n\
             {json}\r\nContent-Length: {}\r\n\r\n",
            new.len()
        ),
    ];
    for (head, body) in heads.iter().zip([old, new]) {
        let mut stream = TcpStream::connect(("127.0.0.1", listen)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        let mut until = |stream: &mut TcpStream, end: &str| {
            while !answer.ends_with(end) {
                let mut octet = [0];
                stream.read_exact(&mut octet).unwrap_or_else(|e| panic!("{e}: {answer}"));
                answer.push(char::from(octet[0]));
            }
            std::mem::take(&mut answer)
        };
        stream.write_all(head.as_bytes()).unwrap();
        if head.contains("100-continue") {
            assert_eq!(until(&mut stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        }
        stream.write_all(body.as_bytes()).unwrap();
        let said = until(&mut stream, "\r\n\r\n");
        assert!(said.starts_with("HTTP/1.1 204 "), "{said}");
    }
    let expected = ["laptop", "backup-laptop", "ok", "12 files"].map(str::to_owned);
    wait_until("both are there", || made(&daemon) == [expected.clone(), expected.clone()]);
}

#[test]
fn over_tls_and_late() {
    let listen = port();
    let daemon = prepare(
        listen,
        "tls = { cert_file = \"server.pem\", key_file = \"server.key\" }",
        "timeout = \"1us\"\nlate = \"critical\"",
    );
    let authority = Authority::new(&daemon.path("ca.pem"));
    authority.issue(daemon.dir.path(), "server", &["localhost"]);
    let mut daemon = daemon;
    daemon.restart();
    let url = format!("--url https://localhost:{listen} --ca-file ca.pem");
    let sent = shell(
        &daemon,
        &format!("trapline send checkin {url} --token-file backup-laptop.token backup-laptop ok x"),
    );
    assert!(sent.status.success(), "{sent:?}");
    let asked = shell(&daemon, &format!("trapline checkin query {url} --service backup-laptop"));
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    let line = String::from_utf8(asked.stdout).unwrap();
    assert!(line.contains("no report for") && line.contains("the last one was ok: x"), "{line}");
    let state =
        shell(&daemon, &format!("curl -s --cacert ca.pem https://localhost:{listen}/state/backup-laptop"));
    let state: Value = serde_json::from_slice(&state.stdout).unwrap();
    assert_eq!((&state["state"], &state["late"]), (&"critical".into(), &true.into()), "{state}");
}

#[test]
fn a_rule_expects_reports_and_the_unmatched_ones_are_kept() {
    let listen = port();
    let mut daemon = prepare(listen, "", "");
    let rules = "[[rule]]\nid = \"b\"\ncheckin = \"backup-*\"\nwhere = \"json.files > 3\"\nexpect = { every = \"200ms\", key = \"{{ checkin }}\", host = \"{{ key }}\", service = \"Backup\", output = \"no report\" }\n\
                 [rule.check]\nhost = \"{{ checkin }}\"\nservice = \"Backup\"\nstate = \"status\"\n";
    std::fs::create_dir(daemon.path("rules")).unwrap();
    std::fs::write(daemon.path("rules/b.toml"), rules).unwrap();
    let config = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&config).unwrap() + "[rules]\npacks = []\npaths = [\"rules\"]\n";
    std::fs::write(&config, text).unwrap();
    daemon.restart();
    let post = |files: u32| {
        let body = format!("service=backup-laptop&token={TOKEN}&status=ok&info=done&files={files}");
        let sent = shell(&daemon, &format!("curl -s --fail --data '{body}' http://127.0.0.1:{listen}/"));
        assert!(sent.status.success(), "{sent:?}");
    };
    // A field of a form is text: the rule does not take it.
    post(9);
    let json =
        format!("{{\"service\":\"backup-laptop\",\"token\":\"{TOKEN}\",\"status\":\"ok\",\"files\":9}}");
    let sent = shell(&daemon, &format!("curl -s --fail --data '{json}' http://127.0.0.1:{listen}/"));
    assert!(sent.status.success(), "{sent:?}");
    wait_for("it is late", || {
        let made = made(&daemon);
        let late = ["backup-laptop", "Backup", "critical", "no report"].map(str::to_owned);
        (made.first()?[2] == "ok" && made.get(1)? == &late).then_some(())
    });
    let kept = daemon.unmatched_messages();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((&kept[0]["checkin"], &kept[0]["json"]["files"]), (&"backup-laptop".into(), &"9".into()));
    let config = config.to_str().unwrap();
    let explained = output(&["explain", "--unmatched", "1", "--config", config]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(text.contains("where is false"), "{text}");
    let drafted = output(&["rule", "new", "1", "--config", config]);
    let text = String::from_utf8(drafted.stdout).unwrap();
    assert!(drafted.status.success() && text.contains("\ncheckin = \"backup-laptop\"\n"), "{text}");
}

#[test]
fn what_is_wrong_in_the_section_is_said_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("trapline.toml");
    let check = |intake: &str| {
        std::fs::write(&config, format!("[snmp]\nrelays = []\n[syslog]\nrelays = []\n{intake}")).unwrap();
        let said = output(&["check", "--config", config.to_str().unwrap()]);
        String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout)
    };
    let local = "[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:5000\"\n";
    let network = "[[intake]]\ntype = \"http\"\nlisten = \"0.0.0.0:5000\"\n";
    let service = "[[intake.checkin]]\nservice = \"a\"\n";
    for (intake, said) in [
        ("[[intake]]\nlisten = \"127.0.0.1:5000\"\n".to_owned(), "[[intake]] without 'type'; add type"),
        ("[[intake]]\ntype = \"htpt\"\nlisten = \"127.0.0.1:5000\"\n".to_owned(), "did you mean 'http'"),
        ("[[intake]]\ntype = \"http\"\n".to_owned(), "without 'listen'"),
        (
            format!("{network}{service}token = \"0123456789abcdef\"\n"),
            "tokens come in clear text to 0.0.0.0:5000",
        ),
        (format!("{network}plaintext = true\n{service}"), "everybody on the network could send"),
        (format!("{local}{service}tokenfile = \"x\"\n"), "did you mean 'token_file'"),
        (format!("{local}{service}{service}"), "the service 'a' is listed twice"),
        (format!("{local}{service}{local}"), "two [[intake]] listen on 127.0.0.1:5000/tcp"),
        (format!("{local}{service}late = \"warn\"\n"), "'warn' is no state of a service"),
        (format!("{local}{service}timeout = \"soon\"\n"), "'timeout' is no duration"),
        (format!("{local}max_body = 1\n{service}"), "max_body must be 1KiB to 16MiB"),
        (local.to_owned(), "[[intake]] takes nothing"),
        (format!("{local}[[intake.json]]\nname = \"x\"\n"), "[[intake.json]] without 'path'"),
        (format!("{local}[[intake.json]]\npath = \"/x\"\n"), "[[intake.json]] without 'name'"),
        (format!("{local}[[intake.json]]\nname = \"x\"\npath = \"/state/x\"\n"), "is no path for events"),
        (format!("{local}[[intake.json]]\nformat = \"grafana\"\n"), "'grafana' is no format of events"),
        (
            format!("{local}[[intake.json]]\nname = \"x\"\npath = \"/x\"\neach = \"events\"\n"),
            "'events' is no pointer",
        ),
        (
            format!(
                "{local}[[intake.json]]\nformat = \"canopsis\"\n[[intake.json]]\nformat = \"canopsis\"\n"
            ),
            "have the same path",
        ),
        (
            format!("{network}plaintext = true\n[[intake.json]]\nformat = \"canopsis\"\n"),
            "everybody on the network could send",
        ),
        (format!("{local}{service}token = \"short\"\n"), "can be guessed"),
        (format!("{local}{service}[http]\nlisten = \"127.0.0.1:5000\"\n"), "cannot have the same port"),
    ] {
        let all = check(&intake);
        assert!(all.contains(said) && all.contains("trapline.toml:"), "{said}: {all}");
    }
    let good = check(&format!("{local}{service}timeout = 0\n"));
    assert!(good.contains("no errors"), "{good}");
}

/// The configuration and the rule that docs/events.md prints.
#[test]
fn events_come_in_as_the_page_says() {
    let (page, listen) = (toml("events.md"), port());
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}{}", page[0].replace("5000", &listen.to_string())));
    std::fs::create_dir(daemon.path("rules")).unwrap();
    std::fs::write(daemon.path("rules/centreon.toml"), &page[1]).unwrap();
    let config = daemon.path("trapline.toml");
    let tested = output(&["test", "--config", config.to_str().unwrap()]);
    assert!(tested.status.success(), "{tested:?}");
    daemon.restart();
    let post = |path: &str, body: &str| {
        let line =
            format!("curl -s --fail --data-binary @- http://127.0.0.1:{listen}{path} <<'END'\n{body}\nEND");
        let sent = shell(&daemon, &line);
        assert!(sent.status.success(), "{path}: {sent:?}");
        String::from_utf8(sent.stdout).unwrap()
    };
    let event = r#"{"host":{"name":"db1"},"service":{"name":"Disk"},"state":2,"output":"full"}"#;
    post("/hooks/centreon", &format!("{{\"events\":[{event}]}}"));
    let alert = r#"{"labels":{"alertname":"Down","instance":"db2:9100"},"annotations":{"summary":"is down"}"#;
    post("/api/v2/alerts", &format!("[{alert},\"endsAt\":\"2000-01-01T00:00:00Z\"}}]"));
    post("/alertmanager", &format!("{{\"version\":\"4\",\"alerts\":[{alert},\"status\":\"firing\"}}]}}"));
    let canopsis = r#"{"component":"db3","resource":"Load","state":1,"output":"high"}"#;
    let told = post("/api/v4/event", canopsis);
    assert!(told.contains("\"failed_events\":[]"), "{told}");
    let expected = [
        ["db1", "Disk", "critical", "full"],
        ["db2", "Down", "ok", "is down"],
        ["db2", "Down", "critical", "is down"],
        ["db3", "Load", "warning", "high"],
    ];
    wait_until("all results are there", || made(&daemon).len() == expected.len());
    assert_eq!(made(&daemon), expected.map(|one| one.map(str::to_owned)));
    let explained = output(&[
        "explain",
        "--event",
        &format!("centreon={{\"events\":[{event}]}}"),
        "--config",
        config.to_str().unwrap(),
    ]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.status.success() && text.contains("centreon-services"), "{text}");
}

#[test]
fn the_configuration_and_the_rules_of_the_page_are_right() {
    let page = toml("checkins.md");
    let daemon = Daemon::prepare(&format!("{FILE_SINK}{}", page[0]));
    let authority = Authority::new(&daemon.path("ca.pem"));
    authority.issue(daemon.dir.path(), "server", &["localhost"]);
    std::fs::write(daemon.path("backup-laptop.token"), TOKEN).unwrap();
    run(Command::new("chmod").arg("600").arg(daemon.path("backup-laptop.token")));
    std::fs::create_dir(daemon.path("rules")).unwrap();
    std::fs::write(daemon.path("rules/backups.toml"), &page[1]).unwrap();
    let config = daemon.path("trapline.toml");
    for command in ["check", "test"] {
        let said = output(&[command, "--config", config.to_str().unwrap()]);
        assert!(said.status.success(), "{command}: {said:?}");
    }
    let explained = output(&[
        "explain",
        "--checkin",
        "{\"service\": \"backup-laptop\", \"status\": \"CRITICAL\", \"info\": \"tape full\", \"files\": 3}",
        "--config",
        config.to_str().unwrap(),
    ]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(text.contains("backups") && text.contains("tape full (3 files)"), "{text}");
}
