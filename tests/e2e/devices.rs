//! What devices send beside the standards: packets and lines, and what is read out of them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use trapline::config::Config;
use trapline::intake::describe;
use trapline::lookup::choice::Received;
use trapline::lookup::hosts::Hosts;
use trapline::message::{Message, Source};
use trapline::mib::Mib;
use trapline::snmp::usm::Memory;
use trapline::snmp::{DecodeError, Usm, decode, decode_scoped};
use trapline::{syslog, text};

/// Who sends.
const SENDER: &str = "198.51.100.7";
/// 2026-11-24 14:30 UTC.
const RECEIVED: i64 = 1_795_530_600_000_000;

const CONFIG: &str = "
[hosts]
map = { \"198.51.100.7\" = \"edge1\" }
[snmp]
relays = []
[[snmp.users]]
name = \"ops\"
auth = \"SHA-1\"
auth_password = \"authpass123\"
priv = \"AES-128\"
priv_password = \"privpass123\"
[[snmp.users]]
name = \"noauth\"
";

/// The configuration with a key more in `[hosts]`.
fn configuration(hosts: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trapline.toml");
    std::fs::write(&path, CONFIG.replace("[hosts]", &format!("[hosts]\n{hosts}"))).unwrap();
    Config::load(&path).unwrap().0
}

/// A message as `trapline explain --json` shows it, with its host as `host_of_outcome`.
fn shown(message: &Message<'_>, hosts: &Hosts) -> Value {
    let source = source();
    let address = source.address().to_string();
    let received = Received { message, source: &source, address: &address, relay: true, reverse: &|_| None };
    let host = hosts.choose(&received, None).host;
    let mut all = describe::message(message, &source, hosts.charset_of(&source), &Mib::default());
    all["host_of_outcome"] = host.as_ref().into();
    all
}

fn source() -> Source {
    Source { peer: (SENDER.parse::<IpAddr>().unwrap(), 162).into(), received: RECEIVED }
}

fn packet(octets: &[u8], config: &Config) -> Result<Value, DecodeError> {
    match decode(octets) {
        Ok(decoded) => Ok(shown(&Message::Notification(decoded.notification), &config.hosts)),
        Err(DecodeError::V3) => {
            let (memory, now) = Memory::as_told(b"no engine".to_vec(), octets).unwrap();
            let usm = Usm::new(config.snmp.users.clone(), Arc::new(memory));
            let opened = usm.open(octets, source().address(), now).map_err(|refused| refused.why)?;
            let decoded = decode_scoped(&opened.scoped, usm.user_of(&opened), opened.level())?;
            Ok(shown(&Message::Notification(decoded.notification), &config.hosts))
        }
        Err(error) => Err(error),
    }
}

fn line(octets: &[u8], config: &Config) -> Value {
    let text = text::line(octets, config.hosts.charset_of(&source()));
    shown(&Message::Syslog(syslog::parse_line(&text, RECEIVED)), &config.hosts)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A v2c trap with varbinds in BER behind sysUpTime.0 and snmpTrapOID.0.
fn trap(varbinds: &[Vec<u8>]) -> Vec<u8> {
    let uptime = b"\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x03\x00\x43\x02\x10\x92";
    let oid = b"\x30\x17\x06\x0a\x2b\x06\x01\x06\x03\x01\x01\x04\x01\x00\x06\x09\x2b\x06\x01\x06\x03\x01\x01\x05\x01";
    let all = tlv(0x30, &[&uptime[..], oid, &varbinds.concat()].concat());
    let pdu = tlv(0xa7, &[b"\x02\x01\x01\x02\x01\x00\x02\x01\x00", &all[..]].concat());
    tlv(0x30, &[b"\x02\x01\x01\x04\x06public", &pdu[..]].concat())
}

/// A varbind of this type whose name has the content octets `oid`.
fn varbind(oid: &[u8], tag: u8, content: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(6, oid), tlv(tag, content)].concat())
}

/// A v1 coldStart of an agent, whose list of varbinds is `list`.
fn v1(agent: [u8; 4], list: &[u8]) -> Vec<u8> {
    let head = b"\x06\x08\x2b\x06\x01\x06\x03\x01\x01\x05";
    let rest = b"\x02\x01\x00\x02\x01\x00\x43\x02\x10\x92";
    let pdu = tlv(0xa4, &[&head[..], &tlv(0x40, &agent), rest, list].concat());
    tlv(0x30, &[b"\x02\x01\x00\x04\x06public", &pdu[..]].concat())
}

const NAME: &[u8] = b"\x2b\x06\x01\x04\x01\x81\xfd\x59\x01\x09\x00";

#[test]
fn strings_of_any_type_and_encoding() {
    let plain = configuration("");
    let gbk = configuration("charset = { \"198.51.100.0/24\" = \"gbk\", \"203.0.113.0/24\" = \"big5\" }");
    let utf_16: Vec<u8> = "Tür offen".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // UTF8String to BMPString of ASN.1.
    let types = [0x04, 0x0c, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e];
    let types = types.map(|tag| (tag, b"Door open".to_vec(), &plain, "Door open"));
    let contents = [
        (4, b"Door open\0\0\0\0\0\0\0".to_vec(), &plain, "Door open"),
        (4, utf_16.clone(), &plain, "Tür offen"),
        (0x1e, "Tür offen".encode_utf16().flat_map(u16::to_be_bytes).collect(), &plain, "Tür offen"),
        (4, b"T\xfcr".to_vec(), &plain, "Tür"),
        (4, b"\xb8\xe6\xbe\xaf\xb7\xfe\xce\xf1\xc6\xf7".to_vec(), &gbk, "告警服务器"),
        (4, b"\xb8\xe6\xbe\xaf\xb7\xfe\xce\xf1\xc6\xf7".to_vec(), &plain, "B8:E6:BE:AF:B7:FE:CE:F1:C6:F7"),
        (4, "Tür".into(), &gbk, "Tür"),
    ];
    for (tag, content, config, expected) in types.into_iter().chain(contents) {
        let got = packet(&trap(&[varbind(NAME, tag, &content)]), config).unwrap();
        assert_eq!(got["varbinds"][0]["text"], expected, "{tag:#x} {content:02x?}");
        assert_eq!(got["varbinds"][0]["value"], expected, "without a MIB it is the same");
        if (tag, expected.contains(':')) == (4, false) {
            let got = line(&[b"<36>app: ", &content[..]].concat(), config);
            // Whether a whole line is UTF-16 is seen at its start.
            let wide = content == utf_16;
            assert_eq!(got["message"] == expected, !wide, "{got}");
        }
    }
    let wide: Vec<u8> = "<36>app: Tür offen\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for octets in [wide, b"\xef\xbb\xbf<36>app: T\xc3\xbcr offen\0".to_vec()] {
        let got = line(&octets, &plain);
        assert_eq!((&got["program"], &got["message"]), (&json!("app"), &json!("Tür offen")), "{got}");
    }
}

#[test]
fn traps_of_odd_form_keep_their_parts() {
    let config = configuration("");
    for (octets, host) in [
        (v1([127, 0, 0, 1], b"\x30\x00"), "edge1"),
        (v1([169, 254, 3, 4], b"\x30\x00"), "edge1"),
        (v1([192, 168, 1, 1], b"\x30\x00"), "edge1"),
        (v1([192, 0, 2, 34], b"\x30"), "edge1"),
    ] {
        let got = packet(&octets, &config).unwrap();
        assert_eq!(got["host_of_outcome"], host);
        assert_eq!(got["oid"], "1.3.6.1.6.3.1.1.5.1");
    }
    // An arc beyond 32 bits: the name is odd, the place stays.
    let odd = varbind(b"\x2b\x06\x01\x04\x01\x9f\xff\xff\xff\xff\x7f", 2, &[1]);
    let got = packet(&trap(&[odd, varbind(NAME, 4, b"after")]), &config).unwrap();
    assert_eq!(got["varbinds"][1]["text"], "after");
}

/// The cases that were collected from reports, where they stand beside this checkout.
fn cases(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/faults/cases").join(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn collected_packets() {
    let (plain, gbk) = (configuration(""), configuration("charset = \"gbk\""));
    for case in cases("snmp-packets.jsonl") {
        let name = case["name"].as_str().unwrap();
        let octets = data_encoding::HEXLOWER.decode(case["hex"].as_str().unwrap().as_bytes()).unwrap();
        let got = packet(&octets, if name == "gbk" { &gbk } else { &plain });
        let got = got.unwrap_or_else(|error| panic!("{name}: {error}"));
        let texts: Vec<&str> =
            got["varbinds"].as_array().unwrap().iter().map(|v| v["text"].as_str().unwrap()).collect();
        match name {
            "v1pdu-in-v3-noauth" => {
                let found = (&got["user"], &got["oid"], &got["agent"], texts);
                let oid = json!("1.3.6.1.4.1.32473.1.0.7");
                assert_eq!(found, (&json!("noauth"), &oid, &json!("192.0.2.7"), vec!["batt"]));
            }
            "v3-trap-reportable" | "v3-trailing-octets" => assert_eq!(got["user"], "ops", "{name}"),
            "agent-127.0.0.1" | "agent-behind-nat" => assert_eq!(got["host_of_outcome"], "edge1", "{name}"),
            "no-trap-oid" => assert_eq!((&got["kind"], &got["oid"]), (&json!("inform"), &json!("0.0"))),
            "string-types" => assert_eq!(texts, ["Door open", "Door open", "Door", "Door"]),
            "nul-padded" => assert_eq!(texts, ["Door open"]),
            "utf16le" => assert_eq!(texts, ["Tür offen"]),
            "gbk" => assert_eq!(texts, ["告警服务器"]),
            "bad-oid-in-front" => assert_eq!(texts[1], "after"),
            "ends-before-its-length" => {
                assert_eq!(
                    (&got["oid"], &got["agent"]),
                    (&json!("1.3.6.1.6.3.1.1.5.5"), &json!("192.0.2.34"))
                );
            }
            other => panic!("nothing is known of {other}"),
        }
    }
}

/// What is asked for in collected lines, and what docs/syslog.md says instead: the type of a message is no part of its text,
/// a word with a colon is a tag, CET is an hour ahead of UTC, and 1793000000 is 07:33:20 UTC.
const OTHERWISE: [(&str, &str); 7] = [
    ("iosxr", "message"),
    ("host-colon", "host"),
    ("host-colon", "program"),
    ("host-colon", "pid"),
    ("host-colon", "message"),
    ("nxos", "time"),
    ("meraki", "time"),
];

#[test]
fn collected_lines() {
    let config = configuration("");
    for case in cases("syslog-lines.jsonl") {
        let name = case["name"].as_str().unwrap();
        let got = line(case["line"].as_str().unwrap().as_bytes(), &config);
        for (key, want) in case["want"].as_object().unwrap() {
            if OTHERWISE.contains(&(name, key)) {
                continue;
            }
            match (key.as_str(), want) {
                ("host_of_outcome", _) => assert_eq!(got["host_of_outcome"], "edge1", "{name}"),
                ("tcp_wrappers", Value::String(action)) => {
                    assert_eq!(got["tcp_wrappers"]["action"], **action, "{name}");
                }
                ("tcp_wrappers", fields) => {
                    for (field, want) in fields.as_object().unwrap() {
                        assert_eq!(got["tcp_wrappers"][field], *want, "{name} {field}");
                    }
                }
                // Cases have times without their year, zone or zeros at their end.
                ("time", Value::String(want)) => {
                    let time = got["time"].as_str().unwrap_or_default();
                    let want = want.trim_start_matches('*').trim_end_matches('Z');
                    assert!(time.contains(want), "{name}: {time}");
                }
                (key, want) => assert_eq!(got[key], *want, "{name} {key}"),
            }
        }
    }
}
