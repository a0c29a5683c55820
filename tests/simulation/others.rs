//! Servers that are not asked over HTTP: an NSCA daemon, and a Nagios that reads its command file.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::network::SimStream;
use crate::outcome::named_in;
use crate::server::Server;
use crate::world::World;

/// Octets of the greeting of an NSCA daemon.
const GREETING: usize = 132;

/// Serves one connection of NSCA.
pub async fn nsca(server: Server, mut stream: SimStream) {
    let mood = *server.mood.borrow();
    let bad = mood.down || (mood.bad > 0 && server.random.once_in(mood.bad));
    let host = server.place.borrow().host.clone();
    if bad && server.random.once_in(2) {
        return;
    }
    if mood.slow > 0 {
        sleep(Duration::from_millis(server.random.below(mood.slow + 1))).await;
    }
    if stream.write_all(&[0; GREETING]).await.is_err() {
        return;
    }
    let mut bytes = Vec::new();
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break,
            Ok(_) if bad && server.random.once_in(2) => return stream.reset(),
            Ok(_) => {}
            Err(_) => return,
        }
    }
    // It processes packet by packet.
    let outcomes = named_in(&bytes);
    let names: Vec<String> = outcomes.iter().map(ToString::to_string).collect();
    server.history.say(&format!("{host} gets {}", names.join(" ")));
    let most = if bad { server.random.below(outcomes.len() as u64 + 1) as usize } else { outcomes.len() };
    let mut place = server.place.borrow_mut();
    for outcome in &outcomes[..most] {
        place.take(server.history.now(), *outcome);
        if bad {
            place.excuse(*outcome);
        }
    }
    drop(place);
    if bad {
        stream.reset();
    } else if stream.is_alone() || stream.shutdown().await.is_err() {
        for outcome in &outcomes {
            server.place.borrow_mut().excuse(*outcome);
        }
    } else {
        server.place.borrow_mut().told(server.history.now(), &outcomes);
    }
}

/// A Nagios: reads its command file, and is restarted now and then.
pub async fn nagios(server: Server, path: std::path::PathBuf, world: World) {
    let mut pipe: Option<File> = None;
    let mut half = Vec::new();
    loop {
        sleep(Duration::from_millis(world.random.range(1, 40))).await;
        let mood = *server.mood.borrow();
        if mood.down {
            // What it has not read is gone with it, and whoever writes does not know exactly what it has.
            if pipe.take().is_some() {
                let now = server.history.now();
                let since = now.saturating_sub(Duration::from_millis(100));
                server.place.borrow_mut().excuse_since(since, |uid| world.ledger.times(uid));
            }
            half.clear();
            continue;
        }
        if mood.slow > 0 && world.random.once_in(10) {
            sleep(Duration::from_millis(world.random.below(mood.slow + 1))).await;
        }
        let open = match &mut pipe {
            Some(open) => open,
            None => match read_end(&path) {
                Ok(open) => pipe.insert(open),
                Err(_) => continue,
            },
        };
        let mut buffer = vec![0; world.random.range(1, 4000) as usize];
        let Ok(count) = open.read(&mut buffer) else { continue };
        half.extend(&buffer[..count]);
        let whole = half.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = half.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n') {
            if let Some(outcome) = named_in(line).first() {
                server.history.say(&format!("nagios reads {outcome}"));
                server.place.borrow_mut().take(server.history.now(), *outcome);
            }
        }
    }
}

fn read_end(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}
