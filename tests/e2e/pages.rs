//! The configurations that docs/sinks/ prints, as they are printed but for addresses and files.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::daemon::{Daemon, output};
use crate::support::{read, run, wait_for, wait_until};
use crate::web_server::{Answer, Request, WebServer};

/// The TOML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "README.md").collect();
    names.sort();
    names
}

/// The same block with another value for some keys.
fn with(block: &str, values: &[(&str, &str)]) -> String {
    let line = |line: &str| {
        let key = line.split(" = ").next().unwrap();
        match values.iter().find(|(name, _)| *name == key) {
            Some((name, value)) => format!("{name} = \"{value}\"\n"),
            None => format!("{line}\n"),
        }
    };
    block.lines().map(line).collect()
}

/// A daemon of one block, with the files of its secrets beside it.
fn daemon(block: &str) -> Daemon {
    let mut daemon = Daemon::prepare(block);
    secrets(&daemon, block);
    daemon.restart();
    daemon
}

fn secrets(daemon: &Daemon, block: &str) {
    let other = |line: &str| ["ca_file", "cert_file", "command_file"].iter().any(|key| line.starts_with(key));
    for line in block.lines().filter(|line| line.contains("_file = ") && !other(line)) {
        let name = line.split('"').nth(1).unwrap();
        std::fs::write(daemon.path(name), "a long enough secret\n").unwrap();
        run(Command::new("chmod").arg("600").arg(daemon.path(name)));
    }
}

#[test]
fn every_block_passes_the_check() {
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&page) {
            // Of the files only the authorities must be there.
            let authorities = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/authority.pem");
            let block = with(&block, &[("ca_file", authorities)]);
            // The packs have been checked often enough.
            let rules = if block.contains("[rules]") { "" } else { "[rules]\npacks = [\"snmpv2-mib\"]\n" };
            let daemon = Daemon::prepare(&format!("{block}\n{rules}"));
            secrets(&daemon, &block);
            let config = daemon.path("trapline.toml").display().to_string();
            let checked = output(&["check", "--offline", "--config", &config]);
            assert!(checked.status.success() && checked.stderr.is_empty(), "{page}: {checked:?}\n{block}");
            seen += 1;
        }
    }
    println!("{seen} blocks on {} pages", pages().len());
    assert!(seen >= 18);
}

/// How the servers of the pages answer, where Debian has none of them.
fn answer(request: &Request) -> Answer {
    let body = match request.path.as_str() {
        "/login" => json!({ "_status": "OK", "_result": ["token"] }),
        "/command" => json!({ "_status": "OK" }),
        "/nrdp/" => json!({ "result": { "status": 0, "message": "OK" } }),
        "/services/collector/event" => json!({ "text": "Success", "code": 0, "ackId": 1 }),
        "/services/collector/ack" => json!({ "acks": { "1": true } }),
        "/api/v4/event" => json!({ "sent_events": [], "retry_events": [], "failed_events": [] }),
        "/api/events" => json!({ "status": "accepted" }),
        path if path.contains("/incident?") => json!({ "result": [] }),
        path if path.contains("/search/jql?") => json!({ "issues": [] }),
        path if path.starts_with("/webservices/rest.php") => json!({ "code": 0, "objects": null }),
        path if path.starts_with("/trapline-") => json!({ "status": "Ok", "Matching Sensors": "1" }),
        _ => json!({}),
    };
    (200, "", body.to_string())
}

#[test]
fn what_goes_to_web_servers_gets_there() {
    let mut bodies = HashMap::new();
    for page in ["alignak.md", "nrdp.md", "splunk.md", "webhook.md", "canopsis.md"] {
        for block in blocks(page).into_iter().filter(|block| block.contains("url = \"http")) {
            let server = WebServer::start(answer);
            let url = block.lines().find_map(|line| line.strip_prefix("url = \"")).unwrap();
            let path = url
                .splitn(4, '/')
                .nth(3)
                .map_or(String::new(), |path| format!("/{}", path.split('"').next().unwrap()));
            let block = with(&block, &[("url", &format!("{}{path}", server.url()))]);
            let daemon = daemon(&block);
            // Not ok, so that none of them skips it: an authentication failure is a warning, a linkDown critical.
            daemon.link_down("Gi\"0/3");
            wait_until(&block, || daemon.status()["sinks"][0]["delivered"] == 1);
            let sent = |r: &Request| r.path != "/login" && !r.body.is_empty();
            let request = server.requests().into_iter().find(sent).unwrap();
            bodies.insert(daemon.status()["sinks"][0]["name"].as_str().unwrap().to_owned(), request);
        }
    }
    // Those by template are JSON, whatever is in the values.
    for name in ["slack", "teams", "servicenow", "jira", "hook"] {
        let json = bodies[name].json();
        assert!(json.to_string().contains("Gi\\\"0/3"), "{name}: {}", bodies[name].text());
    }
    assert_eq!(
        bodies["slack"].json()["text"],
        "*critical* 127.0.0.1 Interface Gi\"0/3: Link down on Gi\"0/3 (admin up, oper down)"
    );
    assert!(bodies["hook"].header("x-trapline-signature").is_some());
    assert!(bodies["servicenow"].header("authorization").is_some());
}

#[test]
fn pipes_and_directories_of_nagios_and_its_kin() {
    for block in blocks("nagios.md") {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, spool) = (dir.path().join("pipe"), dir.path().join("spool"));
        run(Command::new("mkfifo").arg(&pipe));
        std::fs::create_dir(&spool).unwrap();
        // Open for both, so that there is a reader.
        let file = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let paths = [
            ("command_file", pipe.to_str().unwrap()),
            ("check_result_path", spool.to_str().unwrap()),
            ("directory", spool.to_str().unwrap()),
        ];
        let block = with(&block, &paths);
        let daemon = daemon(&block);
        daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
        if block.contains("centcore") {
            let commands = wait_for("a file of commands", || gorgone_takes(&spool));
            let [(poller, command)] = &commands[..] else { panic!("{commands:?}") };
            assert_eq!(poller, "3");
            assert!(command.contains("] PROCESS_SERVICE_CHECK_RESULT;127.0.0.1;"), "{command}");
        } else if block.contains("spool") {
            wait_until(&block, || std::fs::read_dir(&spool).unwrap().count() == 2);
        } else {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(file), &mut line).unwrap();
            assert!(line.contains("PROCESS_SERVICE_CHECK_RESULT;127.0.0.1;"), "{line}");
        }
    }
}

/// Takes the commands of a directory as the module legacycmd of Gorgone does: files whose names begin with a dot are skipped, a
/// file is renamed, read line by line, and removed. None if there is no file.
fn gorgone_takes(directory: &Path) -> Option<Vec<(String, String)>> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let name = names.map(|name| name.into_string().unwrap()).find(|name| !name.starts_with('.'))?;
    let taken = directory.join(format!("{name}_read"));
    std::fs::rename(directory.join(&name), &taken).unwrap();
    let text = read(&taken);
    std::fs::remove_file(taken).unwrap();
    let line = |line: &str| {
        let (command, rest) = line.split_once(':').unwrap();
        let (poller, parameter) = rest.split_once(':').unwrap();
        assert_eq!(command, "EXTERNALCMD");
        (poller.to_owned(), parameter.to_owned())
    };
    Some(text.lines().map(line).collect())
}

#[test]
fn a_file() {
    let daemon = daemon(&blocks("file.md")[0]);
    daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    wait_until("a line", || daemon.outcomes("outcomes.jsonl").len() == 1);
}

/// The block of a page for a program that another test runs.
pub fn block(page: &str, values: &[(&str, &str)]) -> String {
    nth_block(page, 0, values)
}

/// One of the blocks of a page for a program that another test runs.
pub fn nth_block(page: &str, at: usize, values: &[(&str, &str)]) -> String {
    with(&blocks(page)[at], values)
}
