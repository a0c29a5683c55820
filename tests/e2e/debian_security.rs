//! Debian's sshd, sudo, su, useradd and its kin, and vsftpd, as they are, log to the daemon as the system's syslog daemon: what they say
//! of logins and rights is read. tcpd is in `tcp_wrappers`.

use std::collections::BTreeSet;
use std::process::Command;

use nix::unistd::Uid;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{PATIENCE, port, run, wait_until};

const RULES: &str = "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
    output = \"{{ program }} {{ action }}|{{ user }}|{{ target_user }}|{{ client_address }}|{{ detail }}\"\n";

/// In namespaces of its own, with a copy of /etc, with empty /run, and with a /dev whose log is the daemon's: `bash -c SCRIPT bash FOLDER SSH-PORT
/// FTP-PORT`.
const SCRIPT: &str = r#"
set -e
d=$1 ssh=$2 ftp=$3
cp -a /etc $d/etc
mount --bind $d/etc /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/vsftpd/empty /run/lock /run/sudo
mkdir $d/dev
mount -t tmpfs tmpfs $d/dev
for n in null zero full random urandom tty; do touch $d/dev/$n; mount --bind /dev/$n $d/dev/$n; done
mkdir $d/dev/pts
mount --bind /dev/pts $d/dev/pts
ln -s /proc/self/fd $d/dev/fd
ln -s pts/ptmx $d/dev/ptmx
ln -s $d/log.sock $d/dev/log
mount --rbind $d/dev /dev
ssh-keygen -q -t ed25519 -N '' -f $d/host
ssh-keygen -q -t ed25519 -N '' -f $d/key
cat > $d/sshd_config <<C
Port $ssh
ListenAddress 127.0.0.1
HostKey $d/host
PidFile none
AuthorizedKeysFile $d/key.pub
StrictModes no
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxAuthTries 2
DenyUsers games
C
/usr/sbin/sshd -D -f $d/sshd_config &
cat > $d/vsftpd.conf <<C
listen=YES
listen_port=$ftp
listen_address=127.0.0.1
local_enable=YES
syslog_enable=YES
xferlog_enable=YES
background=NO
secure_chroot_dir=/run/vsftpd/empty
C
/usr/sbin/vsftpd $d/vsftpd.conf &
printf '#!/bin/sh\necho wrong\n' > $d/ask
chmod +x $d/ask
for p in $ssh $ftp; do until (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null; do sleep 0.1; done; done
o="-F none -p $ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=$d/known"
typed="$o -o PubkeyAuthentication=no"
export SSH_ASKPASS=$d/ask SSH_ASKPASS_REQUIRE=force
ssh $o -i $d/key root@127.0.0.1 true
ssh $typed root@127.0.0.1 true || true
ssh $typed "eve from 198.51.100.9 port 1@127.0.0.1" true || true
ssh $typed games@127.0.0.1 true || true
(exec 3<>/dev/tcp/127.0.0.1/$ssh; echo hello >&3; cat <&3 >/dev/null) || true
sudo -u nobody true
su -s /bin/sh nobody -c 'echo wrong | su root' || true
useradd -M eve
usermod -a -G sudo eve
userdel eve
python3 - $ftp <<'P'
import ftplib, sys
client = ftplib.FTP()
client.connect('127.0.0.1', int(sys.argv[1]))
try:
    client.login('bob', 'wrong')
except ftplib.error_perm:
    pass
P
"#;

/// What the programs say, in the order of the script: the program and the action, the user, as whom, from where, and details.
const EXPECTED: [&str; 15] = [
    "sshd accepted|root||127.0.0.1|",
    "sshd disconnected|root||127.0.0.1|",
    "sshd failed|root||127.0.0.1|",
    "sshd limited|root||127.0.0.1|",
    "sshd failed|eve from 198.51.100.9 port 1||127.0.0.1|",
    "sshd limited|eve from 198.51.100.9 port 1||127.0.0.1|",
    "sshd denied|games||127.0.0.1|",
    "sshd failed|||127.0.0.1|",
    "sudo elevated|root|nobody||",
    "su elevated|root|nobody||",
    "su failed|nobody|root||",
    "useradd created|eve|||",
    "usermod changed|eve|||",
    "userdel deleted|eve|||",
    "vsftpd failed|bob||127.0.0.1|",
];

/// Check 18 of docs/syslog.md.
#[test]
fn what_programs_of_debian_say_of_logins_and_rights_is_read() {
    if !Uid::effective().is_root() {
        crate::support::skipped("no root, which sshd and su need to take other users; run the tests as root");
        return;
    }
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let tcp = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
    let local = format!("\"unix://{}\"", daemon.path("log.sock").display());
    std::fs::write(&path, text.replace(&tcp, &format!("{tcp}, {local}"))).unwrap();
    daemon.restart();
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", &PATIENCE.as_secs().to_string()]);
    // Whatever the script leaves running ends with it.
    command.args([
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        SCRIPT,
        "bash",
    ]);
    command.arg(daemon.dir.path()).arg(port().to_string()).arg(port().to_string());
    run(&mut command);
    let mut missing = EXPECTED.to_vec();
    let mut said = BTreeSet::new();
    wait_until("all of it is read", || {
        let outcomes = daemon.outcomes("out.jsonl");
        said = outcomes.iter().map(|outcome| outcome["output"].as_str().unwrap().to_owned()).collect();
        missing.retain(|expected| !said.iter().any(|line| line.starts_with(expected)));
        println!("missing: {missing:?}");
        missing.is_empty()
    });
    // The address within a name is nobody's.
    assert!(said.iter().all(|line| !line.contains("|198.51.100.9|")), "{said:?}");
    daemon.stop();
}
