//! `[[intake]] type = "http"`: services check in, and other programs send events.
//!
//! [`settings`] reads the section, [`site`] is what one listener knows, `connection` serves a connection and `desk` its requests,
//! [`latest`] has the last report of each service.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub(in crate::intake) mod connection;
mod desk;
pub mod latest;
pub mod settings;
pub mod site;
