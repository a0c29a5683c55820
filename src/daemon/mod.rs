//! The daemon: assembly, the control socket, reading of MIB modules in a process of its own, and what systemd is told.

pub mod control;
pub mod modules;
pub mod run;
pub mod systemd;
