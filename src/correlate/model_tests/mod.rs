//! The state of rules against one that is as simple as it can be, in random histories.

mod histories;
mod naive;
mod naive_clear;
mod naive_time;
mod naive_wide;
