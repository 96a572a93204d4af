//! A lab of its own, booted for real: what it promises about faults, snapshots and leaving nothing behind.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use pgfleet_lab::{Cut, Direction, GuestStatus, Lab, LabError, Settings, Slowness, Step, default_cache_dir};

const NAME: &str = "labtest";
const SUBNET: &str = "172.28.8.0/24";

fn quiet(_: Step) {}

fn settings(state: &Path) -> Settings {
    Settings {
        name: NAME.parse().unwrap(),
        subnet: SUBNET.parse().unwrap(),
        suite: "trixie".parse().unwrap(),
        state_dir: state.to_owned(),
        cache_dir: default_cache_dir(),
        inventory_dir: None,
    }
}

/// Takes the lab down however the test ends.
struct Cleanup<'a>(&'a Lab);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        let _ = self.0.down(&quiet);
    }
}

fn on(lab: &Lab, host: &str, command: &str) -> Output {
    let words = lab.ssh_command(host, &[command.to_owned()]).unwrap();
    Command::new(&words[0]).args(["-o", "BatchMode=yes"]).args(&words[1..]).output().unwrap()
}

fn said(lab: &Lab, host: &str, command: &str) -> String {
    let output = on(lab, host, command);
    assert!(output.status.success(), "{command} on {host}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn reaches(lab: &Lab, from: &str, to: &str) -> bool {
    on(lab, from, &format!("ping -c 1 -W 1 {to}")).status.success()
}

fn status(lab: &Lab, host: &str) -> GuestStatus {
    lab.status().unwrap().into_iter().find(|guest| guest.name == host).unwrap()
}

fn output(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}

/// Everything of this lab that this machine shows.
fn traces() -> Vec<String> {
    let files = |folder: &str| -> String {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| format!("{}\n", entry.path().display())).collect()
    };
    let looks = [
        output("ip", &["-o", "link"]),
        output("ip", &["route"]),
        output("nft", &["list", "tables"]),
        output("ps", &["-eo", "pid,args"]),
        output("cat", &["/proc/self/mounts"]),
        files("/sys/fs/cgroup"),
        files("/sys/fs/cgroup/systemd"),
        files("/sys/fs/cgroup/memory"),
        files("/run/pgfleet-lab"),
        files("/run/systemd/nspawn"),
        files("/run/systemd/nspawn/propagate"),
        files("/run/systemd/nspawn/locks"),
    ];
    let ours = |line: &&str| line.contains("labtest") || line.contains("172.28.8.");
    let test_itself = |line: &&str| line.contains("--ignored") || line.contains("cargo") || line.contains("deps/lab-");
    looks.iter().flat_map(|look| look.lines()).filter(ours).filter(|line| !test_itself(line)).map(str::to_owned).collect()
}

#[test]
fn a_lab_lives_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let lab = Lab::new(settings(&state)).unwrap();
    assert!(matches!(lab.kill(&["controller"]), Err(LabError::NotUp { .. })));
    let cleanup = Cleanup(&lab);
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();

    let steps = RefCell::new(Vec::new());
    let up = lab.up(&|step| steps.borrow_mut().push(step)).unwrap();
    assert_eq!((up.hosts.len(), up.booted.len()), (4, 4));
    assert!(steps.borrow().iter().any(|step| matches!(step, Step::Done(what, _) if what.contains("booting"))));
    for host in &up.hosts {
        let guest = status(&lab, &host.name);
        assert!(guest.running && guest.ssh && guest.cable && guest.pid.is_some(), "{guest:?}");
        assert_eq!(said(&lab, &host.name, "hostname -f; systemctl is-system-running"), format!("{}\nrunning", host.name));
    }
    let text = std::fs::read_to_string(up.inventory.join("hosts.yml")).unwrap();
    assert!(text.contains("ansible_host: 172.28.8.21"), "{text}");

    stays_up(&lab);
    refuses(&state, &lab);
    parts_and_heals(&lab);
    crashes_and_starts(&lab);
    reboots(&lab);
    snaps_and_reverts(&lab);

    lab.down(&quiet).unwrap();
    assert_eq!(traces(), Vec::<String>::new());
    assert!(!state.exists());
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), forwarding);
    lab.down(&quiet).unwrap();
    assert!(lab.status().unwrap().is_empty());
    drop(cleanup);
}

fn stays_up(lab: &Lab) {
    let before = lab.status().unwrap();
    let again = lab.up(&quiet).unwrap();
    assert!(again.booted.is_empty());
    assert_eq!(lab.status().unwrap(), before);
}

fn refuses(state: &Path, lab: &Lab) {
    let other = |change: fn(&mut Settings), state: &Path| {
        let mut settings = settings(state);
        change(&mut settings);
        Lab::new(settings).unwrap().up(&quiet).unwrap_err()
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let same_name = |settings: &mut Settings| settings.subnet = "172.28.9.0/24".parse().unwrap();
    assert!(matches!(other(same_name, state), LabError::Differs { what: "subnet", .. }));
    let error = other(same_name, &elsewhere.path().join("a"));
    assert!(matches!(error, LabError::NameInUse { .. }), "{error}");
    let error = other(|settings| settings.name = "labt2".parse().unwrap(), &elsewhere.path().join("b"));
    assert!(error.to_string().contains("interface pgf-labtest"), "{error}");
    assert!(matches!(lab.partition("nobody", &Cut::Cable), Err(LabError::UnknownHost { .. })));
    assert!(matches!(lab.revert("never", &quiet), Err(LabError::NoSnapshot { .. })));
}

fn parts_and_heals(lab: &Lab) {
    let (one, two, builder) = ("app-server-1.lan", "app-server-2.lan", "builder.lan");
    lab.partition(one, &Cut::Cable).unwrap();
    let guest = status(lab, one);
    assert!(guest.running && !guest.cable && !guest.ssh, "{guest:?}");
    assert!(!reaches(lab, two, "172.28.8.20"));
    lab.heal(Some(one)).unwrap();
    assert!(reaches(lab, two, "172.28.8.20"));

    let cut = |direction| Cut::Peers { peers: vec![two.to_owned()], direction };
    lab.partition(one, &cut(Direction::Both)).unwrap();
    assert_eq!(status(lab, one).cut_from, [two]);
    assert!(!reaches(lab, one, "172.28.8.21") && !reaches(lab, two, "172.28.8.20"));
    assert!(reaches(lab, one, "172.28.8.30") && reaches(lab, two, "172.28.8.30"));
    lab.heal(None).unwrap();
    assert!(reaches(lab, one, "172.28.8.21"));

    // One way: what app-server-1 sends is lost, what it is sent arrives.
    lab.partition(one, &cut(Direction::Sending)).unwrap();
    let received = "cat /sys/class/net/host0/statistics/rx_packets";
    let before: u64 = said(lab, one, received).parse().unwrap();
    assert!(!on(lab, two, "ping -f -c 300 -w 3 172.28.8.20").status.success());
    let after: u64 = said(lab, one, received).parse().unwrap();
    assert!(after >= before + 150, "{before} {after}");
    lab.heal(Some(two)).unwrap();
    assert!(reaches(lab, two, "172.28.8.20"));

    let load = "dd if=/dev/zero bs=64k count=16 2>/dev/null";
    let time = |command: &str| {
        let began = Instant::now();
        said(lab, builder, command);
        began.elapsed()
    };
    let good = time(load);
    lab.slow(builder, Some(&Slowness { rate: Some("4mbit".into()), delay: None })).unwrap();
    let slow = time(load);
    // One MiB at four Mbit/s takes two seconds, less what fits into buffers.
    assert!(slow > good + Duration::from_secs(1), "{good:?} {slow:?}");
    lab.slow(builder, None).unwrap();
    assert!(time(load) < slow);
    let bad = Slowness { rate: Some("fast".into()), delay: None };
    assert!(matches!(lab.slow(builder, Some(&bad)), Err(LabError::BadValue { .. })));
}

fn crashes_and_starts(lab: &Lab) {
    let one = "app-server-1.lan";
    said(lab, one, "echo kept > /root/mark; sync");
    lab.kill(&[one]).unwrap();
    let guest = status(lab, one);
    assert!(!guest.running && guest.pid.is_none(), "{guest:?}");
    assert!(status(lab, "builder.lan").ssh);
    assert!(matches!(lab.partition(one, &Cut::Cable), Err(LabError::NotRunning { .. })));
    lab.kill(&[one]).unwrap();
    lab.start(&[one], &quiet).unwrap();
    assert_eq!(said(lab, one, "cat /root/mark"), "kept");
    lab.power_cut().unwrap();
    assert!(lab.status().unwrap().iter().all(|guest| !guest.running));
    assert_eq!(lab.up(&quiet).unwrap().booted.len(), 4);
    assert_eq!(said(lab, one, "cat /root/mark"), "kept");
}

fn reboots(lab: &Lab) {
    let one = "app-server-1.lan";
    let before = status(lab, one).pid;
    on(lab, one, "systemctl reboot");
    let until = Instant::now() + Duration::from_secs(60);
    while !matches!(status(lab, one), GuestStatus { ssh: true, pid, .. } if pid != before) {
        assert!(Instant::now() < until, "{:?}", status(lab, one));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(said(lab, one, "systemctl is-system-running --wait; cat /root/mark"), "running\nkept");
}

fn snaps_and_reverts(lab: &Lab) {
    let two = "app-server-2.lan";
    said(lab, two, "echo first > /root/mark; touch /root/gone");
    lab.snapshot("first", &quiet).unwrap();
    assert!(matches!(lab.snapshot("first", &quiet), Err(LabError::SnapshotExists { .. })));
    assert_eq!(said(lab, two, "cat /root/mark"), "first");
    said(lab, two, "echo second > /root/mark; rm /root/gone");
    lab.snapshot("second", &quiet).unwrap();
    said(lab, two, "echo third > /root/mark");
    lab.revert("first", &quiet).unwrap();
    assert_eq!(said(lab, two, "cat /root/mark; ls /root/gone"), "first\n/root/gone");
    lab.revert("second", &quiet).unwrap();
    assert_eq!(said(lab, two, "cat /root/mark; test -e /root/gone || echo none"), "second\nnone");
    assert_eq!(lab.snapshots().unwrap(), ["first", "second"]);
}
