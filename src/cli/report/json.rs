//! One event a line, as JSON.

use pgfleet_engine::Event;
use pgfleet_template::wide;

use super::Reporter;
use crate::screen;

/// The events as they are.
pub(super) struct Json;

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        if let Ok(line) = wide::to_text(event, wide::Layout::Line) {
            screen::line(&line);
        }
    }
}
