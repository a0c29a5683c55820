//! Check results in the two forms that Nagios reads, with everything escaped that could end one.
//!
//! A real newline ends a command, `;` separates its arguments, `|` begins performance data, `\` begins an
//! escape. So control characters become spaces, a newline in the output `\n`, `\` itself `\\`, and in names `;`
//! becomes `:` and `|` a broken bar.

use std::io::Write;

use crate::outcome::result::CheckResult;

/// The longest command: what a pipe takes in one piece (PIPE_BUF of Linux).
pub const MAX_COMMAND: usize = 4096;
/// The longest output in the check result directory.
const MAX_SPOOLED: usize = 32 * 1024;

/// Appends an external command with its newline. Says whether the output had to be cut.
pub fn push_command(out: &mut Vec<u8>, check: &CheckResult<'_>) -> bool {
    let start = out.len();
    let seconds = check.common.time.div_euclid(1_000_000);
    let kind = if check.service.is_some() { "SERVICE" } else { "HOST" };
    // Writing to memory does not fail.
    let _ = write!(out, "[{seconds}] PROCESS_{kind}_CHECK_RESULT;");
    push_name(out, &check.host, 256);
    if let Some(service) = &check.service {
        out.push(b';');
        push_name(out, service, 256);
    }
    let _ = write!(out, ";{};", check.common.state.code());
    let room = (start + MAX_COMMAND).saturating_sub(out.len() + 1);
    let cut = push_output(out, check, room);
    out.push(b'\n');
    cut
}

/// Appends a result as a check result file has it. Says whether the output had to be cut.
pub fn push_spooled(out: &mut Vec<u8>, check: &CheckResult<'_>) -> bool {
    out.extend_from_slice(b"host_name=");
    push_name(out, &check.host, 256);
    if let Some(service) = &check.service {
        out.extend_from_slice(b"\nservice_description=");
        push_name(out, service, 256);
    }
    let (seconds, micros) =
        (check.common.time.div_euclid(1_000_000), check.common.time.rem_euclid(1_000_000));
    let _ = write!(
        out,
        "\ncheck_type=1\ncheck_options=0\nscheduled_check=0\nreschedule_check=0\nlatency=0.1\n\
         start_time={seconds}.{micros:06}\nfinish_time={seconds}.{micros:06}\nearly_timeout=0\nexited_ok=1\n\
         return_code={}\noutput=",
        check.common.state.code()
    );
    let cut = push_output(out, check, MAX_SPOOLED);
    out.extend_from_slice(b"\n\n");
    cut
}

/// Appends a host's name or a service's description: one argument, no control characters, at most `room` bytes.
pub fn push_name(out: &mut Vec<u8>, name: &str, room: usize) {
    let start = out.len();
    for c in name.chars() {
        let piece = match c {
            ';' => ':',
            '|' => '\u{a6}',
            c if c.is_control() || is_line_break(c) => ' ',
            c => c,
        };
        if out.len() - start + piece.len_utf8() > room {
            break;
        }
        out.extend_from_slice(piece.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Appends text, performance data and further lines as one line. Says whether it had to be cut to `room` bytes.
pub fn push_output(out: &mut Vec<u8>, check: &CheckResult<'_>, room: usize) -> bool {
    let mut writer = Writer { out, room, cut: false };
    writer.text(&check.common.output, true);
    if !check.perfdata.is_empty() {
        writer.raw("|");
        writer.text(&check.perfdata, false);
    }
    if !check.common.long_output.is_empty() {
        writer.raw("\\n");
        writer.text(&check.common.long_output, true);
    }
    writer.cut
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    room: usize,
    cut: bool,
}

impl Writer<'_> {
    /// A piece that must not be torn.
    fn raw(&mut self, piece: &str) {
        if self.cut || piece.len() > self.room {
            self.cut = true;
            return;
        }
        self.room -= piece.len();
        self.out.extend_from_slice(piece.as_bytes());
    }

    fn text(&mut self, text: &str, bars_are_text: bool) {
        let mut rest = text;
        // Runs of plain characters go over in one piece.
        while let Some(at) =
            rest.find(|c: char| matches!(c, '\\' | '|') || c.is_control() || is_line_break(c))
        {
            self.plain(&rest[..at]);
            let c = rest[at..].chars().next().unwrap_or(' ');
            match c {
                '\\' => self.raw("\\\\"),
                '\n' => self.raw("\\n"),
                '\r' => {}
                '|' if bars_are_text => self.raw("\u{a6}"),
                '|' => self.raw("|"),
                _ => self.raw(" "),
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let end = text.floor_char_boundary(self.room);
        self.cut = end < text.len();
        self.room -= end;
        self.out.extend_from_slice(&text.as_bytes()[..end]);
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::{Common, State};

    fn check<'a>(host: &'a str, service: Option<&'a str>, output: &'a str) -> CheckResult<'a> {
        CheckResult {
            common: Common {
                time: 1_700_000_000_123_456,
                rule: "r".into(),
                state: State::Critical,
                output: output.into(),
                long_output: "".into(),
                source: "192.0.2.1".into(),
            },
            host: host.into(),
            service: service.map(Into::into),
            perfdata: "".into(),
        }
    }

    fn command(check: &CheckResult<'_>) -> String {
        let mut out = Vec::new();
        push_command(&mut out, check);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commands() {
        assert_eq!(
            command(&check("sw1", Some("Interface Gi0/3"), "Link down")),
            "[1700000000] PROCESS_SERVICE_CHECK_RESULT;sw1;Interface Gi0/3;2;Link down\n"
        );
        let mut host = check("sw1", None, "gone");
        host.common.state = State::Unreachable;
        assert_eq!(command(&host), "[1700000000] PROCESS_HOST_CHECK_RESULT;sw1;2;gone\n");
    }

    #[test]
    fn hostile_text_makes_one_command() {
        let hostile = "a\n[1] SHUTDOWN_PROGRAM\r;b|c\\nd\x1b[31m\0\u{2028}e";
        let line = command(&check(hostile, Some(hostile), hostile));
        assert_eq!(
            line,
            "[1700000000] PROCESS_SERVICE_CHECK_RESULT;a [1] SHUTDOWN_PROGRAM :b\u{a6}c\\nd [31m  e;\
             a [1] SHUTDOWN_PROGRAM :b\u{a6}c\\nd [31m  e;2;a\\n[1] SHUTDOWN_PROGRAM;b\u{a6}c\\\\nd [31m  e\n"
        );
    }

    #[test]
    fn performance_data_and_further_lines() {
        let mut result = check("h", Some("s"), "hot");
        result.perfdata = "t=71;60;70".into();
        result.common.long_output = "one\ntwo".into();
        assert_eq!(
            command(&result),
            "[1700000000] PROCESS_SERVICE_CHECK_RESULT;h;s;2;hot|t=71;60;70\\none\\ntwo\n"
        );
        let mut out = Vec::new();
        assert!(!push_spooled(&mut out, &result));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\nfinish_time=1700000000.123456\n"), "{text}");
        assert!(text.ends_with("return_code=2\noutput=hot|t=71;60;70\\none\\ntwo\n\n"), "{text}");
    }

    proptest! {
        #[test]
        fn any_text_makes_one_whole_command(host in any::<String>(), service in any::<String>(), output in "(\\PC|\n|\\\\|;|\\||\u{7f}){0,3000}") {
            let mut result = check(&host, Some(&service), &output);
            result.perfdata = output.clone().into();
            result.common.long_output = service.clone().into();
            let mut out = Vec::new();
            push_command(&mut out, &result);
            prop_assert!(out.len() <= MAX_COMMAND);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            prop_assert!(out.ends_with(b"\n"));
            prop_assert!(!out[..out.len() - 1].iter().any(|b| *b < 0x20 || *b == 0x7f));
            let text = std::str::from_utf8(&out).unwrap();
            let fields: Vec<_> = text.splitn(5, ';').collect();
            prop_assert_eq!(fields[3], "2");
            let mut out = Vec::new();
            push_spooled(&mut out, &result);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 14);
        }
    }
}
