//! The keys of the nagios sink.

use super::centcore::Centcore;
use super::pipe::Pipe;
use super::spool::Spool;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sinks::plugin_output::Newlines;
use crate::sinks::settings::{Configured, Key, Kind, Options};

/// `type = "nagios"`
pub const KIND: Kind = Kind {
    name: "nagios",
    says: "the command file or check result directory of Nagios, Naemon, Icinga 1, Shinken, Centreon Engine, Alignak",
    keys: &[METHOD, PIPE, SPOOL, CENTCORE, NEWLINES],
    answers: &[],
    read,
};

const METHOD: &[Key] = &[Key {
    name: "method",
    default: "\"pipe\"",
    says: "`\"pipe\"`: external commands through the command file. `\"spool\"`: files in the check result directory. `\"centcore\"`: commands for a poller of a Centreon central.",
}];

const PIPE: &[Key] = &[Key {
    name: "command_file",
    default: "required",
    says: "With `method = \"pipe\"`: `command_file` of nagios.cfg.",
}];

const SPOOL: &[Key] = &[Key {
    name: "check_result_path",
    default: "required",
    says: "With `method = \"spool\"`: `check_result_path` of nagios.cfg.",
}];

const CENTCORE: &[Key] = &[
    Key {
        name: "poller",
        default: "required",
        says: "With `method = \"centcore\"`: the id in Centreon of the poller that monitors the hosts. Range: 1 to 1000000.",
    },
    Key {
        name: "directory",
        default: "\"/var/lib/centreon/centcore\"",
        says: "With `method = \"centcore\"`: `cmd_dir` of Gorgone.",
    },
];

const NEWLINES: &[Key] = &[Key {
    name: "newlines",
    default: "\"escaped\"",
    says: "How further lines are written: `\"escaped\"`: as `\\n`, which Nagios converts to line breaks. `\"join\"`: joined by ` / `, for Naemon, which does not convert them.",
}];

const FOR_CENTCORE: &str = "it is for method = \"centcore\"";

#[derive(Clone, Copy)]
enum Method {
    Pipe,
    Spool,
    Centcore,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let methods = [("pipe", Method::Pipe), ("spool", Method::Spool), ("centcore", Method::Centcore)];
    let known = [("escaped", Newlines::Escaped), ("join", Newlines::Joined)];
    let newlines = options.word("newlines", &known, "way to write further lines");
    let newlines = newlines.unwrap_or(Newlines::Escaped);
    match options.word("method", &methods, "method of the nagios sink").unwrap_or(Method::Pipe) {
        Method::Pipe => {
            options.unused(SPOOL, "it is for method = \"spool\"");
            options.unused(CENTCORE, FOR_CENTCORE);
            let path = options.path("command_file", "/var/lib/nagios4/rw/nagios.cmd")?;
            Some(Arc::new(Pipe { path, newlines }))
        }
        Method::Spool => {
            options.unused(PIPE, "it is for method = \"pipe\"");
            options.unused(CENTCORE, FOR_CENTCORE);
            let directory = options.path("check_result_path", "/var/lib/nagios4/spool/checkresults")?;
            Some(Arc::new(Spool { directory, newlines }))
        }
        Method::Centcore => {
            options.unused(PIPE, "it is for method = \"pipe\"");
            options.unused(SPOOL, "it is for method = \"spool\"");
            let given = options.optional_path("directory").map(|path| path.value);
            let directory = given.unwrap_or_else(|| PathBuf::from("/var/lib/centreon/centcore"));
            if options.get("poller").is_none() {
                options.report(
                    "this sink needs 'poller'",
                    "add poller = 1, or the number of the poller of the hosts",
                );
            }
            let poller = options.number("poller", 1..=1_000_000, "")?;
            Some(Arc::new(Centcore { directory, poller, newlines }))
        }
    }
}
