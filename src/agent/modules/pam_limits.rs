//! `pam_limits`: a limit that users have, in the file that logins read.

use pgfleet_protocol::FileAttributes;
use pgfleet_protocol::modules::settings::PamLimits;

use crate::module::{Context, Failure, Planned};
use crate::text_file::TextFile;

const ITEMS: &[&str] = &[
    "core",
    "data",
    "fsize",
    "memlock",
    "nofile",
    "rss",
    "stack",
    "cpu",
    "nproc",
    "as",
    "maxlogins",
    "maxsyslogins",
    "priority",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "chroot",
];

pub(crate) fn plan(arguments: &PamLimits, context: &Context) -> Planned {
    if !matches!(arguments.limit_type.as_str(), "hard" | "soft" | "-") {
        return Err(Failure::new(format!("limit_type must be hard, soft or -, not '{}'", arguments.limit_type)));
    }
    if !ITEMS.contains(&arguments.limit_item.as_str()) {
        return Err(Failure::new(format!("limit_item '{}' is not known", arguments.limit_item)));
    }
    let wished = number(&arguments.value)
        .ok_or_else(|| Failure::new("Argument 'value' can be one of 'unlimited', 'infinity', '-1' or positive number."))?;
    let file = TextFile::read(context, arguments.dest.as_str(), false)?;
    if file.before.is_none() {
        return Err(Failure::new(format!("{} is not there", file.path.display())));
    }
    let comment = if arguments.comment.is_empty() { String::new() } else { format!("\t#{}", arguments.comment) };
    let line = |value: &str| format!("{}\t{}\t{}\t{value}{comment}\n", arguments.domain, arguments.limit_type, arguments.limit_item);
    let (mut after, mut is_there, mut end) = (String::new(), false, String::new());
    let mut told = line(&arguments.value);
    for found in file.text().split_inclusive('\n') {
        if found.starts_with("# End of file") {
            end.push_str(found);
            continue;
        }
        let fields: Vec<&str> = found.split('#').next().unwrap_or_default().split_whitespace().collect();
        let [domain, kind, item, value] = fields[..] else {
            after.push_str(found);
            continue;
        };
        if (domain, kind, item) != (arguments.domain.as_str(), arguments.limit_type.as_str(), arguments.limit_item.as_str()) {
            after.push_str(found);
            continue;
        }
        // A line that is there twice counts once.
        if std::mem::replace(&mut is_there, true) {
            continue;
        }
        let now = number(value).unwrap_or(i64::MAX);
        let keeps = arguments.use_min && now < wished || arguments.use_max && now > wished;
        let value = if keeps { value } else { &arguments.value };
        told = line(value);
        let is_same = fields[3] == value && (comment.is_empty() || found.trim_end().ends_with(comment.trim_start()));
        after.push_str(if is_same { found } else { &told });
    }
    if !is_there {
        if !after.is_empty() && !after.ends_with('\n') {
            after.push('\n');
        }
        after.push_str(&told);
    }
    after.push_str(&end);
    file.replaced(after).said(told).with_options(arguments.backup, None, FileAttributes::default()).plan(context)
}

/// No limit is more than any.
fn number(text: &str) -> Option<i64> {
    match text {
        "unlimited" | "infinity" | "-1" => Some(i64::MAX),
        other => other.parse().ok(),
    }
}
