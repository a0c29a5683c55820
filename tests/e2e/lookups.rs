//! Tables that rules look things up in: from a file and from a server, whatever either gives.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::wait_until;

const RULE: &str = "[[rule]]\nid = \"fan\"\nsyslog = { message = '^fan (?<name>\\S+)' }\nwhere = \"lookup('site', source)\"\n\
                    [rule.check]\nhost = \"{{ name }}\"\nservice = \"Fan\"\nstate = \"critical\"\n\
                    output = \"{{ lookup('site', source).city }} {{ lookup('dev', name).owner.mail or '-' }}\"\n";

/// A server that answers each request with what is in the returned place; nothing there is a broken connection.
fn server() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::<Mutex<String>>::default();
    let given = answer.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let body = given.lock().unwrap().clone();
            if !body.is_empty()
                && String::from_utf8_lossy(&head).to_lowercase().contains("authorization: bearer s3cret")
            {
                let _ = stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").as_bytes());
            }
        }
    });
    (port, answer)
}

#[test]
fn a_version_with_a_mistake_keeps_the_one_before_over_reloads_and_restarts() {
    let (port, answer) = server();
    let tables = format!(
        "[rules]\npaths = [\"rules.toml\"]\npacks = []\n\
         [[lookups]]\nname = \"site\"\ncsv = \"sites.csv\"\nkey = \"network\"\nmatch = \"cidr\"\nrefresh = \"1s\"\n\
         [[lookups]]\nname = \"dev\"\nurl = \"http://127.0.0.1:{port}/hosts\"\nitems = \"/results\"\nkey = \"name\"\nrefresh = \"1s\"\ntoken_file = \"token\"\n"
    );
    let of_new = "[[sinks]]\nname = \"new\"\ntype = \"file\"\npath = \"DIR/new.jsonl\"\n\
                  only = \"lookup('dev', outcome.host).owner.mail == 'new@example.org'\"\n";
    let mut daemon = Daemon::prepare(&format!("{tables}{FILE_SINK}{of_new}"));
    let folder = daemon.path("");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    write("rules.toml", RULE);
    write("token", "s3cret\n");
    write("sites.csv", "network,city\n127.0.0.0/8,Wien\n");
    let rows =
        |mail: &str| format!("{{\"results\": [{{\"name\": \"a\", \"owner\": {{\"mail\": \"{mail}\"}}}}]}}");
    daemon.restart();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Sends until an outcome has this output, as listeners take another version with a batch.
    let becomes = |daemon: &Daemon, expected: &str| {
        let before = daemon.outcomes("out.jsonl").len();
        wait_until(expected, || {
            sender.send_to(b"<13>Nov 20 12:00:00 x app: fan a", ("127.0.0.1", daemon.syslog_udp)).unwrap();
            let outcomes = daemon.outcomes("out.jsonl");
            outcomes.len() > before && outcomes.last().is_some_and(|outcome| outcome["output"] == expected)
        });
    };
    let table = |daemon: &Daemon, at: usize| daemon.status()["lookups"][at].clone();
    // In the order of their names: dev, site.
    becomes(&daemon, "Wien -");
    *answer.lock().unwrap() = rows("ops@example.org");
    becomes(&daemon, "Wien ops@example.org");
    // A new version, then one with a mistake.
    write("sites.csv", "network,city\n127.0.0.0/8,Graz\n");
    becomes(&daemon, "Graz ops@example.org");
    write("sites.csv", "network,city\n127.0.0.0/8,Linz\n10.0.0.0/33,Wels\n");
    *answer.lock().unwrap() = "<html>".to_owned();
    wait_until("both mistakes are said", || {
        let error = |at| table(&daemon, at)["error"].as_str().unwrap_or_default().to_owned();
        error(0).contains("does not answer in JSON")
            && error(1).contains("sites.csv:3:1: error: '10.0.0.0/33' is no network")
    });
    becomes(&daemon, "Graz ops@example.org");
    let check = output(&["check", "--config", config]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(
        !check.status.success() && said.contains("sites.csv:3:1: error: '10.0.0.0/33' is no network"),
        "{said}"
    );
    daemon.wait_log("this version is not used");
    // Whatever the daemon does, it goes on with what it had.
    assert!(output(&["reload", "--config", config]).status.success());
    becomes(&daemon, "Graz ops@example.org");
    daemon.kill();
    daemon.restart();
    becomes(&daemon, "Graz ops@example.org");
    let explain = output(&["explain", "--config", config, "--from", "127.0.0.1", "--line", "<13>fan a"]);
    assert!(String::from_utf8_lossy(&explain.stdout).contains("Graz ops@example.org"), "{explain:?}");
    // A column that rules use stays until they do not.
    write("sites.csv", "network,town\n127.0.0.0/8,Linz\n");
    wait_until("the column is missed", || {
        table(&daemon, 1)["error"].as_str().is_some_and(|error| error.contains("the column 'city' is gone"))
    });
    write("sites.csv", "network,city\n127.0.0.0/8,Linz\n");
    // A sink looks into the tables as they are: nothing was for it until now.
    let of_new = || std::fs::read_to_string(daemon.path("new.jsonl")).unwrap_or_default();
    wait_until("the sinks have all", || (0..2).all(|at| daemon.status()["sinks"][at]["behind"] == 0));
    assert_eq!(of_new(), "");
    *answer.lock().unwrap() = rows("new@example.org");
    becomes(&daemon, "Linz new@example.org");
    wait_until("the sink has it", || of_new().contains("new@example.org"));
    wait_until("all is well", || (0..2).all(|at| table(&daemon, at)["error"].is_null()));
    assert_eq!((table(&daemon, 0)["rows"].as_u64(), table(&daemon, 1)["rows"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_column_that_is_gone_and_a_copy_that_is_old_change_nothing_of_what_is_in_use() {
    let table = "[rules]\npaths = [\"rules.toml\"]\npacks = []\n\
         [[lookups]]\nname = \"site\"\ncsv = \"sites.csv\"\nkey = \"network\"\nmatch = \"cidr\"\nrefresh = \"1s\"\n";
    let of_core = "[[sinks]]\nname = \"core\"\ntype = \"file\"\npath = \"DIR/core.jsonl\"\n\
                   only = \"lookup('site', outcome.source).team == 'core'\"\n";
    let mut daemon = Daemon::prepare(&format!("{table}{FILE_SINK}{of_core}"));
    let folder = daemon.path("");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let rule = RULE.replace(" {{ lookup('dev', name).owner.mail or '-' }}", "");
    write("rules.toml", &rule);
    write("sites.csv", "network,city,team\n127.0.0.0/8,Wien,core\n");
    daemon.restart();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Sends until both sinks have an outcome with this output.
    let becomes = |daemon: &Daemon, city: &str| {
        let before = ["out.jsonl", "core.jsonl"].map(|file| daemon.outcomes(file).len());
        wait_until(city, || {
            sender.send_to(b"<13>Nov 20 12:00:00 x app: fan a", ("127.0.0.1", daemon.syslog_udp)).unwrap();
            ["out.jsonl", "core.jsonl"].iter().zip(before).all(|(file, before)| {
                let outcomes = daemon.outcomes(file);
                outcomes.len() > before && outcomes.last().is_some_and(|outcome| outcome["output"] == city)
            })
        });
    };
    let copy = folder.join("var/lookups/site");
    let copied = |city: &str| {
        wait_until("the copy is there", || {
            std::fs::read_to_string(&copy).is_ok_and(|copy| copy.contains(city))
        });
    };
    let gone = |daemon: &Daemon, column: &str| {
        wait_until("the column is missed", || {
            let error = daemon.status()["lookups"][0]["error"].as_str().unwrap_or_default().to_owned();
            error.contains(&format!("sites.csv: error: the column '{column}' is gone"))
        });
    };
    becomes(&daemon, "Wien");
    copied("Wien");
    let old = std::fs::read(&copy).unwrap();
    // A column of a sink, a column of a rule: neither a reload nor a restart goes on without it.
    for (text, column) in
        [("network,city\n127.0.0.0/8,Linz\n", "team"), ("network,town,team\n127.0.0.0/8,Linz,core\n", "city")]
    {
        write("sites.csv", text);
        gone(&daemon, column);
        let reload = output(&["reload", "--config", config]);
        assert!(reload.status.success(), "{reload:?}");
        gone(&daemon, column);
        becomes(&daemon, "Wien");
        daemon.kill();
        daemon.restart();
        gone(&daemon, column);
        becomes(&daemon, "Wien");
        let check = output(&["check", "--offline", "--config", config]);
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(
            !check.status.success() && said.contains(&format!("the column '{column}' is gone")),
            "{said}"
        );
    }
    // The disk did not take the copy of the newest version: a reload does not go back.
    write("sites.csv", "network,city,team\n127.0.0.0/8,Graz,core\n");
    becomes(&daemon, "Graz");
    copied("Graz");
    std::fs::write(&copy, &old).unwrap();
    write("sites.csv", "network,city,team\n127.0.0.0/8,Linz\n");
    assert!(output(&["reload", "--config", config]).status.success());
    becomes(&daemon, "Graz");
}
