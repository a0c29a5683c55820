//! The daemon in a simulated world.
