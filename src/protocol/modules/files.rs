//! Modules that manage, send and fetch files.

use super::file_attributes;
use crate::arguments::{arguments, choice};
use crate::{FileMode, HostPath, Rule};

choice! {
    /// What a path shall be.
    pub enum FileState {
        /// Nothing at all.
        Absent = "absent",
        /// A directory, with its parents.
        Directory = "directory",
        /// As it is, but there.
        File = "file",
        /// A hard link.
        Hard = "hard",
        /// A symbolic link.
        Link = "link",
        /// A file, made empty if missing.
        Touch = "touch",
    }
}

arguments! {
    /// Manages files, directories and links, and their attributes.
    pub struct File = "file" {
        /// The path.
        path: HostPath as ["dest", "name"];
        /// What it shall be.
        state: Option<FileState>;
        /// Where a link points.
        src: Option<String>;
        /// Set the attributes of everything below too.
        recurse: bool = false;
        /// Make links over existing files, and to targets that are not there.
        force: bool = false;
        /// Follow links when setting attributes.
        follow: bool = true;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
        /// Time of last change: `preserve`, `now` or `YYYYMMDDHHMM.SS`.
        modification_time: Option<String>;
        /// Time of last access: as `modification_time`.
        access_time: Option<String>;
        /// How `modification_time` is written.
        modification_time_format: String = "%Y%m%d%H%M.%S".to_owned();
        /// How `access_time` is written.
        access_time_format: String = "%Y%m%d%H%M.%S".to_owned();
    }
}

arguments! {
    /// Makes one file of the files of a folder, in the order of their names.
    pub struct Assemble = "assemble" {
        /// The folder: of the host, or of the controller without `remote_src`.
        src: HostPath;
        /// The file to make.
        dest: HostPath;
        /// `src` is on the host.
        remote_src: bool = true;
        /// Stands between the fragments.
        delimiter: Option<String>;
        /// Python regular expression: only files whose name has it.
        regexp: Option<String>;
        /// Leave out files whose name begins with a dot.
        ignore_hidden: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Command that must accept the new file, `%s` in it.
        validate: Option<String>;
        /// Open what a vault holds, on the controller.
        decrypt: bool = true;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

arguments! {
    /// Writes a file: text, a file of the controller, or a file of the host.
    pub struct Copy = "copy" {
        /// Where to.
        dest: HostPath;
        /// The content itself.
        content: Option<String>;
        /// A file: of the controller, or of the host with `remote_src`.
        src: Option<String>;
        /// `src` is on the host.
        remote_src: bool = false;
        /// Replace a file that differs.
        force: bool = true;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Command that must accept the new file, `%s` in it.
        validate: Option<String>;
        /// Follow a link at `dest`.
        follow: bool = false;
        /// SHA-1 of the content, checked before it is used.
        checksum: Option<String>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
        /// Permissions of directories that are made.
        directory_mode: Option<FileMode>;
        /// Follow links of the controller.
        local_follow: bool = true;
        /// Unseal a sealed file on the controller.
        decrypt: bool = true;
        /// Set by the controller: SHA-256 of content that it sends when asked.
        _sha256: Option<String>;
        /// Set by the controller: that content's length in bytes.
        _size: Option<u64>;
        /// Set by the controller: the sending file's permissions, for `mode: preserve`.
        _mode: Option<u32>;
        /// Set by the controller: name that the file gets in a `dest` that is a directory.
        _basename: Option<String>;
    }
    rules [Rule::AtMostOne(&["content", "src"])]
}

arguments! {
    /// Tells what is at a path.
    pub struct Stat = "stat" {
        /// The path.
        path: HostPath as ["dest", "name"];
        /// Follow a link.
        follow: bool = false;
        /// Tell the content's checksum.
        get_checksum: bool = true;
        /// Which checksum: md5, sha1, sha224, sha256, sha384, sha512.
        checksum_algorithm: String as ["checksum", "checksum_algo"] = "sha1".to_owned();
        /// Tell the content's type.
        get_mime: bool as ["mime", "mime_type", "mime-type"] = true;
        /// Tell the attributes of `lsattr`.
        get_attributes: bool as ["attr", "attributes"] = true;
    }
}

arguments! {
    /// Reads a file of the host, as base64.
    pub struct Slurp = "slurp" {
        /// The file.
        src: HostPath as ["path"];
    }
}

arguments! {
    /// Brings a file of the host to the controller.
    pub struct Fetch = "fetch" {
        /// The host's file.
        src: HostPath;
        /// Where to, on the controller.
        dest: String;
        /// Put the file right at `dest`, not below a folder a host.
        flat: bool = false;
        /// Fail when the file is missing.
        fail_on_missing: bool = true;
        /// Check what came against the host's checksum.
        validate_checksum: bool = true;
        /// Set by the controller: SHA-256 of what it has already.
        _sha256: Option<String>;
    }
}

file_attributes!(Assemble, File, Copy);
