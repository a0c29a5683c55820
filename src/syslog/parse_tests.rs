use proptest::prelude::*;

use super::*;
use crate::message::WrapperAction;

/// 2026-11-21 12:00 UTC.
const NOW: i64 = 1_795_262_400_000_000;

fn line(text: &str) -> SyslogLine<'_> {
    parse_line(text, NOW)
}

#[test]
fn rfc_3164_with_host() {
    let got =
        line("<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)");
    assert_eq!((got.facility, got.severity), (Some(4), Some(4)));
    assert_eq!((got.host, got.program, got.pid.as_deref()), (Some("db1"), Some("in.telnetd"), Some("411")));
    assert_eq!(got.message, "refused connect from evil.example (203.0.113.9)");
    assert_eq!(got.tcp_wrappers.unwrap().action, WrapperAction::Refused);
    assert!((got.time.unwrap() - NOW).abs() < 2 * 86_400_000_000);
}

#[test]
fn lines_as_libc_writes_them_name_no_host() {
    let got = line("<28>Nov 21 05:27:56 in.telnetd[11660]: refused connect from ::1 (::1)");
    assert_eq!((got.host, got.program, got.pid.as_deref()), (None, Some("in.telnetd"), Some("11660")));
    let got = line("<28>Nov 21 05:27:56 cron: nothing to do");
    assert_eq!((got.host, got.program, got.message), (None, Some("cron"), "nothing to do"));
}

#[test]
fn rfc_5424_with_structured_data() {
    let got = line(
        r#"<165>1 2026-11-20T22:14:15.003Z sw1.example app 8710 ID47 [ex@32473 iut="3" note="a \"b\" \]c"] hello"#,
    );
    assert_eq!((got.facility, got.severity), (Some(20), Some(5)));
    assert_eq!((got.host, got.program, got.msgid), (Some("sw1.example"), Some("app"), Some("ID47")));
    assert_eq!(got.pid.as_deref(), Some("8710"));
    assert_eq!(got.structured_data[0].id, "ex@32473");
    assert_eq!(got.structured_data[0].params[1], ("note", Cow::from(r#"a "b" ]c"#)));
    assert_eq!(got.message, "hello");
}

#[test]
fn a_line_without_a_time() {
    let got = line("<13>sshd[7]: hello there");
    assert_eq!((got.program, got.pid.as_deref(), got.message), (Some("sshd"), Some("7"), "hello there"));
    let got = line("just words");
    assert_eq!((got.facility, got.program, got.message), (None, None, "just words"));
}

#[test]
fn a_year_behind_the_time_is_no_host() {
    let got = line("<134>Nov 24 10:00:00 2025 ap1 stm[1234]: <501000> |AP ap1@192.0.2.1 stm| gone: x");
    assert_eq!((got.host, got.program, got.pid.as_deref()), (Some("ap1"), Some("stm"), Some("1234")));
    assert_eq!(got.message, "<501000> |AP ap1@192.0.2.1 stm| gone: x");
    assert!((NOW - got.time.unwrap() - 362 * 86_400_000_000).abs() < 86_400_000_000);
    let got = line("<134>Nov  4 04:00:01 2026 stm: text");
    assert_eq!((got.host, got.program, got.message), (None, Some("stm"), "text"));
    let got = line("<134>Nov  4 04:00:01 2026 ap1 text alone");
    assert_eq!((got.host, got.program, got.message), (Some("ap1"), None, "text alone"));
}

#[test]
fn what_cannot_be_a_host_or_a_tag_is_message() {
    for (text, host, message) in [
        (
            "timestamp=1683715550 devname=\"fw1\" policy=5",
            None,
            "timestamp=1683715550 devname=\"fw1\" policy=5",
        ),
        ("1,2026/11/24 21:28:49,009,THREAT,url,0", None, "1,2026/11/24 21:28:49,009,THREAT,url,0"),
        ("usg src=\"192.0.2.1:1\" note=\"x\"", Some("usg"), "src=\"192.0.2.1:1\" note=\"x\""),
        (
            "opsaudit {\"user\": \"admin\", \"ip\": \"x\"}",
            Some("opsaudit"),
            "{\"user\": \"admin\", \"ip\": \"x\"}",
        ),
    ] {
        let whole = format!("<190>Nov 24 10:00:00 {text}");
        let got = line(&whole);
        assert_eq!((got.host, got.program, got.message), (host, None, message));
        assert!(got.pid.is_none() && got.structured_data.is_empty() && got.time.is_some());
    }
    let got = line("<30>Nov 24 07:13:39 [localhost] systemd: Started.");
    assert_eq!((got.host, got.program, got.message), (Some("localhost"), Some("systemd"), "Started."));
}

#[test]
fn byte_order_marks_are_no_text() {
    for text in [
        "\u{feff}<36>Nov 24 10:00:00 h1 sshd[1]: refused connect from 192.0.2.1 (192.0.2.1)",
        "<36>Nov 24 10:00:00 h1 sshd[1]: \u{feff}refused connect from 192.0.2.1 (192.0.2.1)",
        "<36>1 2026-11-24T10:00:00Z h1 sshd 1 - - \u{feff}refused connect from 192.0.2.1 (192.0.2.1)",
    ] {
        let got = line(text);
        assert_eq!((got.host, got.program, got.facility), (Some("h1"), Some("sshd"), Some(4)), "{text}");
        assert!(got.message.starts_with("refused") && got.tcp_wrappers.is_some(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_line_is_safe(text in any::<String>(), pri in 0u32..1000) {
        let _ = line(&text);
        let _ = line(&format!("<{pri}>{text}"));
        let _ = line(&format!("<{pri}>Nov 20 12:00:01 {text}"));
    }
}
