//! What a process or a thread used, as the kernel counts it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// CPU time and context switches since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time in nanoseconds.
    pub cpu: u64,
    /// How often a thread slept: each time something had to wake it.
    pub voluntary: u64,
    /// How often a thread was made to wait for another one.
    pub involuntary: u64,
}

impl Usage {
    pub fn since(self, before: Usage) -> Usage {
        // A thread that ended takes its counts with it.
        Usage {
            cpu: self.cpu.saturating_sub(before.cpu),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }

    pub fn switches(self) -> u64 {
        self.voluntary + self.involuntary
    }
}

/// Of all threads of a process.
pub fn of_process(pid: u32) -> Usage {
    let mut all = Usage::default();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let usage = of_task(&task.unwrap().path());
        all.cpu += usage.cpu;
        all.voluntary += usage.voluntary;
        all.involuntary += usage.involuntary;
    }
    all
}

/// Of one thread, by its folder in `/proc`. Nothing if it has ended meanwhile.
pub fn of_task(task: &Path) -> Usage {
    let read = |name: &str| std::fs::read_to_string(task.join(name)).unwrap_or_default();
    // schedstat: time on the CPU in ns, time waited for it, time slices.
    let cpu = read("schedstat").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let status = read("status");
    let count = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|n| n.trim_start_matches(':').trim().parse().ok()).unwrap_or(0)
    };
    Usage {
        cpu,
        voluntary: count("voluntary_ctxt_switches"),
        involuntary: count("nonvoluntary_ctxt_switches"),
    }
}

/// The folder of the calling thread in `/proc`.
pub fn this_task() -> PathBuf {
    Path::new("/proc").join(std::fs::read_link("/proc/thread-self").unwrap())
}

/// Has all threads of a process, or one thread, run on these cores alone: `0`, or `0-7`.
pub fn keep_to(cores: &str, process: bool, id: &str) {
    let how = if process { "-acp" } else { "-cp" };
    let done = Command::new("taskset").args([how, cores, id]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|status| status.success()), "taskset {how} {cores} {id} fails");
}

/// The resident memory of a process in MiB: the most that it was.
pub fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Whether a UDP socket of IPv4 is bound to this port.
pub fn is_bound(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let at = format!(":{port:04X}");
    table.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&at)))
}

/// Counts the system calls of a process with `perf stat`, which hardly slows it.
pub struct SystemCalls {
    perf: Child,
    output: tempfile::NamedTempFile,
}

impl SystemCalls {
    /// Nothing where perf is not installed.
    pub fn of(pid: u32) -> Option<Self> {
        let output = tempfile::NamedTempFile::new().unwrap();
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string(), "-o"])
            .arg(output.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Some(SystemCalls { perf: perf.ok()?, output })
    }

    /// How many it made since; nothing where perf may not count them.
    pub fn stop(mut self) -> Option<u64> {
        // Interrupted, perf prints what it counted.
        let pid = self.perf.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.perf.wait();
        let text = std::fs::read_to_string(self.output.path()).ok()?;
        let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
        line.split(',').next()?.parse().ok()
    }
}
