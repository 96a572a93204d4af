//! Modules that change a part of a text file.

use super::file_attributes;
use crate::arguments::{arguments, choice};
use crate::{FileMode, HostPath, Rule};

choice! {
    /// Whether a thing shall be there.
    pub enum Presence {
        /// It shall.
        Present = "present",
        /// It shall not.
        Absent = "absent",
    }
}

arguments! {
    /// Manages one line of a text file.
    pub struct Lineinfile = "lineinfile" {
        /// The file.
        path: HostPath as ["dest", "destfile", "name"];
        /// The line.
        line: Option<String> as ["value"];
        /// Python regular expression for the line to replace or remove.
        regexp: Option<String> as ["regex"];
        /// Literal text in the line to replace or remove.
        search_string: Option<String>;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Expand `\1` in `line` from the match.
        backrefs: bool = false;
        /// Put a new line after the last match of this expression, or `EOF`.
        insertafter: Option<String>;
        /// Put a new line before the last match of this expression, or `BOF`.
        insertbefore: Option<String>;
        /// The first match counts for `insertafter` and `insertbefore`.
        firstmatch: bool = false;
        /// Make the file when it is missing.
        create: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Command that must accept the new file, `%s` in it.
        validate: Option<String>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
        /// Accepted; files are always replaced atomically.
        unsafe_writes: bool = false;
    }
    rules [Rule::AtMostOne(&["insertafter", "insertbefore"]), Rule::AtMostOne(&["regexp", "search_string"]), Rule::AtMostOne(&["backrefs", "search_string"])]
}

arguments! {
    /// Manages a marked block of lines in a text file.
    pub struct Blockinfile = "blockinfile" {
        /// The file.
        path: HostPath as ["dest", "destfile", "name"];
        /// The lines; empty removes the block.
        block: String as ["content"] = String::new();
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// The marker lines, with `{mark}` in it.
        marker: String = "# {mark} ANSIBLE MANAGED BLOCK".to_owned();
        /// What `{mark}` is at the beginning.
        marker_begin: String = "BEGIN".to_owned();
        /// What `{mark}` is at the end.
        marker_end: String = "END".to_owned();
        /// Put a new block after the last match of this expression, or `EOF`.
        insertafter: Option<String>;
        /// Put a new block before the last match of this expression, or `BOF`.
        insertbefore: Option<String>;
        /// Make the file when it is missing.
        create: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Command that must accept the new file, `%s` in it.
        validate: Option<String>;
        /// An empty line before the block.
        prepend_newline: bool = false;
        /// An empty line after the block.
        append_newline: bool = false;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
    rules [Rule::AtMostOne(&["insertafter", "insertbefore"])]
}

arguments! {
    /// Replaces all matches of a Python regular expression in a file.
    pub struct Replace = "replace" {
        /// The file.
        path: HostPath as ["dest", "destfile", "name"];
        /// What to find.
        regexp: String;
        /// What to put there; `\1` and `\g<name>` are expanded.
        replace: String = String::new();
        /// How the file's letters are written; `utf-8` is known.
        encoding: String = "utf-8".to_owned();
        /// Only after the first match of this expression.
        after: Option<String>;
        /// Only before the first match of this expression.
        before: Option<String>;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Command that must accept the new file, `%s` in it.
        validate: Option<String>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

arguments! {
    /// Manages one option of an INI file.
    pub struct IniFile = "ini_file" {
        /// The file.
        path: HostPath as ["dest"];
        /// The section; the file's beginning without one.
        section: Option<String>;
        /// The option; without one, the section as a whole.
        option: Option<String>;
        /// Its value.
        value: Option<String>;
        /// Its values, for an option that is there several times.
        values: Option<Vec<String>>;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// No other values of the option stay.
        exclusive: bool = true;
        /// Write `option=value`.
        no_extra_spaces: bool = false;
        /// Spaces around `=` are no difference.
        ignore_spaces: bool = false;
        /// An option may have no value.
        allow_no_value: bool = false;
        /// A commented-out option is replaced.
        modify_inactive_option: bool = true;
        /// Make the file when it is missing.
        create: bool = true;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Follow a link at the file's place.
        follow: bool = false;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
    rules [Rule::AtMostOne(&["value", "values"])]
}

file_attributes!(Lineinfile, Blockinfile, Replace, IniFile);
