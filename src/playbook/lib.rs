//! Plays, tasks, blocks and handlers as read, each with its place in the file.
