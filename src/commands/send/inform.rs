//! `trapline send inform`: sent until it is answered, or often enough.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::commands::send::args::InformArgs;
use crate::commands::send::notification::{notification, random};
use crate::commands::send::security::now;
use crate::commands::send::wire::{Wire, report};
use crate::message::{Notification, NotificationKind, Version};
use crate::mib::load as mib;
use crate::snmp::usm::originate::{Originator, Peer, Refusal, Reply};
use crate::snmp::{self, encode};
use crate::terminal::{eprintln, println};

/// How often the far end may tell its time anew for one inform.
const CORRECTIONS: u32 = 3;

pub(crate) fn run(args: &InformArgs) -> anyhow::Result<bool> {
    let mib = mib::load(&args.notification.mibs).mib;
    let originator = args.notification.security.originator()?;
    let version = if originator.is_some() { Version::V3 } else { Version::V2c };
    let mut inform = notification(&args.notification, version, NotificationKind::Inform, &mib)?;
    let wire = Wire::open(&args.notification.to)?;
    let timeout = Duration::try_from_secs_f64(args.timeout).context("--timeout: no number of seconds")?;
    let mut line = Line { wire, timeout, tries: args.retries.saturating_add(1) };
    let mut session = match originator {
        Some(originator) => match line.discover(&originator)? {
            Some(peer) => Some((originator, peer)),
            None => {
                no_answer(args, "is SNMPv3 configured there ([[snmp.users]])?");
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
            Some((originator, peer)) => match line.inform_v3(originator, peer, &inform)? {
                Ok(answered) => answered,
                Err(refusal) => {
                    eprintln!("trapline: {} refuses the inform: {refusal}", args.notification.to);
                    return Ok(false);
                }
            },
            None => line.inform(&inform)?,
        };
        if !answered {
            let version = if session.is_some() { "user" } else { "community" };
            no_answer(args, &format!("may this {version} send there, and does its journal take outcomes?"));
            return Ok(false);
        }
    }
    println!("{} acknowledged", args.load.count);
    report("informs", args.load.count, start.elapsed());
    Ok(true)
}

fn no_answer(args: &InformArgs, question: &str) {
    eprintln!(
        "trapline: no answer from {} after {} tries of {} s: {question}",
        args.notification.to,
        args.retries.saturating_add(1),
        args.timeout
    );
}

/// A wire on which answers are waited for.
struct Line {
    wire: Wire,
    timeout: Duration,
    tries: u32,
}

impl Line {
    /// Sends what `packet` makes until `read` has what it waits for.
    fn ask<T>(
        &mut self,
        mut packet: impl FnMut() -> anyhow::Result<Vec<u8>>,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> anyhow::Result<Option<T>> {
        for _ in 0..self.tries {
            self.wire.send(&packet()?)?;
            let until = Instant::now() + self.timeout;
            while let Some(answer) = self.wire.receive(until)? {
                if let Some(found) = read(&answer) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Whether a v2c inform was answered: by the same message as a Response-PDU.
    fn inform(&mut self, inform: &Notification<'_>) -> anyhow::Result<bool> {
        let packet = encode::encode(inform);
        let expected = snmp::decode(&packet).map(|d| d.answer()).unwrap_or_default();
        let answered =
            self.ask(|| Ok(packet.clone()), |answer| (answer == expected.as_slice()).then_some(()))?;
        Ok(answered.is_some())
    }

    fn discover(&mut self, originator: &Originator) -> anyhow::Result<Option<Peer>> {
        self.ask(
            || originator.discovery(random()?).context("no question can be made"),
            |answer| originator.peer(answer, now()),
        )
    }

    /// Whether a v3 inform was answered, or why it is not taken.
    fn inform_v3(
        &mut self,
        originator: &Originator,
        peer: &mut Peer,
        inform: &Notification<'_>,
    ) -> anyhow::Result<Result<bool, Refusal>> {
        let mut corrections = 0;
        loop {
            let reply = self.ask(
                || {
                    let packet = originator.inform(peer, inform, random()?, now());
                    packet.context("the inform cannot be encrypted")
                },
                |answer| match originator.reply(peer, answer) {
                    Reply::Acknowledged(id) if id == i64::from(inform.request_id) => Some(Ok(None)),
                    Reply::Engine => originator.peer(answer, now()).map(|told| Ok(Some(told))),
                    Reply::Refused(refusal) => Some(Err(refusal)),
                    Reply::Acknowledged(_) | Reply::Other => None,
                },
            )?;
            match reply {
                None => return Ok(Ok(false)),
                Some(Err(refusal)) => return Ok(Err(refusal)),
                Some(Ok(None)) => return Ok(Ok(true)),
                // It has started anew, or our clocks have parted.
                Some(Ok(Some(told))) => *peer = told,
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
