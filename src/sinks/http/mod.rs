//! What sinks that speak HTTP share: [`api`], what a server is told; [`answers`], what its answers mean; [`lane`], the
//! connections; [`server`], the keys; [`escape`], values in requests.

pub mod answers;
pub mod api;
pub mod escape;
pub mod lane;
pub mod server;

#[cfg(test)]
pub(crate) mod tests;
