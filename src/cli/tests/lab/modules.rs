//! Every module on a real host: a check that changes nothing, a run that does, a second run with nothing to do.

use std::fs;

use crate::rig::Rig;

pub(crate) fn tour(rig: &Rig) {
    let folder = rig.project().join("tour");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [
        ("tour.yml", include_str!("tour/tour.yml")),
        ("end.yml", include_str!("tour/end.yml")),
        ("greeting.j2", include_str!("tour/greeting.j2")),
    ] {
        fs::write(folder.join(name), text).expect("a file");
    }
    let inventory = rig.inventory();
    let play = |name: &str, arguments: &[&str]| {
        let path = folder.join(name).display().to_string();
        rig.pgfleet(&[&["playbook", &path, "-i", &inventory, "-o", "json"], arguments].concat())
    };
    let traces = "ls -d /etc/tour* /root/tour* /opt/tour* 2>/dev/null; getent passwd tour; getent group tourers; dpkg-query -W -f '${db:Status-Abbrev}' bc 2>/dev/null; true";
    let before = rig.said("builder.lan", traces);
    let checked = play("tour.yml", &["--check", "--diff"]).expect(0);
    assert_eq!(rig.said("builder.lan", traces), before, "a check leaves nothing");
    let applied = play("tour.yml", &["--diff"]).expect(0);
    let count = |ran: &crate::rig::Ran| ran.recap("changed").iter().map(|(_, changed)| changed).sum::<i64>();
    assert!(count(&checked) >= 15 && count(&applied) >= count(&checked), "check {}, run {}", count(&checked), count(&applied));
    assert_eq!(rig.said("builder.lan", "cat /etc/tour.conf"), "# kept\nname = builder.lan\nport = 5432\nlast = line");
    assert_eq!(rig.said("builder.lan", "systemctl is-active tour; systemctl is-enabled tour"), "active\nenabled");
    assert!(folder.join("fetched").is_file(), "fetch brings a file");
    play("tour.yml", &[]).expect(0).expect_unchanged();
    play("end.yml", &[]).expect(0);
    assert_eq!(rig.said("builder.lan", traces), before);
}
