//! Check results in the two forms that Nagios reads: external commands, and files of the check result directory.

use std::io::Write;

use crate::outcome::result::CheckResult;
use crate::outcome::room;
use crate::sinks::plugin_output::{
    Newlines, Unfit, plain_parts, push_host, push_number, push_output, push_service,
};

/// The longest command in bytes: what a pipe takes in one piece.
pub const MAX_COMMAND: usize = crate::files::pipe::PIECE;
/// The longest name of a host or service in bytes.
const MAX_NAME: usize = 256;
/// The longest output in the check result directory in bytes.
const MAX_SPOOLED: usize = 32 * 1024;

/// Appends an external command with its newline. Returns whether the output had to be cut.
///
/// # Errors
///
/// If Nagios cannot hold a name. Then nothing was appended.
pub fn push_command(out: &mut Vec<u8>, check: &CheckResult<'_>, newlines: Newlines) -> Result<bool, Unfit> {
    Commands::default().push(out, check, newlines)
}

/// Writes external commands as [`push_command`] does. It keeps how the last one of a service begins, which mostly is how the next one
/// does.
#[derive(Debug, Default)]
pub struct Commands {
    second: Option<i64>,
    beginning: Vec<u8>,
}

impl Commands {
    /// Appends a command.
    ///
    /// # Errors
    ///
    /// As [`push_command`].
    pub fn push(
        &mut self,
        out: &mut Vec<u8>,
        check: &CheckResult<'_>,
        newlines: Newlines,
    ) -> Result<bool, Unfit> {
        let second = check.common.time.div_euclid(1_000_000);
        if check.service.is_some() && self.second != Some(second) {
            self.second = Some(second);
            self.beginning.clear();
            self.beginning.push(b'[');
            push_number(&mut self.beginning, second);
            self.beginning.extend_from_slice(b"] PROCESS_SERVICE_CHECK_RESULT;");
        }
        if let Some((host, service, output)) = plain_parts(check, MAX_NAME) {
            let length = self.beginning.len() + host.len() + service.len() + output.len() + 5;
            if length <= MAX_COMMAND {
                room::append(out, length, |room| {
                    room.push(&self.beginning);
                    room.push(host.as_bytes());
                    room.push_octet(b';');
                    room.push(service.as_bytes());
                    room.push(&[b';', b'0' + check.common.state.code(), b';']);
                    room.push(output.as_bytes());
                    room.push_octet(b'\n');
                });
                return Ok(false);
            }
        }
        let start = out.len();
        command(out, &self.beginning, check, newlines).inspect_err(|_| out.truncate(start))
    }
}

/// Appends a command that has this beginning if it is of a service.
fn command(
    out: &mut Vec<u8>,
    beginning: &[u8],
    check: &CheckResult<'_>,
    newlines: Newlines,
) -> Result<bool, Unfit> {
    let start = out.len();
    match &check.service {
        Some(service) => {
            out.extend_from_slice(beginning);
            push_host(out, check, MAX_NAME)?;
            out.push(b';');
            push_service(out, service, MAX_NAME)?;
        }
        None => {
            out.push(b'[');
            push_number(out, check.common.time.div_euclid(1_000_000));
            out.extend_from_slice(b"] PROCESS_HOST_CHECK_RESULT;");
            push_host(out, check, MAX_NAME)?;
        }
    }
    out.extend_from_slice(&[b';', b'0' + check.common.state.code(), b';']);
    let left = (start + MAX_COMMAND).saturating_sub(out.len() + 1);
    let cut = push_output(out, check, newlines, left);
    out.push(b'\n');
    Ok(cut)
}

/// Appends a result as a check result file has it. Returns whether the output had to be cut.
///
/// # Errors
///
/// If Nagios cannot hold a name. Then nothing was appended.
pub fn push_spooled(out: &mut Vec<u8>, check: &CheckResult<'_>, newlines: Newlines) -> Result<bool, Unfit> {
    let start = out.len();
    spooled(out, check, newlines).inspect_err(|_| out.truncate(start))
}

fn spooled(out: &mut Vec<u8>, check: &CheckResult<'_>, newlines: Newlines) -> Result<bool, Unfit> {
    out.extend_from_slice(b"host_name=");
    push_host(out, check, MAX_NAME)?;
    if let Some(service) = &check.service {
        out.extend_from_slice(b"\nservice_description=");
        push_service(out, service, MAX_NAME)?;
    }
    let (seconds, micros) =
        (check.common.time.div_euclid(1_000_000), check.common.time.rem_euclid(1_000_000));
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "\ncheck_type=1\ncheck_options=0\nscheduled_check=0\nreschedule_check=0\nlatency=0.1\n\
         start_time={seconds}.{micros:06}\nfinish_time={seconds}.{micros:06}\nearly_timeout=0\nexited_ok=1\n\
         return_code={}\noutput=",
        check.common.state.code()
    );
    let cut = push_output(out, check, newlines, MAX_SPOOLED);
    out.extend_from_slice(b"\n\n");
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::name::Name;
    use crate::outcome::result::State;
    use crate::sinks::testing::check;

    fn command(check: &CheckResult<'_>) -> String {
        let mut out = Vec::new();
        push_command(&mut out, check, Newlines::Escaped).unwrap();
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
    fn a_command_is_the_same_whatever_was_written_before() {
        let mut commands = Commands::default();
        let results = [Some("s"), None, Some("s"), Some("t;"), Some("t")].into_iter().zip([0, 5, 5, 6, 6]);
        for (service, second) in results.chain([(Some("s"), -1), (None, -1), (Some("s"), 0)]) {
            let mut result = check("h", service, "o");
            result.common.time = second * 1_000_000 + 7;
            let (mut out, mut alone) = (b"x".to_vec(), b"x".to_vec());
            let pushed = commands.push(&mut out, &result, Newlines::Escaped);
            assert_eq!(pushed, push_command(&mut alone, &result, Newlines::Escaped));
            assert_eq!(out, alone);
        }
    }

    #[test]
    fn hostile_text_makes_one_command() {
        let hostile = "a\n[1] SHUTDOWN_PROGRAM\r;b|c\\nd\x1b[31m\0\u{2028}e";
        for names in [check(hostile, Some("s"), ""), check("h", Some(hostile), "")] {
            let error = push_command(&mut Vec::new(), &names, Newlines::Escaped).unwrap_err();
            assert!(error.to_string().contains("has ';'"), "{error}");
        }
        let name = hostile.replace([';', '|'], ":");
        let line = command(&check(&name, Some(&name), hostile));
        assert_eq!(
            line,
            "[1700000000] PROCESS_SERVICE_CHECK_RESULT;a [1] SHUTDOWN_PROGRAM :b:c\\nd [31m  e;\
             a [1] SHUTDOWN_PROGRAM :b:c\\nd [31m  e;2;a\\n[1] SHUTDOWN_PROGRAM;b\u{a6}c\\\\nd [31m  e\n"
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
        result.common.time = 1_700_000_000_000_042;
        let mut out = Vec::new();
        assert_eq!(push_spooled(&mut out, &result, Newlines::Escaped), Ok(false));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\nfinish_time=1700000000.000042\n"), "{text}");
        assert!(text.ends_with("return_code=2\noutput=hot|t=71;60;70\\none\\ntwo\n\n"), "{text}");
    }

    #[test]
    fn a_name_that_does_not_fit_makes_nothing() {
        let long = "x".repeat(257);
        let mut out = b"before".to_vec();
        assert!(push_command(&mut out, &check("h", Some(&long), "o"), Newlines::Escaped).is_err());
        assert!(push_spooled(&mut out, &check(&long, None, "o"), Newlines::Escaped).is_err());
        assert_eq!(out, b"before");
    }

    proptest! {
        #[test]
        fn any_text_makes_one_whole_command(host in ".{0,60}", service in any::<String>(), piece in "(\\PC|\n|\\\\|;|\\||\u{7f}){0,40}", times in 0..100_usize) {
            let output = piece.repeat(times);
            let mut result = check(&host, Some(&service), &output);
            result.perfdata = output.clone().into();
            result.common.long_output = service.clone().into();
            let mut out = Vec::new();
            if push_command(&mut out, &result, Newlines::Escaped).is_err() {
                let fits = |name: &str| !name.contains([';', '|']) && (1..=MAX_NAME).contains(&Name::from(name).len());
                prop_assert!(!fits(&host) || !fits(&service));
                return Ok(());
            }
            prop_assert!(out.len() <= MAX_COMMAND);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
            prop_assert!(out.ends_with(b"\n"));
            prop_assert!(!out[..out.len() - 1].iter().any(|b| *b < 0x20 || *b == 0x7f));
            let text = std::str::from_utf8(&out).unwrap();
            let fields: Vec<_> = text.splitn(5, ';').collect();
            prop_assert_eq!(fields[3], "2");
            let mut out = Vec::new();
            push_spooled(&mut out, &result, Newlines::Escaped).unwrap();
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 14);
        }
    }
}
