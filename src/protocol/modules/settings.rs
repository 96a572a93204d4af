//! Modules that manage what Linux keeps of languages, limits, choices, packets and disks.

use super::content::Presence;
use crate::arguments::{arguments, choice};
use crate::options::options;
use crate::{HostPath, Items, Rule};

arguments! {
    /// Makes locales.
    pub struct LocaleGen = "locale_gen" {
        /// The locales, `en_US.UTF-8`.
        name: Items;
        /// Shall they be there?
        state: Presence = Presence::Present;
    }
}

arguments! {
    /// Manages a limit that users have.
    pub struct PamLimits = "pam_limits" {
        /// Who: a user, `@group`, or `*`.
        domain: String;
        /// `hard`, `soft` or `-`.
        limit_type: String;
        /// What is limited.
        limit_item: String;
        /// The limit: a number, `unlimited`, `infinity` or `-1`.
        value: String;
        /// Keep a lower limit that is there.
        use_min: bool = false;
        /// Keep a higher limit that is there.
        use_max: bool = false;
        /// A comment after the limit.
        comment: String = String::new();
        /// The file.
        dest: HostPath = HostPath::from("/etc/security/limits.conf");
        /// Keep a copy of what is replaced.
        backup: bool = false;
    }
    rules [Rule::AtMostOne(&["use_min", "use_max"])]
}

choice! {
    /// What an alternative shall be.
    pub enum AlternativeState {
        /// Known, and chosen.
        Selected = "selected",
        /// Known.
        Present = "present",
        /// The one that is chosen by itself.
        Auto = "auto",
        /// Not known.
        Absent = "absent",
    }
}

arguments! {
    /// Chooses one of several programs for a name.
    pub struct Alternatives = "alternatives" {
        /// The name.
        name: String;
        /// The program.
        path: HostPath;
        /// The link to it.
        link: Option<HostPath>;
        /// Its priority.
        priority: i64 = 50;
        /// What it shall be.
        state: AlternativeState = AlternativeState::Selected;
    }
}

arguments! {
    /// Answers a question of a package before it asks.
    pub struct Debconf = "debconf" {
        /// The package.
        name: String as ["pkg"];
        /// The question.
        question: Option<String> as ["selection", "setting"];
        /// The kind of answer.
        vtype: Option<String>;
        /// The answer.
        value: Option<String> as ["answer"];
        /// The question counts as not asked.
        unseen: bool = false;
    }
    rules [Rule::Together(&["question", "vtype", "value"])]
}

arguments! {
    /// Makes a file system.
    pub struct Filesystem = "filesystem" {
        /// The device.
        dev: HostPath as ["device"];
        /// The kind of file system.
        fstype: Option<String> as ["type"];
        /// Options for its program.
        opts: Option<String>;
        /// Shall there be one?
        state: Presence = Presence::Present;
        /// Replace another one.
        force: bool = false;
    }
}

options! {
    /// Manages a rule of the kernel's packet filter.
    pub struct Iptables = "iptables" {
        Choice(&["append", "insert"]) => "action";
        Choice(&["filter", "nat", "mangle", "raw", "security"]) => "table";
        Choice(&["ipv4", "ipv6", "both"]) => "ip_version";
        Choice(&["absent", "present"]) => "state";
        Choice(&["ACCEPT", "DROP", "QUEUE", "RETURN"]) => "policy";
        Choice(&["ignore", "match", "negate"]) => "syn";
        Text => "chain", "comment", "destination", "destination_port", "dst_range", "fragment", "gateway", "gid_owner", "goto", "icmp_type", "in_interface", "jump", "limit", "limit_burst", "log_level", "log_prefix", "match_set", "match_set_flags", "out_interface", "protocol", "reject_with", "rule_num", "set_counters", "set_dscp_mark", "set_dscp_mark_class", "source", "source_port", "src_range", "to_destination", "to_ports", "to_source", "uid_owner", "wait";
        List => "ctstate", "destination_ports", "match";
        Map => "tcp_flags";
        Bool => "chain_management", "flush", "numeric";
    }
    needs []
    rules [Rule::AtMostOne(&["set_dscp_mark", "set_dscp_mark_class"]), Rule::AtMostOne(&["flush", "policy"])]
}
