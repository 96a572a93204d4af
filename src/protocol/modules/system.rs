//! Modules that manage the operating system's settings.

use super::content::Presence;
use crate::arguments::{arguments, choice};
use crate::{HostPath, Rule};

arguments! {
    /// Manages a kernel parameter.
    pub struct Sysctl = "sysctl" {
        /// The parameter.
        name: String as ["key"];
        /// Its value.
        value: Option<String> as ["val"];
        /// Shall the file have it?
        state: Presence = Presence::Present;
        /// Load the file when it changed.
        reload: bool = true;
        /// Set the running kernel's value too.
        sysctl_set: bool = false;
        /// The file.
        sysctl_file: HostPath = HostPath::from("/etc/sysctl.conf");
        /// Accept that the kernel does not know it.
        ignoreerrors: bool = false;
    }
}

arguments! {
    /// Sets the host's name.
    pub struct Hostname = "hostname" {
        /// The name.
        name: String;
        /// Which way; `systemd` and `debian` are known.
        r#use: Option<String>;
    }
}

arguments! {
    /// Manages a line or variable of a crontab.
    pub struct Cron = "cron" {
        /// Its name, kept as a comment above it.
        name: String;
        /// The command.
        job: Option<String> as ["value"];
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Whose crontab.
        user: Option<String>;
        /// A file of `/etc/cron.d`, or a path.
        cron_file: Option<String>;
        /// 0-59, `*`, `*/2`.
        minute: String = "*".to_owned();
        /// 0-23, `*`, `*/2`.
        hour: String = "*".to_owned();
        /// 1-31, `*`, `*/2`.
        day: String as ["dom"] = "*".to_owned();
        /// 1-12, `*`, `*/2`.
        month: String = "*".to_owned();
        /// 0-6, `*`, `*/2`.
        weekday: String as ["dow"] = "*".to_owned();
        /// `reboot`, `daily` ... instead of times.
        special_time: Option<String>;
        /// Keep the line, commented out.
        disabled: bool = false;
        /// Manage a variable instead.
        env: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Put a new variable after this one.
        insertafter: Option<String>;
        /// Put a new variable before this one.
        insertbefore: Option<String>;
    }
    rules [Rule::AtMostOne(&["insertafter", "insertbefore"])]
}

choice! {
    /// What a mount shall be.
    pub enum MountState {
        /// In fstab and mounted.
        Mounted = "mounted",
        /// Not mounted; fstab stays.
        Unmounted = "unmounted",
        /// In fstab; what is mounted stays.
        Present = "present",
        /// Not in fstab and not mounted; the folder goes.
        Absent = "absent",
        /// Mounted now, not in fstab.
        Ephemeral = "ephemeral",
        /// Mounted again.
        Remounted = "remounted",
        /// Not in fstab; what is mounted stays.
        AbsentFromFstab = "absent_from_fstab",
    }
}

arguments! {
    /// Manages mounts and fstab.
    pub struct Mount = "mount" {
        /// Where.
        path: HostPath as ["name"];
        /// What shall be.
        state: MountState;
        /// The device.
        src: Option<String>;
        /// The kind of file system.
        fstype: Option<String>;
        /// Options.
        opts: Option<String>;
        /// fstab's fifth column.
        dump: String = "0".to_owned();
        /// fstab's sixth column.
        passno: String = "0".to_owned();
        /// Mount at boot.
        boot: bool = true;
        /// The file.
        fstab: HostPath = HostPath::from("/etc/fstab");
        /// Keep a copy of what is replaced.
        backup: bool = false;
    }
}

arguments! {
    /// Sets the host's time zone.
    pub struct Timezone = "timezone" {
        /// The zone, `Europe/Berlin`.
        name: Option<String>;
        /// What the hardware clock keeps: `UTC` or `local`.
        hwclock: Option<String> as ["rtc"];
    }
    rules [Rule::AtLeastOne(&["name", "hwclock"])]
}

choice! {
    /// Whether a kernel module is loaded at boot.
    pub enum Persistence {
        /// Left as it is.
        Disabled = "disabled",
        /// It is.
        Present = "present",
        /// It is not.
        Absent = "absent",
    }
}

arguments! {
    /// Loads and unloads kernel modules.
    pub struct Modprobe = "modprobe" {
        /// The module.
        name: String;
        /// Shall it be loaded?
        state: Presence = Presence::Present;
        /// Its parameters.
        params: String = String::new();
        /// Shall it be loaded at boot?
        persistent: Persistence = Persistence::Disabled;
    }
}
