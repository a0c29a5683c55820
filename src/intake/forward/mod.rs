//! `[[forward]]`: packets and lines are sent on to other receivers as they came, with the address of their sender where that can be.
//! At most once, and off the threads that receive.

pub mod desk;
mod guard;
mod packet;
pub mod send;
pub mod settings;
