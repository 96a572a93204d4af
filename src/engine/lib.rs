//! Runs plays on hosts: strategy, conditions, handlers, events. Knows no SSH, no screen.
