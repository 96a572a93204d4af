//! Times of change and access as `file` takes them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use pgfleet_protocol::modules::files::File;

use crate::module::{Failure, WithContext};
use crate::moment::Moment;
use crate::system::{Metadata, System, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Preserve,
    Now,
    At(Time),
}

/// Both times as wished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    modification: Wish,
    access: Wish,
}

impl Times {
    pub(super) fn read(arguments: &File, default: &str) -> Result<Self, Failure> {
        for format in [&arguments.modification_time_format, &arguments.access_time_format] {
            if format != "%Y%m%d%H%M.%S" {
                return Err(Failure::new(format!("times written as '{format}' are not supported; write %Y%m%d%H%M.%S")));
            }
        }
        let read = |text: &Option<String>| Wish::read(text.as_deref().unwrap_or(default));
        Ok(Self { modification: read(&arguments.modification_time)?, access: read(&arguments.access_time)? })
    }

    pub(super) fn are_met(self, found: &Metadata) -> bool {
        self.modification.is_met(found.mtime) && self.access.is_met(found.atime)
    }

    pub(super) fn apply(self, system: &dyn System, path: &Path) -> Result<(), Failure> {
        if self.modification == Wish::Preserve && self.access == Wish::Preserve {
            return Ok(());
        }
        let set = system.set_times(path, self.access.value(system), self.modification.value(system));
        set.context(format_args!("Error while updating times of {}", path.display()))
    }
}

impl Wish {
    fn read(text: &str) -> Result<Self, Failure> {
        match text {
            "preserve" => Ok(Self::Preserve),
            "now" => Ok(Self::Now),
            other => stamp(other)
                .map(Self::At)
                .ok_or_else(|| Failure::new(format!("'{other}' is no time; write preserve, now or YYYYMMDDHHMM.SS, as 202601312359.00"))),
        }
    }

    fn is_met(self, found: Time) -> bool {
        match self {
            Self::Preserve => true,
            Self::Now => false,
            Self::At(time) => time == found,
        }
    }

    fn value(self, system: &dyn System) -> Option<Time> {
        match self {
            Self::Preserve => None,
            Self::At(time) => Some(time),
            Self::Now => {
                let passed = system.now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Some(Time { seconds: passed.as_secs().cast_signed(), nanoseconds: passed.subsec_nanos() })
            }
        }
    }
}

/// Reads `YYYYMMDDHHMM.SS`, in UTC.
fn stamp(text: &str) -> Option<Time> {
    let (minutes, seconds) = text.split_once('.')?;
    if minutes.len() != 12 || seconds.len() != 2 || !(minutes.bytes().chain(seconds.bytes())).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| minutes[from..from + 2].parse::<u8>().ok();
    let (month, day, hour, minute) = (part(4)?, part(6)?, part(8)?, part(10)?);
    let second = seconds.parse().ok()?;
    let moment = Moment { year: minutes[..4].parse().ok()?, month, day, hour, minute, second };
    let seconds = moment.seconds();
    // A day that the calendar does not have comes back as another one.
    (Moment::at(seconds) == moment).then_some(Time { seconds, nanoseconds: 0 })
}
