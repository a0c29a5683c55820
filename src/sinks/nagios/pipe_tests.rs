use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::sinks::testing::item;
use crate::time::clock::{Now, TestClock};

/// A clock on which a second passes with each look.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn now(&self) -> Now {
        let seconds = self.0.fetch_add(1, Ordering::Relaxed);
        Now { mono: Mono::default() + Duration::from_secs(seconds), ..Now::default() }
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    path: PathBuf,
    lane: PipeLane,
    runtime: tokio::runtime::Runtime,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nagios.cmd");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let lane = PipeLane {
        path: path.clone(),
        newlines: Newlines::Escaped,
        stream: Stream {
            clock: Arc::new(Hasty::default()),
            follower: Follower::of_nothing(Duration::ZERO).0,
            last: None,
        },
        open: None,
        commands: Vec::new(),
        writer: Commands::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Rig { _dir: dir, path, lane, runtime: runtime.unwrap() }
}

impl Rig {
    fn send(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        self.runtime.block_on(self.lane.deliver(items))
    }

    fn reader(&self) -> File {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path).unwrap()
    }
}

fn items(numbers: std::ops::Range<u64>) -> Vec<Item> {
    numbers.map(|n| item(n, "h", Some("S"), &format!("m{n}"))).collect()
}

/// What is in the pipe, line by line.
fn lines(reader: &mut File) -> Vec<String> {
    let mut text = Vec::new();
    // The other end is open, so it ends in WouldBlock.
    let _ = reader.read_to_end(&mut text);
    String::from_utf8(text).unwrap().lines().map(|line| line.rsplit(';').next().unwrap().to_owned()).collect()
}

fn names(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("m{n}")).collect()
}

#[test]
fn only_whole_commands_in_one_piece() {
    let line = [&[b'x'; 1499][..], b"\n"].concat();
    let three = line.repeat(3);
    assert_eq!(piece(&three).len(), 3000);
    assert_eq!(piece(&line), line);
}

#[test]
fn what_is_no_pipe_with_a_reader_is_not_written() {
    let mut rig = rig();
    let said = |trouble| match trouble {
        Err(Trouble::Away(said, _)) => said.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(said(rig.send(&items(0..1))).ends_with("nobody reads it"));
    std::fs::remove_file(&rig.path).unwrap();
    assert!(said(rig.send(&items(0..1))).contains("No such file"));
    std::fs::write(&rig.path, "").unwrap();
    assert!(said(rig.send(&items(0..1))).ends_with("it is no named pipe"));
    assert_eq!(std::fs::read(&rig.path).unwrap(), b"");
}

#[test]
fn taken_is_what_has_left_the_pipe() {
    let mut rig = rig();
    let mut reader = rig.reader();
    // Nobody reads: after a while that is said, and nothing is sent a second time.
    for _ in 0..3 {
        assert!(matches!(rig.send(&items(0..3)), Err(Trouble::Unanswered(..))));
    }
    assert_eq!(lines(&mut reader), names(0..3));
    assert_eq!(rig.send(&items(0..2)), Ok(vec![Fate::Taken; 2]));
    assert_eq!(rig.send(&items(2..3)), Ok(vec![Fate::Taken]));
    assert_eq!(lines(&mut reader), names(0..0));
    // Reported once, they are new if they come again.
    assert!(rig.send(&items(0..1)).is_err());
    assert_eq!(lines(&mut reader), names(0..1));
}

#[test]
fn what_a_reader_leaves_unread_is_sent_to_the_next() {
    let mut rig = rig();
    let mut reader = rig.reader();
    assert!(rig.send(&items(0..3)).is_err());
    // One of three commands is read.
    let mut byte = [0];
    while byte != *b"\n" {
        reader.read_exact(&mut byte).unwrap();
    }
    drop(reader);
    assert_eq!(rig.send(&items(0..3)), Ok(vec![Fate::Taken]));
    assert!(matches!(rig.send(&items(1..3)), Err(Trouble::Away(..))));
    let mut reader = rig.reader();
    assert!(rig.send(&items(1..3)).is_err());
    assert_eq!(lines(&mut reader), names(1..3));
}

#[test]
fn bytes_of_others_are_not_taken_for_ours() {
    let mut rig = rig();
    let mut reader = rig.reader();
    let mut other = OpenOptions::new().write(true).open(&rig.path).unwrap();
    other.write_all(&[&b"[1] OTHER;".repeat(500)[..], b"half a comm"].concat()).unwrap();
    assert!(rig.send(&items(0..3)).is_err());
    // Others write on and on, behind ours.
    other.write_all(&b"[1] OTHER;x\n".repeat(50)).unwrap();
    assert!(rig.send(&items(0..3)).is_err());
    let read = lines(&mut reader);
    assert_eq!(read[1..4], names(0..3), "the half command has swallowed none of ours");
    assert_eq!(rig.send(&items(0..3)), Ok(vec![Fate::Taken; 3]));
}

#[test]
fn a_full_pipe_takes_what_fits_and_the_rest_when_there_is_space() {
    let mut rig = rig();
    let mut reader = rig.reader();
    let long = "x".repeat(4000);
    let items: Vec<Item> = (0..40).map(|n| item(n, "h", Some("S"), &format!("{long};m{n}"))).collect();
    let mut read = Vec::new();
    let fates = loop {
        match rig.send(&items) {
            Ok(fates) => break fates,
            Err(Trouble::Unanswered(..)) => read.extend(lines(&mut reader)),
            Err(other) => panic!("{other:?}"),
        }
    };
    read.extend(lines(&mut reader));
    assert_eq!((fates, read), (vec![Fate::Taken; 40], names(0..40)));
}

/// Sends while somebody else does something. How long that took, by the timers of the runtime.
async fn beside(
    lane: &mut PipeLane,
    items: &[Item],
    other: impl Future<Output = ()>,
) -> (Result<Vec<Fate>, Trouble>, Duration) {
    let start = tokio::time::Instant::now();
    let both = async { tokio::join!(async { (lane.deliver(items).await, start.elapsed()) }, other) };
    both.await.0
}

#[test]
fn in_a_stream_a_reader_has_time_until_more_comes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(in_a_stream(rig()));
}

async fn in_a_stream(rig: Rig) {
    const PATIENCE: Duration = Duration::from_millis(5);
    let ms = Duration::from_millis;
    let Rig { mut lane, path, runtime, _dir } = rig;
    runtime.shutdown_background();
    let (follower, set_next) = Follower::of_nothing(PATIENCE);
    lane.stream = Stream { clock: Arc::new(TestClock::default()), follower, last: None };
    let open = || OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut reader = open();
    set_next(3);
    // The first one is looked for soon.
    let read = async { assert_eq!(lines(&mut reader), names(0..3)) };
    let (fates, took) = beside(&mut lane, &items(0..3), read).await;
    assert_eq!((fates, took < PATIENCE), (Ok(vec![Fate::Taken; 3]), true), "{took:?}");
    // Then as soon as more comes,
    let more = async {
        tokio::time::sleep(ms(2)).await;
        assert_eq!(lines(&mut reader), names(3..5));
        set_next(5);
        tokio::time::sleep(ms(1)).await;
        set_next(6);
    };
    let (fates, took) = beside(&mut lane, &items(3..5), more).await;
    assert_eq!((fates, took), (Ok(vec![Fate::Taken; 2]), ms(3)));
    // or after twice the time that outcomes may wait.
    let read = async { assert_eq!(lines(&mut reader), names(5..6)) };
    let (fates, took) = beside(&mut lane, &items(5..6), read).await;
    assert_eq!((fates, took), (Ok(vec![Fate::Taken; 1]), PATIENCE * 2));
    // What is behind already is not waited for.
    set_next(9);
    let read = async { assert_eq!(lines(&mut reader), names(6..7)) };
    let (fates, took) = beside(&mut lane, &items(6..7), read).await;
    assert_eq!((fates, took < PATIENCE), (Ok(vec![Fate::Taken; 1]), true), "{took:?}");
    // A reader that goes meanwhile is noticed.
    set_next(10);
    let (fates, _) = beside(&mut lane, &items(9..10), async { drop(reader) }).await;
    assert!(matches!(fates, Err(Trouble::Away(..))), "{fates:?}");
}

#[test]
fn what_makes_no_command_is_a_dead_letter() {
    let mut rig = rig();
    let mut reader = rig.reader();
    let long = "s".repeat(257);
    let all = [item(0, "h", Some("S"), "m0"), item(1, "h", Some(&long), "m1"), item(2, "h", Some("S"), "m2")];
    assert!(rig.send(&all).is_err());
    assert_eq!(lines(&mut reader), ["m0", "m2"]);
    let fates = rig.send(&all).unwrap();
    assert_eq!((&fates[0], &fates[2]), (&Fate::Taken, &Fate::Taken));
    assert!(matches!(&fates[1], Fate::Dead(said) if said.as_str().contains("257 bytes")));
}
