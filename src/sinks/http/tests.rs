//! Response tables, tested row by row.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::StatusCode;

use super::answers::{Means, Row};
use super::api::{Api, Batch, Call, Part, basic, judge};
use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::sinks::sink::{Fate, Said, Trouble};

pub(crate) fn answer(status: u16, body: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    Answer { status, retry_after: None, body: body.to_owned().into() }
}

/// What became of a request of so many outcomes, in one word.
pub(crate) fn fate(api: &dyn Api, answer: &Answer, parts: &[Part]) -> &'static str {
    match judge(api, "server", answer, parts) {
        Ok(fates) => {
            assert_eq!(fates.len(), parts.len());
            match fates[0] {
                Fate::Taken | Fate::Cut => "taken",
                Fate::Stale(_) => "stale",
                Fate::Dead(_) => "dead",
                Fate::Later(_) => "later",
                Fate::Behind(_) => "behind",
                Fate::Unanswered(_) => "unanswered",
            }
        }
        Err(Trouble::Halve(_)) => "halve",
        Err(Trouble::Busy(..)) => "busy",
        Err(Trouble::Refused(..)) => "refused",
        Err(Trouble::Away(..) | Trouble::Unanswered(..)) => "away",
    }
}

/// Checks what answers mean; returns the rows that said so.
pub(crate) fn rows(api: &dyn Api, samples: &[(u16, &str, &str)]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    for (status, body, expected) in samples {
        let answer = answer(*status, body);
        let says = api.says(&answer);
        assert_eq!(fate(api, &answer, &[Part::default()]), *expected, "{status} {body} says '{says}'");
        // Which of several is meant is not known, unless the answer names it.
        let several = fate(api, &answer, &vec![Part::default(); 3]);
        let one = matches!(*expected, "dead" | "stale" | "later");
        assert_eq!(several, if one { "halve" } else { *expected }, "{status} {body} for several");
        seen.extend(api.answers().iter().position(|row| row.fits(answer.status, &says)));
    }
    seen
}

/// The same, and that every row of the table was the one.
pub(crate) fn every_row(api: &dyn Api, samples: &[(u16, &str, &str)]) {
    let seen = rows(api, samples);
    let unseen: Vec<_> =
        api.answers().iter().enumerate().filter(|(at, _)| !seen.contains(at)).map(|(_, row)| row).collect();
    assert!(unseen.is_empty(), "no sample for {unseen:#?}");
}

#[derive(Debug)]
struct Plain;

impl Api for Plain {
    fn batch(&self) -> Batch {
        Batch::ONE
    }

    fn part(&self, _record: &Record<'_>) -> Result<Part, Said> {
        Ok(Part::default())
    }

    fn call(&self, _parts: &[Part]) -> Call {
        Call::json(hyper::Method::POST, "", Vec::new())
    }

    fn answers(&self) -> &'static [Row] {
        const { &[Row { status: 200..=200, body: "fine", means: Means::Taken, source: "here" }] }
    }

    fn says(&self, answer: &Answer) -> String {
        answer.excerpt()
    }
}

#[test]
fn what_a_status_means_where_the_api_says_nothing() {
    let samples: [(u16, &str, &str); 12] = [
        (200, "fine", "taken"),
        (200, "<html>", "later"),
        (204, "", "later"),
        (302, "", "refused"),
        (400, "", "later"),
        (401, "", "refused"),
        (404, "", "refused"),
        (413, "", "halve"),
        (429, "", "busy"),
        (500, "", "later"),
        (502, "", "busy"),
        (503, "", "busy"),
    ];
    every_row(&Plain, &samples);
}

#[test]
fn what_a_server_says_is_reported() {
    let judged = |answer: &Answer| judge(&Plain, "h:1", answer, &[Part::default()]);
    let mut busy = answer(503, "why\n not");
    let text = "h:1 answered 503 Service Unavailable: why not";
    assert_eq!(judged(&busy), Err(Trouble::Busy(text.into(), Duration::from_secs(5))));
    busy.retry_after = Some(Duration::from_secs(7));
    assert_eq!(judged(&busy), Err(Trouble::Busy(text.into(), Duration::from_secs(7))));
    let mut failed = answer(500, "oops");
    let text = Said::from("h:1 answered 500 Internal Server Error: oops");
    assert_eq!(judged(&failed), Ok(vec![Fate::Later(text.clone())]));
    failed.retry_after = Some(Duration::from_secs(9));
    assert_eq!(judged(&failed), Err(Trouble::Busy(text, Duration::from_secs(9))));
    let hostile = judged(&answer(500, "a\u{1b}[2J\nERROR forged")).unwrap();
    assert_eq!(hostile, [Fate::Later("h:1 answered 500 Internal Server Error: a[2J ERROR forged".into())]);
}

#[test]
fn passwords_do_not_show() {
    let value = basic("trapline", "secret");
    assert_eq!(value.to_str().unwrap(), "Basic dHJhcGxpbmU6c2VjcmV0");
    assert_eq!(format!("{value:?}"), "Sensitive");
}
