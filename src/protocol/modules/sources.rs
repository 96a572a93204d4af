//! Modules that bring programs and data from elsewhere: archives, git, pip.

use crate::arguments::arguments;
use crate::options::options;
use crate::{FileMode, HostPath, Items, Rule};

arguments! {
    /// Unpacks an archive: of the controller, of the host with `remote_src`, or of an address with it.
    pub struct Unarchive = "unarchive" {
        /// The archive.
        src: String;
        /// The folder to unpack it in; it must be there.
        dest: HostPath;
        /// `src` is on the host, or an address that the host fetches.
        remote_src: bool = false;
        /// The older opposite of `remote_src`.
        copy: bool = true;
        /// Do nothing when this path exists.
        creates: Option<String>;
        /// Only these files.
        include: Items = Vec::new();
        /// Not these files.
        exclude: Items = Vec::new();
        /// More options for tar or unzip.
        extra_opts: Items = Vec::new();
        /// Do not replace newer files.
        keep_newer: bool = false;
        /// Tell the names of all files.
        list_files: bool = false;
        /// Check the server's certificate.
        validate_certs: bool = true;
        /// Unseal a sealed archive on the controller.
        decrypt: bool = true;
        /// Accepted; buffers are of one size.
        io_buffer_size: Option<u64>;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
        /// Set by the controller: that it sends the archive when asked.
        _sha256: Option<String>;
        /// Set by the controller: the archive's length in bytes.
        _size: Option<u64>;
    }
}

super::file_attributes!(Unarchive);

options! {
    /// Checks out a repository with the host's git.
    pub struct Git = "git" {
        Text => "repo" as "name", "version", "remote", "refspec", "reference", "ssh_opts", "umask", "archive_prefix";
        Path => "dest", "archive", "executable", "key_file", "separate_git_dir";
        Int => "depth";
        Bool => "accept_hostkey", "accept_newhostkey", "bare", "clone", "force", "recursive", "single_branch", "track_submodules", "update", "verify_commit";
        List => "gpg_allowlist" as "gpg_whitelist";
    }
    needs ["repo", "dest"]
    rules [Rule::AtMostOne(&["accept_hostkey", "accept_newhostkey"])]
}

options! {
    /// Installs Python packages with the host's pip.
    pub struct Pip = "pip" {
        List => "name";
        Text => "version", "requirements", "extra_args", "umask", "virtualenv_python";
        Choice(&["absent", "forcereinstall", "latest", "present"]) => "state";
        Path => "chdir", "executable", "virtualenv", "virtualenv_command";
        Bool => "break_system_packages", "editable", "virtualenv_site_packages";
    }
    needs []
    rules [
        Rule::AtLeastOne(&["name", "requirements", "virtualenv"]),
        Rule::AtMostOne(&["name", "requirements"]),
        Rule::AtMostOne(&["executable", "virtualenv"])
    ]
}
