use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::files::faulty::{Faults, Faulty};
use crate::intake::admission::admit_waiting;
use crate::intake::http::site::{Hook, Service, Site, Sites, Token};
use crate::intake::shared::Active;
use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
use crate::message::Status;
use crate::posted::events::{Format, Source};
use crate::rules::compile::{RuleFile, compile};
use crate::time::clock::SystemClock;

const RULES: &str = "[[rule]]\nid = \"events\"\njson = \"*\"\n[rule.check]\nservice = \"{{ json.s }}\"\nstate = \"ok\"\noutput = \"{{ text }}\"\n[[rule]]\nid = \"all\"\ncheckin = \"*\"\n[rule.check]\nservice = \"{{ checkin }}\"\nstate = \"status\"\n";
const GOOD: &str = r#"{"service":"backup","token":"secret-of-backup","status":"OK","info":"done"}"#;

/// What listens, and the far end of no network.
struct Bench {
    shared: Arc<Shared>,
    disk: Faulty,
    at: Arc<Transport>,
    stop: watch::Sender<bool>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let disk = Faulty::new(3);
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let shared = Arc::new(Shared::new(journal, SyncPolicy::Batch, Arc::new(SystemClock)));
        let at = Arc::new(Transport::Unix(Path::new("/test").into()));
        let service = |token: Option<&str>| Service {
            host: Some("laptop".to_owned()),
            token: token.map(Token::new),
            timeout: Some(Duration::from_hours(1)),
            late: Status::Warning,
        };
        let checkins = [("backup", Some("secret-of-backup")), ("open", None)]
            .map(|(name, token)| (name.to_owned(), service(token)));
        let site = Site {
            allow: Some(vec!["127.0.0.0/8".parse().unwrap(), "203.0.113.1/32".parse().unwrap()]),
            max_body: 1024,
            checkins: checkins.into(),
            hooks: vec![hook("any", Format::Any), hook("canopsis", Format::Canopsis)],
            ..Site::default()
        };
        let file = RuleFile { name: "rules.toml".into(), text: RULES.into() };
        let compiled = compile(&[file], Arc::default());
        let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
        let http = Sites(vec![((*at).clone(), Arc::new(site))]);
        shared.replace(Active { rules, http, ..Active::default() });
        admit_waiting(&shared);
        Bench { shared, disk, at, stop: watch::channel(false).0, _dir: dir }
    }

    fn connect(&self, from: &str) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let door = Door {
            at: self.at.clone(),
            peer: from.parse::<std::net::SocketAddr>().unwrap().into(),
            identity: None,
            shared: self.shared.clone(),
            stop: self.stop.subscribe(),
            place: None,
        };
        (near, tokio::spawn(serve(far, door)))
    }

    /// All that is answered to this, until the connection ends.
    async fn say_from(&self, from: &str, pieces: &[&[u8]]) -> String {
        let (mut near, served) = self.connect(from);
        for piece in pieces {
            if near.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        timeout(Duration::from_mins(30), near.read_to_string(&mut answer)).await.unwrap().unwrap();
        timeout(Duration::from_mins(30), served).await.unwrap().unwrap();
        answer
    }

    async fn say(&self, text: &str) -> String {
        self.say_from("127.0.0.1:1", &[text.as_bytes()]).await
    }

    fn outputs(&self) -> Vec<String> {
        let (mut reader, mut outputs) = (self.shared.journal.reader(1), Vec::new());
        let read = reader.read(1000, |record| {
            let (outcome, state) = (&record.outcome, record.outcome.common().state);
            let of = (outcome.host(), outcome.service().unwrap_or("-"), state.as_str());
            outputs.push(format!("{} {} {} {}", of.0, of.1, of.2, outcome.common().output));
            true
        });
        read.unwrap();
        outputs
    }
}

fn hook(name: &str, format: Format) -> Hook {
    let (each, host) = match format {
        Format::Any => (Some("/all".to_owned()), Some("/h".to_owned())),
        _ => (None, Some("/component".to_owned())),
    };
    let source = Source { name: name.to_owned(), format, each, host };
    Hook { paths: vec![format!("/hooks/{name}")], token: Some(Token::new("secret-of-hooks")), source }
}

/// A request whose connection ends with its answer.
fn request(line: &str, head: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nConnection: close\r\n{length}{head}\r\n{body}")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn each_request_has_its_answer() {
    let bench = Bench::new();
    let form = "service_name=backup&token=secret-of-backup&status=critical&info=tape+full";
    let chunked = format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len());
    let without = r#"{"service":"backup","status":"OK"}"#;
    let bearer = "Authorization: bearer secret-of-backup\r\n";
    let (large, long) = ("x".repeat(1025), "x".repeat(20_000));
    for (expected, line, head, body) in [
        ("204", "POST /", "", GOOD),
        ("204", "POST /", "Content-Type: application/x-www-form-urlencoded\r\n", GOOD),
        ("204", "POST /", "Content-Type: application/json\r\n", form),
        ("204", "POST /?x=y", "", form),
        ("204", "POST /", bearer, without),
        ("204", "POST /", "", "service=open&status=0"),
        ("401", "POST /", "", without),
        ("401", "POST /", "Authorization: Bearer secret-of-other\r\n", without),
        ("401", "POST /", "", r#"{"service":"backup","token":"secret","status":"OK"}"#),
        ("401", "POST /", "", r#"{"service":"none","token":"secret-of-backup","status":"OK"}"#),
        ("400", "POST /", "", "nonsense"),
        ("400", "POST /", "", "{\"service\":"),
        ("400", "POST /", "", ""),
        ("400", "POST /", "", "service=backup&token=secret-of-backup&status=bad"),
        ("413", "POST /", "", &large),
        ("415", "POST /", "Content-Encoding: gzip\r\n", GOOD),
        ("415", "POST /", "Content-Type: Multipart/form-data; boundary=x\r\n", GOOD),
        ("403", "POST /", "Origin: http://evil.example\r\n", GOOD),
        ("403", "GET /state/backup", "Sec-Fetch-Site: cross-site\r\n", ""),
        ("405", "GET /", "", ""),
        ("405", "PUT /", "", GOOD),
        ("405", "POST /state/backup", "", GOOD),
        ("404", "POST /checkin", "", GOOD),
        ("404", "GET /states", "", ""),
        ("200", "GET /alive", "", ""),
        ("200", "HEAD /alive", "", ""),
        ("200", "GET /state/backup", "", ""),
        ("200", "GET /state/b%61ckup", "", ""),
        ("400", "GET /state/b%6", "", ""),
        ("401", "GET /state/none", "", ""),
        ("431", "POST /", &format!("X: {long}\r\n"), GOOD),
        ("400", "POST  /", "", GOOD),
    ] {
        let answer = bench.say(&request(line, head, body)).await;
        assert_eq!(status(&answer), expected, "{line} {head} {body}: {answer}");
        assert!(!answer.contains("secret-of"), "{answer}");
    }
    let head = "POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(&bench.say(&format!("{head}{chunked}")).await), "204");
    let endless = head.to_owned() + &format!("40\r\n{}\r\n", "x".repeat(64)).repeat(20);
    assert_eq!(status(&bench.say(&endless).await), "413");
    let posts = bench.shared.stats.posts_received.get();
    assert_eq!(bench.outputs().len() as u64, posts, "each that was taken, and nothing else");
    assert_eq!(bench.outputs()[1..3], ["laptop backup ok done", "laptop backup critical tape full"]);
}

#[tokio::test]
async fn events_are_taken_all_or_none_unless_the_answer_tells_them_apart() {
    let bench = Bench::new();
    let bearer = "Authorization: Bearer secret-of-hooks\r\n";
    let basic = "Authorization: Basic dXNlcjpzZWNyZXQtb2YtaG9va3M=\r\n";
    let key = "X-Canopsis-Authkey: secret-of-hooks\r\n";
    let two = r#"{"all":[{"s":"a","h":"db1"},{"s":"b"}]}"#;
    for (expected, line, head, body) in [
        ("200", "POST /hooks/any", bearer, two),
        ("200", "POST /hooks/any", basic, r#"{"all":{"s":"c"}}"#),
        ("200", "POST /hooks/any", bearer, r#"{"all":[]}"#),
        ("400", "POST /hooks/any", bearer, r#"{"all":[{"s":"d"},7]}"#),
        ("400", "POST /hooks/any", bearer, "{}"),
        ("400", "POST /hooks/any", bearer, "{"),
        ("401", "POST /hooks/any", "", two),
        ("401", "POST /hooks/any", "Authorization: Basic eDp5\r\n", two),
        ("401", "POST /hooks/any", "Authorization: Basic ?\r\n", two),
        ("401", "POST /hooks/any", "Authorization: Bearer secret-of-backup\r\n", two),
        ("405", "GET /hooks/any", bearer, ""),
        ("404", "POST /hooks", bearer, two),
        ("200", "POST /hooks/canopsis", key, r#"[{"component":"c1","s":"e"},{"s":"f"}]"#),
    ] {
        let answer = bench.say(&request(line, head, body)).await;
        assert_eq!(status(&answer), expected, "{line} {head} {body}: {answer}");
        assert!(!answer.contains("secret-of"), "{answer}");
        if line.ends_with("canopsis") {
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let told: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&told["sent_events"][0]["s"], &told["failed_events"][0]["s"]),
                (&"e".into(), &"f".into())
            );
        }
    }
    let outputs = bench.outputs();
    let services: Vec<&str> = outputs.iter().map(|output| &output[..output.find(" ok ").unwrap()]).collect();
    assert_eq!(services, ["db1 a", "127.0.0.1 b", "127.0.0.1 c", "c1 e"]);
}

#[tokio::test]
async fn who_may_not_send_or_ask_gets_nothing() {
    let bench = Bench::new();
    for (from, line, head, body, expected) in [
        ("203.0.113.1:9", "POST /", "", GOOD, "204"),
        ("203.0.113.2:9", "POST /", "", GOOD, "403"),
        ("203.0.113.2:9", "GET /alive", "", "", "403"),
        ("203.0.113.1:9", "GET /state/backup", "", "", "401"),
        ("203.0.113.1:9", "GET /state/backup", "Authorization: Bearer secret-of-backup\r\n", "", "200"),
        ("203.0.113.1:9", "GET /state/open", "Authorization: Bearer x\r\n", "", "401"),
    ] {
        let text = request(line, head, body);
        let answer = bench.say_from(from, &[text.as_bytes()]).await;
        assert_eq!(status(&answer), expected, "{from} {line}: {answer}");
    }
    // A page whose name leads to this machine (DNS rebinding).
    for (token, expected) in [("", "401"), ("Bearer x", "401"), ("Bearer secret-of-backup", "200")] {
        let head = format!("Host: evil.example:5000\r\nAuthorization: {token}\r\nConnection: close");
        let answer = bench.say(&format!("GET /state/backup HTTP/1.1\r\n{head}\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{token}");
    }
}

#[tokio::test]
async fn the_last_report_is_known() {
    let bench = Bench::new();
    let asked = async || {
        let answer = bench.say(&request("GET /state/backup", "", "")).await;
        serde_json::from_str::<serde_json::Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let none = asked().await;
    assert_eq!((&none["state"], &none["age"]), (&"unknown".into(), &serde_json::Value::Null));
    bench.say(&request("POST /", "", GOOD)).await;
    let known = asked().await;
    assert_eq!((&known["state"], &known["output"]), (&"ok".into(), &"done".into()));
    assert!(known["age"].as_u64().unwrap() < 100 && known["late"] == false, "{known}");
}

#[tokio::test]
async fn requests_in_any_pieces_on_one_connection_are_answered_in_order() {
    let bench = Bench::new();
    let post = |info: usize| {
        let body = format!("service=open&status=ok&info={info}");
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let text =
        (0..5).map(post).collect::<String>() + "GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for size in [1, 7, 100, text.len()] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let answer = bench.say_from("127.0.0.1:1", &pieces).await;
        assert_eq!(answer.matches("HTTP/1.1 204 No Content").count(), 5, "{answer}");
        assert!(answer.ends_with("alive\n"), "{answer}");
    }
    let expected: Vec<String> = (0..5).map(|info| format!("laptop open ok {info}")).collect();
    assert_eq!(bench.outputs(), [&expected[..]; 4].concat());
}

#[tokio::test]
async fn a_report_with_an_id_is_taken_once() {
    let bench = Bench::new();
    let post = |id: &str, service: &str| {
        request("POST /", "", &format!("service={service}&token=secret-of-backup&status=ok&id={id}"))
    };
    for (id, service, expected) in [
        ("1", "open", "204"),
        ("1", "open", "409"),
        ("2", "open", "204"),
        ("1", "backup", "204"),
        ("2", "open", "409"),
    ] {
        let answer = bench.say(&post(id, service)).await;
        assert_eq!(status(&answer), expected, "{id} of {service}");
    }
    assert_eq!(bench.outputs().len(), 3);
}

#[tokio::test]
async fn what_is_not_safe_is_not_taken() {
    for faults in [
        Faults { write: true.into(), ..Faults::default() },
        Faults { sync: true.into(), ..Faults::default() },
    ] {
        let bench = Bench::new();
        bench.disk.set_faults(faults);
        for _ in 0..2 {
            let answer = bench.say(&request("POST /", "", GOOD)).await;
            assert_eq!(status(&answer), "503", "{answer}");
            assert!(answer.contains("retry-after: 5\r\n"), "{answer}");
        }
        assert_eq!(bench.shared.latest.of("backup", bench.shared.now()), None);
        bench.disk.set_faults(Faults::default());
        tokio::time::sleep(crate::intake::commit::RETRY).await;
        assert_eq!(status(&bench.say(&request("POST /", "", GOOD)).await), "204");
        assert!(bench.outputs().len() <= 3, "{:?}", bench.outputs());
        assert_eq!(bench.shared.stats.outcomes_lost.get(), 0);
    }
}

#[tokio::test]
async fn what_is_safe_later_is_the_last_report_all_the_same() {
    let bench = Bench::new();
    // What every sink has is not in the journal any more.
    bench.shared.journal.register("sink").unwrap();
    let report = GOOD.replace('{', "{\"id\":\"1\",");
    bench.disk.set_faults(Faults { sync: 1, ..Faults::default() });
    for _ in 0..2 {
        assert_eq!(status(&bench.say(&request("POST /", "", &report)).await), "503");
    }
    bench.disk.set_faults(Faults::default());
    assert!(bench.shared.commit.keep_state(bench.shared.now()));
    assert_eq!(status(&bench.say(&request("POST /", "", &report)).await), "409");
    let latest = bench.shared.latest.of("backup", bench.shared.now());
    assert_eq!((latest.map(|report| report.status), bench.outputs().len()), (Some(Status::Ok), 1));
}

/// Virtual time: it goes on as soon as nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn nobody_holds_a_connection_by_being_slow() {
    let bench = Bench::new();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n";
    for (said, expected) in
        [("", "none"), ("POST / HT", "none"), (head, "none"), (&format!("{head}\r\nservi"), "408")]
    {
        let begun = Instant::now();
        let answer = bench.say(said).await;
        assert_eq!(status(&answer), expected, "{said}: {answer}");
        assert!(begun.elapsed() < Duration::from_mins(1), "{said}: {:?}", begun.elapsed());
    }
    // One that goes on and on ends between two requests.
    let (mut near, served) = bench.connect("127.0.0.1:1");
    let mut count = 0;
    loop {
        let sent = near.write_all(b"GET /alive HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut answer = vec![0; 1000];
        let read = near.read(&mut answer).await.unwrap_or(0);
        if sent.is_err() || read == 0 {
            break;
        }
        count += 1;
        assert!(count < 100, "it never ends");
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert!((29..=31).contains(&count), "{count}");
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_the_request_that_was_begun_is_answered() {
    let bench = Bench::new();
    let body = "service=open&status=ok&info=last";
    let (mut near, served) = bench.connect("127.0.0.1:1");
    let (idle, idle_served) = bench.connect("127.0.0.1:1");
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    near.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    bench.stop.send_replace(true);
    tokio::time::sleep(Duration::from_millis(10)).await;
    near.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "204");
    served.await.unwrap();
    idle_served.await.unwrap();
    drop(idle);
    assert!(begun.elapsed() <= STOP + Duration::from_millis(50), "{:?}", begun.elapsed());
    assert_eq!(bench.outputs(), ["laptop open ok last"]);
}
