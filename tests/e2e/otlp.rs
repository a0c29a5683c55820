//! Log records of OpenTelemetry, read by the definitions of its protocol.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::daemon::{Daemon, json_lines};
use crate::elasticsearch::{RULE, RULES, lines};
use crate::pages::block;
use crate::peers;
use crate::support::{Program, port, wait_until};

/// Of a hundred records one is rejected and another one put off.
#[test]
fn records_are_those_of_the_protocol_and_a_rejected_one_spoils_no_other() {
    let port = port();
    let url = format!("http://127.0.0.1:{port}");
    let mut daemon = Daemon::prepare(&format!("{RULE}{}", block("otlp.md", &[("url", &url)])));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon.restart();
    let said = daemon.path("server.log");
    let _server = Program::start(
        peers::script("otlp_server.py").arg(port.to_string()).stdout(File::create(&said).unwrap()),
    );
    wait_until("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut texts: Vec<String> = (0..98).map(|n| format!("{n} \"q\" \\ é\u{2028}")).collect();
    texts.push("98 bad".to_owned());
    texts.push("99 busy".to_owned());
    lines(&daemon, &texts);
    daemon.wait_settled(99, 1);
    let requests = json_lines(&said);
    let wrong: Vec<&Value> = requests.iter().filter(|request| request.get("wrong").is_some()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    // What is in requests of which a part is rejected is sent again.
    let all = requests.iter().flat_map(|request| request["taken"].as_array().unwrap());
    let records: BTreeMap<&str, &Value> =
        all.map(|record| (record["attributes"]["trapline.id"].as_str().unwrap(), record)).collect();
    assert_eq!(records.len(), 99);
    let first =
        records.values().find(|record| record["attributes"]["trapline.service"] == "0 \"q\" \\ é").unwrap();
    assert_eq!(first["severity"], json!([13, "warning"]));
    assert_eq!((&first["service"], &first["attributes"]["host.name"]), (&"trapline".into(), &"host1".into()));
    assert!(first["body"].as_str().unwrap().starts_with("number 0 "), "{first}");
}
