//! End-to-end tests: the daemon as users start it, between the real programs of the field.
//!
//! They need Debian's packages `snmp`, `nagios4-core`, `icinga2-bin`, `nsca`, `rabbitmq-server`, `tcpd`, `rsyslog`, `rsyslog-relp`,
//! `influxdb`, `logrotate`, `systemd-journal-remote`, `mosquitto`, `mosquitto-clients`, `nats-server`, `kcat`, `zabbix-server-pgsql`, `postgresql`, `prometheus`,
//! `prometheus-alertmanager`, `exim4-daemon-light`, `python3`, `snmptrapd`, `snmptt`, `libnet-ip-perl`, `bsdutils`, `openssh-server`, `sudo`, `vsftpd`,
//! `curl`, `openssl` and `chromium`, and Debian's Zabbix proxy, pysnmp, playwright, and the
//! packages of `peers`; `tests/run` installs what is missing.
//! Alignak and Shinken are tested where `tests/run` finds a Python 3.6 and a Python 2.7; elsewhere their tests say that they are skipped.
//! Each test has its own ports and its own directory.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used
)]

mod alertmanager;
mod alignak;
mod amqp_intake;
mod amqp_tls;
mod api;
mod api_desk;
mod api_page;
mod api_tls;
mod broker;
mod capture;
mod certificates;
mod chaos;
mod checkins;
mod cli;
mod console;
mod correlation;
mod crash;
mod daemon;
mod debian_security;
mod devices;
mod doctor;
mod elasticsearch;
mod email;
mod explain;
mod fifos;
mod first_hour;
mod followed;
mod forward;
mod full_disk;
mod hangups;
mod history;
mod hostile;
mod hosts;
mod icinga2;
mod influxdb;
mod informs;
mod init;
mod intake;
mod intake_peers;
mod kafka;
mod kafka_secure;
mod kills;
mod limits;
mod local_syslog;
mod lookups;
mod maker;
mod many_checkins;
mod mibs;
mod migrating;
mod mqtt;
mod mute;
mod nagios;
mod nats;
mod net_snmp;
mod nsca;
mod objects;
mod orders;
mod otlp;
mod outputs;
mod own_service;
mod pages;
mod peers;
mod pipes;
mod rabbitmq;
mod readme;
mod recipes;
mod reload;
mod relp_intake;
mod senders;
mod shinken;
mod snmp_out;
mod snmptt;
mod sources;
mod storm;
mod support;
mod syslog_load;
mod syslog_peers;
mod syslog_sink;
mod syslog_tls;
mod taken;
mod tap;
mod tcp_wrappers;
mod tickets;
mod top;
mod unmatched;
mod unread;
mod usual_config;
mod v3;
mod watching;
mod web;
mod web_server;
mod zabbix;
