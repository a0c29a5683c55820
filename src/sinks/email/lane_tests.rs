//! A stand-in that answers as it is told, and keeps the mails that it took.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;
use crate::settings::address::Address;
use crate::sinks::sink::Key;
use crate::sinks::testing::{item, seat};

#[derive(Default)]
struct Standin {
    /// What it answers to a line that begins so, in place of what is usual.
    answers: Vec<(&'static str, &'static str)>,
    /// The recipients and the text of each mail.
    mails: Vec<(Vec<String>, String)>,
    lines: Vec<String>,
}

impl Standin {
    fn start() -> (Address, Arc<Mutex<Standin>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let standin = Arc::new(Mutex::new(Standin::default()));
        let shared = standin.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared);
            }
        });
        (Address { host: "127.0.0.1".into(), port }, standin)
    }

    fn answer(&self, line: &str, usual: &'static str) -> &'static str {
        let own = self.answers.iter().find(|(start, _)| line.starts_with(start));
        own.map_or(usual, |(_, answer)| answer)
    }
}

fn serve(mut stream: TcpStream, standin: &Mutex<Standin>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut to = Vec::new();
    let greeting = standin.lock().unwrap().answer("greeting", "220 hi");
    // In one piece: the second of two would wait until the first is acknowledged.
    stream.write_all(format!("{greeting}\r\n").as_bytes()).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end().to_owned();
        let mut standin = standin.lock().unwrap();
        standin.lines.push(line.clone());
        let command = line.split(' ').next().unwrap();
        let usual = match command {
            "EHLO" => "250-hi\r\n250-SIZE 1000000\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 ok",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        let answer = standin.answer(&line, usual);
        match command {
            "MAIL" | "RSET" => to.clear(),
            "RCPT" if answer.starts_with("25") => to.push(line[9..line.len() - 1].to_owned()),
            _ => {}
        }
        stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
        if command == "DATA" && answer.starts_with("354") {
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") {
                assert_ne!(reader.read_line(&mut text).unwrap(), 0);
            }
            let answer = standin.answer("end", "250 queued");
            if answer.starts_with("250") {
                standin.mails.push((std::mem::take(&mut to), text));
            }
            stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
        }
    }
}

fn email(address: Address, digest: bool) -> Email {
    let to = vec!["a@x".into(), "b@x".into()];
    let server =
        Server { address, tls: None, implicit_tls: false, starttls: false, hello: "x".into(), login: None };
    let composer = Composer { from: "t@x".into(), to, subject: None, body: None };
    Email { server, composer, digest: if digest { Duration::from_mins(1) } else { Duration::ZERO } }
}

fn send(lane: &mut dyn Lane, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lane.send(items))
}

fn later(fate: &Fate) -> bool {
    is_open(fate)
}

#[test]
fn each_recipient_gets_it_once() {
    let (address, standin) = Standin::start();
    let mut lane = email(address, false).lane(&seat().0);
    let items = [item(1, "h", Some("s"), "down")];
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "451 later")];
    let fates = send(&mut *lane, &items).unwrap();
    assert!(later(&fates[0]), "{fates:?}");
    assert!(later(&send(&mut *lane, &items).unwrap()[0]));
    standin.lock().unwrap().answers.clear();
    assert_eq!(send(&mut *lane, &items).unwrap(), [Fate::Taken]);
    let mails = std::mem::take(&mut standin.lock().unwrap().mails);
    let to: Vec<&[String]> = mails.iter().map(|(to, _)| &to[..]).collect();
    assert_eq!(to, [["a@x"], ["b@x"]]);
    // One that is refused for good is said, and the other has it.
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "550-no\r\n550 such user")];
    let fates = send(&mut *lane, &[item(2, "h", Some("s"), "down")]).unwrap();
    let Fate::Dead(reason) = &fates[0] else { panic!("{fates:?}") };
    assert!(reason.as_str().starts_with("not for b@x: 127.0.0.1:"), "{reason}");
    assert!(reason.as_str().ends_with(" answered 550 to RCPT: no such user"), "{reason}");
    assert_eq!(standin.lock().unwrap().mails[0].0, ["a@x"]);
}

#[test]
fn many_go_in_one_mail_and_an_order_stays() {
    let (address, standin) = Standin::start();
    let mut lane = email(address, true).lane(&seat().0);
    let keyed = |number: u64, key: u64| Item {
        key: Key::Known(key),
        ..item(number, "h", Some("s"), &format!("text{number}"))
    };
    let first = [keyed(1, 7), keyed(2, 8)];
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "452 full")];
    assert!(send(&mut *lane, &first).unwrap().iter().all(later));
    // a@x does not wait for b@x, who gets those of a service in their order.
    let more = [keyed(1, 7), keyed(2, 8), keyed(3, 7), keyed(4, 9)];
    standin.lock().unwrap().answers.clear();
    let fates = send(&mut *lane, &more).unwrap();
    assert!(
        fates[..2] == [Fate::Taken, Fate::Taken] && later(&fates[2]) && fates[3] == Fate::Taken,
        "{fates:?}"
    );
    assert_eq!(send(&mut *lane, &more[2..3]).unwrap(), [Fate::Taken]);
    let mails = std::mem::take(&mut standin.lock().unwrap().mails);
    let found: Vec<(&[String], Vec<usize>)> = mails
        .iter()
        .map(|(to, text)| (&to[..], (1..5).filter(|n| text.contains(&format!("text{n}"))).collect()))
        .collect();
    let (a, b) = (&["a@x".to_owned()][..], &["b@x".to_owned()][..]);
    let both = &["a@x".to_owned(), "b@x".to_owned()][..];
    assert_eq!(found, [(a, vec![1, 2]), (a, vec![3]), (both, vec![4]), (b, vec![1, 2]), (b, vec![3])]);
    standin.lock().unwrap().answers = vec![("end", "552 too big")];
    assert!(matches!(send(&mut *lane, &more[2..]), Err(Trouble::Halve(_))));
}

/// The mails to a recipient, as the numbers of their outcomes.
fn mails_to(standin: &Mutex<Standin>, name: &str) -> Vec<u64> {
    let standin = standin.lock().unwrap();
    let to = standin.mails.iter().filter(|(to, _)| to.iter().any(|to| to == name));
    let number = |text: &str| text.split_once("\r\n\r\ntext")?.1.split_whitespace().next()?.parse().ok();
    to.map(|(_, text)| number(text).unwrap()).collect()
}

#[test]
fn a_recipient_that_is_put_off_holds_up_nobody_else() {
    let (address, standin) = Standin::start();
    let (seat, clock) = seat();
    for seed in 0..20_u64 {
        standin.lock().unwrap().mails.clear();
        let mut lane = email(address.clone(), false).lane(&seat);
        let mut open: Vec<Item> = Vec::new();
        for round in 1..=12_u64 {
            if round <= 6 {
                open.push(Item {
                    key: Key::Known(round % 2),
                    ..item(round, "h", Some("s"), &format!("text{round} end"))
                });
            }
            let bits = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (4 * round);
            let answer = ["250 ok", "451 later", "452 full", "451 later"][(bits & 3) as usize];
            let answer = if round > 9 { "250 ok" } else { answer };
            standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", answer)];
            // As those are sent that wait for themselves only.
            open.retain(|item| later(&send(&mut *lane, std::slice::from_ref(item)).unwrap()[0]));
            clock.advance(Duration::from_mins(4));
            let there: Vec<u64> = (1..=round.min(6)).collect();
            assert_eq!(mails_to(&standin, "a@x"), there, "seed {seed}, round {round}");
        }
        assert!(open.is_empty(), "seed {seed}");
        let all = mails_to(&standin, "b@x");
        for key in 0..2 {
            let of_key: Vec<u64> = all.iter().copied().filter(|number| number % 2 == key).collect();
            assert_eq!(of_key, if key == 0 { [2, 4, 6] } else { [1, 3, 5] }, "seed {seed}");
        }
    }
}

#[test]
fn who_has_a_mail_is_known_after_a_restart() {
    let (address, standin) = Standin::start();
    let journal = tempfile::tempdir().unwrap();
    let seat = Seat { memory: journal.path().join("sinks/mail"), ..seat().0 };
    let items = [item(1, "h", None, "text1 end")];
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "451 later")];
    let email = email(address, false);
    assert!(later(&send(&mut *email.lane(&seat), &items).unwrap()[0]));
    let fates = send(&mut *email.lane(&seat), &items).unwrap();
    let Fate::Later(said) = &fates[0] else { panic!("{fates:?}") };
    assert!(said.as_str().starts_with("not for b@x yet: "), "{said}");
    // Refused for good, it is a dead letter; when that is sent again, only those get it who have it not.
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "550 no")];
    assert!(matches!(&send(&mut *email.lane(&seat), &items).unwrap()[..], [Fate::Dead(_)]));
    standin.lock().unwrap().answers.clear();
    let letter = [Item { id: Id::Letter(0), ..items[0].clone() }];
    assert_eq!(send(&mut *email.lane(&seat), &letter).unwrap(), [Fate::Taken]);
    assert_eq!((mails_to(&standin, "a@x"), mails_to(&standin, "b@x")), (vec![1], vec![1]));
    // Everybody has it, so that nothing is remembered.
    assert_eq!(send(&mut *email.lane(&seat), &items).unwrap(), [Fate::Taken]);
    assert_eq!(mails_to(&standin, "a@x"), [1, 1]);
    // Who is no recipient any more is waited for no longer.
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "451 later")];
    let next = [item(2, "h", None, "text2 end")];
    assert!(later(&send(&mut *email.lane(&seat), &next).unwrap()[0]));
    let mut without = email.clone();
    without.composer.to.pop();
    assert_eq!(send(&mut *without.lane(&seat), &next).unwrap(), [Fate::Taken]);
    assert_eq!(mails_to(&standin, "a@x"), [1, 1, 2]);
}

#[test]
fn an_outcome_that_was_given_up_is_waited_for_no_longer() {
    let (address, standin) = Standin::start();
    let (seat, clock) = seat();
    let mut lane = email(address, false).lane(&seat);
    standin.lock().unwrap().answers = vec![("RCPT TO:<b@x>", "451 later")];
    assert!(later(&send(&mut *lane, &[item(1, "h", None, "text1 end")]).unwrap()[0]));
    standin.lock().unwrap().answers.clear();
    let next = [item(2, "h", None, "text2 end")];
    let fates = send(&mut *lane, &next).unwrap();
    assert!(matches!(fates[0], Fate::Behind(_)), "b@x is to get the first one first: {fates:?}");
    let fates = send(&mut *lane, &next).unwrap();
    assert!(matches!(fates[0], Fate::Behind(_)), "nor is it failing: {fates:?}");
    clock.advance(GONE);
    assert_eq!(send(&mut *lane, &next).unwrap(), [Fate::Taken]);
    assert_eq!((mails_to(&standin, "a@x"), mails_to(&standin, "b@x")), (vec![1, 2], vec![2]));
}

#[test]
fn what_is_too_large_is_cut() {
    let (address, standin) = Standin::start();
    let mut lane = email(address, false).lane(&seat().0);
    let items = [item(1, "h", None, &"x".repeat(10_000))];
    standin.lock().unwrap().answers = vec![("end", "552 too big")];
    assert!(matches!(&send(&mut *lane, &items).unwrap()[..], [Fate::Dead(_)]));
    assert_eq!(standin.lock().unwrap().lines.iter().filter(|line| *line == "DATA").count(), 2);
}

/// A server that refuses a mail because of one of its outcomes, or goes away: the others are delivered.
#[test]
fn a_mail_that_is_refused_for_good_goes_again_in_halves() {
    let (address, standin) = Standin::start();
    let email = email(address, true);
    let items = [item(1, "h", None, "text1 end"), item(2, "g", None, "text2 end")];
    for (stage, answer, means) in [
        ("end", "554 looks like spam", "Err(Halve"),
        ("end", "550 no", "Err(Halve"),
        ("end", "421 going down", "Err(Busy"),
        ("end", "451 later", "Ok([Later"),
        ("DATA", "554 no", "Err(Halve"),
        ("DATA", "421 going down", "Err(Busy"),
        ("RCPT", "421 going down", "Err(Busy"),
        ("MAIL", "421 going down", "Err(Busy"),
    ] {
        standin.lock().unwrap().answers = vec![(stage, answer)];
        let mut lane = email.lane(&seat().0);
        let sent = format!("{:?}", send(&mut *lane, &items));
        assert!(sent.starts_with(means), "{stage} {answer}: {sent}");
        let alone = format!("{:?}", send(&mut *lane, &items[..1]));
        assert_eq!(alone.starts_with("Ok([Dead"), means == "Err(Halve", "{stage} {answer}: {alone}");
    }
}

#[test]
fn what_is_about_the_server_is_no_fault_of_an_outcome() {
    let (address, standin) = Standin::start();
    let mut email = email(address, false);
    let items = [item(1, "h", None, "x")];
    let answered = |email: &Email, answers: &[(&'static str, &'static str)]| {
        standin.lock().unwrap().answers = answers.to_vec();
        send(&mut *email.lane(&seat().0), &items)
    };
    assert!(matches!(answered(&email, &[("greeting", "554 no")]), Err(Trouble::Refused(..))));
    assert!(matches!(answered(&email, &[("greeting", "421 busy")]), Err(Trouble::Busy(..))));
    assert!(matches!(answered(&email, &[("greeting", "HTTP/1.1 400 x")]), Err(Trouble::Away(..))));
    assert!(matches!(answered(&email, &[("MAIL", "550 not you")]), Err(Trouble::Refused(..))));
    assert!(matches!(answered(&email, &[("RCPT", "530 log in")]), Err(Trouble::Refused(..))));
    assert!(matches!(answered(&email, &[("DATA", "250 what")]), Err(Trouble::Unanswered(..))));
    assert!(later(&answered(&email, &[("end", "451 later")]).unwrap()[0]));
    email.server.login = Some(("u".into(), "p".to_owned().into()));
    assert!(matches!(answered(&email, &[("AUTH", "535 wrong")]), Err(Trouble::Refused(..))));
    assert_eq!(
        answered(&email, &[("AUTH PLAIN AHUAcA==", "235 ok"), ("AUTH", "535 no")]).unwrap(),
        [Fate::Taken]
    );
    let login = [("EHLO", "250 AUTH LOGIN"), ("AUTH LOGIN", "334 x"), ("dQ==", "334 y"), ("cA==", "235 ok")];
    assert_eq!(answered(&email, &login).unwrap(), [Fate::Taken]);
    assert!(matches!(answered(&email, &[("EHLO", "250 AUTH GSSAPI")]), Err(Trouble::Refused(..))));
    email.server.starttls = true;
    let refused = answered(&email, &[]);
    let Err(Trouble::Refused(said, _)) = refused else { panic!("{refused:?}") };
    assert!(said.as_str().ends_with("offers no STARTTLS"), "{said}");
    // What follows the reply to STARTTLS in the clear was put in by somebody else.
    let forged = answered(&email, &[("EHLO", "250 STARTTLS"), ("STARTTLS", "220 go\r\n250 forged")]);
    assert!(matches!(forged, Err(Trouble::Unanswered(..) | Trouble::Away(..))), "{forged:?}");
    email.server.address.port = 1;
    assert!(matches!(answered(&email, &[]), Err(Trouble::Away(..))));
}
