//! The zabbix sink: check results as values of trapper items, by the protocol of zabbix_sender, to a server or a proxy.

mod answer;
mod frame;
mod lane;
mod services;
mod settings;
mod values;

pub use settings::KIND;
