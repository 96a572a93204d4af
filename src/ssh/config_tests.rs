//! Tables for this module's parent.
