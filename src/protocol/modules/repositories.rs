//! Modules that tell package managers where packages come from.

use super::content::Presence;
use crate::arguments::arguments;
use crate::options::options;
use crate::{FileMode, HostPath, Rule};

arguments! {
    /// Manages a one-line package source of apt.
    pub struct AptRepository = "apt_repository" {
        /// The source: `deb [options] address suite components`.
        repo: String;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// The file's name below `sources.list.d`, without `.list`.
        filename: Option<String>;
        /// Fetch the package lists after a change.
        update_cache: bool as ["update-cache"] = true;
        /// Times to try fetching the lists again.
        update_cache_retries: u32 = 5;
        /// Accepted; apt-get sees to its own delays.
        update_cache_retry_max_delay: u32 = 12;
        /// Accepted; nothing is fetched from launchpad.
        validate_certs: bool = true;
        /// Accepted; no Python is needed.
        install_python_apt: bool = true;
        /// Accepted; only `ppa:` sources would need it.
        codename: Option<String>;
        /// Permissions of the file.
        mode: Option<FileMode>;
    }
}

arguments! {
    /// Manages a key that apt trusts.
    pub struct AptKey = "apt_key" {
        /// The key's number.
        id: Option<String>;
        /// The key itself.
        data: Option<String>;
        /// A file of the host with the key.
        file: Option<HostPath>;
        /// Where to fetch the key.
        url: Option<String>;
        /// A server that knows keys by their numbers.
        keyserver: Option<String>;
        /// The file of keys.
        keyring: Option<HostPath>;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Check the server's certificate.
        validate_certs: bool = true;
    }
    rules [Rule::AtMostOne(&["data", "file", "keyserver", "url"])]
}

options! {
    /// Manages a package source of apt in its newer form.
    pub struct Deb822Repository = "deb822_repository" {
        Text => "name";
        Choice(&["absent", "present"]) => "state";
        Bool => "allow_downgrade_to_insecure", "allow_insecure", "allow_weak", "by_hash", "check_date", "check_valid_until", "enabled", "pdiffs", "trusted";
        Int => "date_max_future";
        List => "architectures", "components", "languages", "suites", "targets", "types", "uris";
        Text => "inrelease_path", "signed_by";
        Mode => "mode";
        Bool => "install_python_debian";
    }
    needs ["name"]
}

options! {
    /// Manages a package source of dnf.
    pub struct YumRepository = "yum_repository" {
        Text => "name", "file", "description";
        Choice(&["absent", "present"]) => "state";
        Path => "reposdir";
        List => "baseurl", "gpgkey", "exclude" as "excludepkgs", "includepkgs";
        Bool => "async", "countme", "enabled", "enablegroups", "gpgcheck", "keepalive", "module_hotfixes", "protect", "repo_gpgcheck", "s3_enabled", "skip_if_unavailable", "ssl_check_cert_permissions", "sslverify" as "validate_certs";
        Text => "bandwidth", "cost", "deltarpm_metadata_percentage", "deltarpm_percentage", "failovermethod", "gpgcakey", "http_caching", "include", "ip_resolve", "keepcache", "metadata_expire", "metadata_expire_filter", "metalink", "mirrorlist", "mirrorlist_expire", "password", "priority", "proxy", "proxy_password", "proxy_username", "retries", "sslcacert" as "ca_cert", "sslclientcert" as "client_cert", "sslclientkey" as "client_key", "throttle", "timeout", "ui_repoid_vars", "username";
        Text => "owner", "group";
        Mode => "mode";
    }
    needs ["name"]
}

impl AptRepository {
    /// Permissions as wished.
    #[must_use]
    pub fn attributes(&self) -> crate::FileAttributes {
        crate::FileAttributes { mode: self.mode.clone(), ..Default::default() }
    }
}
