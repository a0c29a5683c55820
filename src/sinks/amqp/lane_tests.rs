//! A broker that lets everybody in, and reads nothing of what is published.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sinks::sink::{Item, Trouble};
use crate::sinks::testing::{configured, item, seat};

/// A frame with a method (AMQP 0-9-1, section 4.2.3).
fn method(channel: u8, class: u8, method: u8, arguments: &[u8]) -> Vec<u8> {
    let length = (arguments.len() + 4) as u32;
    let head = [&[1, 0, channel][..], &length.to_be_bytes(), &[0, class, 0, method]].concat();
    [&head, arguments, &[0xce]].concat()
}

fn serve(mut stream: TcpStream, stopped: &AtomicBool) -> Option<()> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).ok()?;
    let start = [&[0, 9, 0, 0, 0, 0, 0, 0, 0, 5][..], b"PLAIN", &[0, 0, 0, 5], b"en_US"].concat();
    stream.write_all(&method(0, 10, 10, &start)).ok()?;
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut body = vec![0; length + 1];
        stream.read_exact(&mut body).ok()?;
        let answer = match (body[1], body[3]) {
            (10, 11) => method(0, 10, 30, &[7, 0xff, 0, 2, 0, 0, 0, 0]),
            (10, 40) => method(0, 10, 41, &[0]),
            (20, 10) => method(head[2], 20, 11, &[0, 0, 0, 0]),
            (85, 10) => method(head[2], 85, 11, &[]),
            _ => continue,
        };
        stream.write_all(&answer).ok()?;
        if (body[1], body[3]) == (85, 10) {
            stopped.store(true, Ordering::Relaxed);
            // It holds the connection until the test ends.
            std::thread::park();
        }
    }
}

#[tokio::test]
async fn a_broker_that_reads_nothing_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stopped = Arc::new(AtomicBool::new(false));
    let shared = stopped.clone();
    std::thread::spawn(move || serve(listener.accept().unwrap().0, &shared));
    let lines =
        format!("type = \"amqp\"\nurl = \"amqp://127.0.0.1:{port}\"\nexchange = \"e\"\ndeclare = false");
    let mut lane = configured(&lines).0.unwrap().lane(&seat().0);
    let text = "x".repeat(8 << 20);
    let items: Vec<Item> = (1..=3).map(|number| item(number, "h", Some("s"), &text)).collect();
    let time = async {
        while !stopped.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        // From here on nothing happens, so that time passes at once.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_mins(5)).await;
    };
    tokio::select! {
        sent = lane.send(&items) => assert!(matches!(sent, Err(Trouble::Unanswered(..))), "{sent:?}"),
        () = time => panic!("nobody ends it"),
    }
}
