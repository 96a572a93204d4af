//! Modules that say whom SSH trusts.

use super::content::Presence;
use crate::HostPath;
use crate::arguments::arguments;

arguments! {
    /// Manages the keys with which people log in as a user.
    pub struct AuthorizedKey = "authorized_key" {
        /// The user.
        user: String;
        /// The keys, one a line, or their address.
        key: String;
        /// The file, where it is not the user's own.
        path: Option<HostPath>;
        /// Make the folder of the file and see to its permissions.
        manage_dir: bool = true;
        /// Shall they be there?
        state: Presence = Presence::Present;
        /// Options before the key, comma-separated.
        key_options: Option<String>;
        /// Remove all other keys.
        exclusive: bool = false;
        /// Check the server's certificate.
        validate_certs: bool = true;
        /// Text after the key, instead of its own.
        comment: Option<String>;
        /// Follow a link at the file's place.
        follow: bool = false;
    }
}

arguments! {
    /// Manages the keys by which hosts are known.
    pub struct KnownHosts = "known_hosts" {
        /// The host, `[host]:port` where the port is not 22.
        name: String as ["host"];
        /// The line: names, kind and key.
        key: Option<String>;
        /// The file.
        path: HostPath = HostPath::from("~/.ssh/known_hosts");
        /// Write the name so that nobody can read it.
        hash_host: bool = false;
        /// Shall it be there?
        state: Presence = Presence::Present;
    }
}
