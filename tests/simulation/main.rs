//! The daemon in a simulated world: one thread, virtual time, and one seed from which everything follows.
//!
//! Each seed lives through minutes: messages come over UDP and TCP while servers misbehave, the process is killed, the power
//! is cut, the disk fails, clocks are set, configurations are reloaded. Then everything is well again, and what was promised
//! must be kept (`ledger.rs`).
//!
//! ```text
//! cargo test --test simulation                                          the seeds of every run
//! SEEDS=10000 cargo test --test simulation                              more of them
//! FIRST=4711 SEEDS=1 cargo test --test simulation -- --nocapture        one of them, with its history
//! ```
//!
//! `KEEP_GOING=1` goes on after a seed that fails; `LOG=1` prints what the daemon logs. docs/simulation.md says more.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::await_holding_refcell_ref
)]

mod broker;
mod chance;
mod clock;
mod config;
mod count;
mod executor;
mod flood;
mod history;
mod hush;
mod ledger;
mod life;
mod network;
mod node;
mod others;
mod outcome;
mod place;
mod random;
mod senders;
mod server;
mod sinks;
mod state;
mod weather;
mod world;

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use history::History;
use life::Life;
use world::{WORLD, World};

/// How many seeds every run has: about a minute in a debug build.
const SEEDS: u64 = 400;

/// What is left of a life.
struct Lived {
    lines: Vec<String>,
    findings: Vec<String>,
    digest: u64,
}

/// Lives one seed, in a thread of its own: what threads keep would be another life's.
fn live(seed: u64) -> Lived {
    std::thread::scope(|scope| {
        let life = scope.spawn(|| {
            chance::begin(seed);
            let history = live_here(seed);
            Lived { lines: history.lines(), findings: history.findings(), digest: history.digest() }
        });
        life.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn live_here(seed: u64) -> History {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let pipes = Rc::new(tempfile::tempdir().unwrap());
    runtime.block_on(async {
        let world = World::new(seed);
        let (life, looking) = (Life::new(world.clone(), pipes), world.clone());
        world.executor.run(life.live(), move || looking.look()).await;
        world.executor.kill(WORLD);
        world.node.borrow_mut().take();
        world.history.clone()
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn fail(seed: u64, life: &Lived) -> ! {
    println!("{}", life.lines.join("\n"));
    let again = format!("FIRST={seed} SEEDS=1 cargo test --test simulation -- --nocapture");
    panic!("seed {seed}:\n  {}\nagain with: {again}", life.findings.join("\n  "));
}

#[test]
fn what_is_promised_is_kept() {
    let first = number("FIRST").unwrap_or(1);
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let all = std::env::var_os("KEEP_GOING").is_some();
    if std::env::var_os("LOG").is_some() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false).init();
    }
    // Lives know nothing of each other, so there are as many at a time as cores.
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(0));
    let end = first + seeds;
    let lives = &|| {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= end {
                return;
            }
            if (seed - first) % 1000 == 999 {
                println!("{} seeds, {} with findings", seed - first + 1, failed.load(Ordering::SeqCst));
            }
            let life = live(seed);
            if life.findings.is_empty() {
                if seeds == 1 {
                    println!("{}", life.lines.join("\n"));
                }
                continue;
            }
            if !all {
                next.store(end, Ordering::SeqCst);
                fail(seed, &life);
            }
            failed.fetch_add(1, Ordering::SeqCst);
            println!("seed {seed}:\n  {}", life.findings.join("\n  "));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(lives)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    assert_eq!(failed.into_inner(), 0, "seeds failed");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 1..5 {
        let (once, again) = (live(seed), live(seed));
        if once.digest != again.digest {
            let (once, again) = (once.lines, again.lines);
            let at = once.iter().zip(&again).position(|(a, b)| a != b).unwrap_or(0);
            panic!("seed {seed}, line {at}:\n  {}\n  {}", once[at], again[at]);
        }
    }
}
