//! `trapline send inform`: sent until it is answered, or often enough.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::commands::send::args::InformArgs;
use crate::commands::send::notification::{describe, notification, random, target_and_names};
use crate::commands::send::security::Seconds;
use crate::commands::send::wire::{Wire, report};
use crate::message::{Notification, NotificationKind, Version};
use crate::snmp::usm::originate::{Asked, Originator, Peer, Refusal, Reply};
use crate::snmp::{Response, encode};
use crate::terminal::{eprintln, println};

/// How often the far end may tell its time anew for one inform.
const CORRECTIONS: u32 = 3;

pub(crate) fn run(args: &InformArgs) -> anyhow::Result<bool> {
    let (to, mib) = target_and_names(&args.notification)?;
    let originator = args.notification.security.originator()?;
    let version = if originator.is_some() { Version::V3 } else { Version::V2c };
    let wire = Wire::open(&to)?;
    let described = describe(&args.notification, &mib)?;
    let mut inform = notification(&args.notification, &described, version, NotificationKind::Inform, &wire)?;
    let clock = Seconds::default();
    let mut line = Line { wire, timeout: args.timeout, tries: args.retries.saturating_add(1), clock };
    let mut session = match originator {
        Some(originator) => match line.discover(&originator)? {
            Some(peer) => Some((originator, peer)),
            None => {
                no_answer(args, &to, "is SNMPv3 configured there ([[snmp.users]])?");
                return Ok(false);
            }
        },
        None => None,
    };
    let start = Instant::now();
    for n in 0..args.load.count {
        inform.request_id = inform.request_id.wrapping_add(1) & i32::MAX;
        if let Some(rate) = args.load.rate {
            let due = Duration::from_secs_f64(n as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        let answered = match &mut session {
            Some((originator, peer)) => line.inform_v3(originator, peer, &inform)?,
            None => line.inform(&inform)?,
        };
        match answered {
            Some(Ok(())) => {}
            Some(Err(refusal)) => {
                eprintln!("trapline: {to} refuses the inform: {refusal}");
                return Ok(false);
            }
            None => {
                let version = if session.is_some() { "user" } else { "community" };
                let question = format!("may this {version} send there, and does its journal take outcomes?");
                no_answer(args, &to, &question);
                return Ok(false);
            }
        }
    }
    println!("{} acknowledged", args.load.count);
    report("inform", &line.wire, args.load.count, start.elapsed());
    Ok(true)
}

fn no_answer(args: &InformArgs, to: &str, question: &str) {
    eprintln!(
        "trapline: no answer from {to} after {} tries of {} s: {question}",
        args.retries.saturating_add(1),
        args.timeout.as_secs_f64()
    );
}

/// A wire on which answers are waited for.
struct Line {
    wire: Wire,
    timeout: Duration,
    tries: u32,
    clock: Seconds,
}

/// What the answer to an inform says; none if none came.
type Answered = Option<Result<(), Refusal>>;

impl Line {
    /// Sends what `packet` makes, each time with another number, until `read` has what it waits for.
    fn ask<T>(
        &mut self,
        mut packet: impl FnMut(i32) -> anyhow::Result<Vec<u8>>,
        mut read: impl FnMut(&[u8], &[i32]) -> Option<T>,
    ) -> anyhow::Result<Option<T>> {
        // An answer to an earlier try is one, too.
        let mut asked = Vec::new();
        for _ in 0..self.tries {
            let number = random()?;
            asked.push(number);
            self.wire.send(&packet(number)?)?;
            let until = Instant::now() + self.timeout;
            while let Some(answer) = self.wire.receive(until)? {
                if let Some(found) = read(&answer, &asked) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Sends a v2c inform. Its answer is any Response with its request-id.
    fn inform(&mut self, inform: &Notification<'_>) -> anyhow::Result<Answered> {
        let packet = encode::encode(inform);
        self.ask(
            |_| Ok(packet.clone()),
            |answer, _| {
                let response = Response::of_v2c(answer)?;
                let taken = response.error().map_or(Ok(()), |error| Err(Refusal::Status(error)));
                (response.request_id == i64::from(inform.request_id)).then_some(taken)
            },
        )
    }

    fn discover(&mut self, originator: &Originator) -> anyhow::Result<Option<Peer>> {
        let clock = self.clock;
        self.ask(
            |number| originator.discovery(number).context("no question can be made"),
            |answer, asked| asked.iter().find_map(|number| originator.peer(*number, answer, clock.now())),
        )
    }

    /// Sends a v3 inform.
    fn inform_v3(
        &mut self,
        originator: &Originator,
        peer: &mut Peer,
        inform: &Notification<'_>,
    ) -> anyhow::Result<Answered> {
        let (clock, mut corrections) = (self.clock, 0);
        loop {
            let reply = self.ask(
                |message_id| {
                    let packet = originator.inform(peer, inform, message_id, clock.now());
                    packet.context("the inform cannot be encrypted")
                },
                |answer, asked| {
                    asked.iter().find_map(|&message_id| {
                        let asked = Asked { message_id, request_id: inform.request_id };
                        match originator.reply(peer, asked, answer, clock.now()) {
                            Reply::Other => None,
                            reply => Some(reply),
                        }
                    })
                },
            )?;
            match reply {
                None | Some(Reply::Other) => return Ok(None),
                Some(Reply::Acknowledged) => return Ok(Some(Ok(()))),
                Some(Reply::Refused(refusal)) => return Ok(Some(Err(refusal))),
                // It has started anew, or our clocks have parted.
                Some(Reply::Engine(told)) => *peer = *told,
            }
            corrections += 1;
            if corrections > CORRECTIONS {
                bail!(
                    "the far end tells another time with every answer; is there more than one behind the address?"
                );
            }
        }
    }
}
