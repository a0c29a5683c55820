//! The keys of the nagios sink.

use super::pipe::Pipe;
use super::spool::Spool;
use std::sync::Arc;

use crate::sinks::plugin_output::Newlines;
use crate::sinks::settings::{Configured, Key, Kind, Options};

/// `type = "nagios"`
pub const KIND: Kind = Kind {
    name: "nagios",
    says: "the command file or check result directory of Nagios, Naemon, Icinga 1, Shinken, Centreon Engine, Alignak",
    keys: &[METHOD, PIPE, SPOOL, NEWLINES],
    answers: &[],
    read,
};

const METHOD: &[Key] = &[Key {
    name: "method",
    default: "\"pipe\"",
    says: "`\"pipe\"`: external commands through the command file. `\"spool\"`: files in the check result directory.",
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

const NEWLINES: &[Key] = &[Key {
    name: "newlines",
    default: "\"escaped\"",
    says: "How further lines are written: `\"escaped\"`: as `\\n`, which Nagios turns into lines. `\"join\"`: joined by ` / `, for Naemon, which does not.",
}];

#[derive(Clone, Copy)]
enum Method {
    Pipe,
    Spool,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let methods = [("pipe", Method::Pipe), ("spool", Method::Spool)];
    let known = [("escaped", Newlines::Escaped), ("join", Newlines::Joined)];
    let newlines = options.word("newlines", &known, "way to write further lines");
    let newlines = newlines.unwrap_or(Newlines::Escaped);
    match options.word("method", &methods, "method of the nagios sink").unwrap_or(Method::Pipe) {
        Method::Pipe => {
            options.unused(SPOOL, "it is for method = \"spool\"");
            let path = options.path("command_file", "/var/lib/nagios4/rw/nagios.cmd")?;
            Some(Arc::new(Pipe { path, newlines }))
        }
        Method::Spool => {
            options.unused(PIPE, "it is for method = \"pipe\"");
            let directory = options.path("check_result_path", "/var/lib/nagios4/spool/checkresults")?;
            Some(Arc::new(Spool { directory, newlines }))
        }
    }
}
