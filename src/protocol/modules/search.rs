//! Modules that look for things, or make a place for them.

use crate::arguments::{arguments, choice};
use crate::{FileMode, HostPath, Items};

choice! {
    /// What a search looks for.
    pub enum Sought {
        /// Anything.
        Any = "any",
        /// Directories.
        Directory = "directory",
        /// Regular files.
        File = "file",
        /// Symbolic links.
        Link = "link",
    }
}

choice! {
    /// Which of a file's times counts.
    pub enum Stamp {
        /// Last access.
        Access = "atime",
        /// Last change of the inode.
        Inode = "ctime",
        /// Last change of content.
        Content = "mtime",
    }
}

arguments! {
    /// Finds files by name, age, size and content.
    pub struct Find = "find" {
        /// Folders to look in.
        paths: Items as ["name", "path"];
        /// Shell patterns, or Python regular expressions, for names.
        patterns: Items as ["pattern"] = Vec::new();
        /// The same for names that do not count.
        excludes: Option<Items> as ["exclude"];
        /// Patterns are regular expressions.
        use_regex: bool = false;
        /// What to find.
        file_type: Sought = Sought::File;
        /// Look in folders below too.
        recurse: bool = false;
        /// How far below.
        depth: Option<i64>;
        /// Names that begin with a dot count.
        hidden: bool = false;
        /// Follow links to folders.
        follow: bool = false;
        /// Older than this (`2d`), or younger where it is negative.
        age: Option<String>;
        /// By which time.
        age_stamp: Stamp = Stamp::Content;
        /// At least this big (`1m`), or at most where it is negative.
        size: Option<String>;
        /// Python regular expression for a line of the content.
        contains: Option<String>;
        /// The expression is for the content as a whole.
        read_whole_file: bool = false;
        /// Accepted; files are read as UTF-8.
        encoding: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
        /// Just these permissions, not at least these.
        exact_mode: bool = true;
        /// Tell checksums.
        get_checksum: bool = false;
        /// Which checksum: md5, sha1, sha224, sha256, sha384, sha512.
        checksum_algorithm: String as ["checksum", "checksum_algo"] = "sha1".to_owned();
        /// The most to find.
        limit: Option<u64>;
    }
}

choice! {
    /// What is made for a time.
    pub enum TempState {
        /// A directory.
        Directory = "directory",
        /// A file.
        File = "file",
    }
}

arguments! {
    /// Makes a file or directory with a name that nobody has.
    pub struct Tempfile = "tempfile" {
        /// What to make.
        state: TempState = TempState::File;
        /// Where.
        path: Option<HostPath>;
        /// How its name begins.
        prefix: String = "ansible.".to_owned();
        /// How its name ends.
        suffix: String = String::new();
    }
}

arguments! {
    /// Asks the host's databases: users, groups, hosts and others.
    pub struct Getent = "getent" {
        /// The database.
        database: String;
        /// What to look up; everything otherwise.
        key: Option<String>;
        /// Fail when it is not there.
        fail_key: bool = true;
        /// Where the answer is split.
        split: Option<String>;
        /// Which service to ask.
        service: Option<String>;
    }
}

arguments! {
    /// Tells which packages are installed.
    pub struct PackageFacts = "package_facts" {
        /// Package managers to ask: `auto`, `apt` and `rpm` are known.
        manager: Items = vec!["auto".to_owned()];
        /// `first` or `all` of them.
        strategy: String = "first".to_owned();
    }
}

arguments! {
    /// Tells which services there are and what they do.
    pub struct ServiceFacts = "service_facts" {
    }
}
