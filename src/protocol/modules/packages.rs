//! Modules that manage packages.

use crate::Items;
use crate::arguments::{arguments, choice};
use crate::options::options;

choice! {
    /// What a package shall be.
    pub enum PackageState {
        /// Installed.
        Present = "present",
        /// Installed; the older word.
        Installed = "installed",
        /// Installed in its newest version.
        Latest = "latest",
        /// Not installed.
        Absent = "absent",
        /// Not installed; the older word.
        Removed = "removed",
        /// Installed with what it depends on in order.
        BuildDep = "build-dep",
        /// Broken dependencies mended.
        Fixed = "fixed",
    }
}

choice! {
    /// How far an upgrade goes.
    pub enum Upgrade {
        /// None.
        No = "no",
        /// Nothing removed.
        Yes = "yes",
        /// Nothing removed.
        Safe = "safe",
        /// As `apt-get dist-upgrade`.
        Full = "full",
        /// As `apt-get dist-upgrade`.
        Dist = "dist",
    }
}

arguments! {
    /// Manages packages with apt.
    pub struct Apt = "apt" {
        /// Names, with `=version` or a shell pattern where wished.
        name: Items as ["pkg", "package"] = Vec::new();
        /// What they shall be.
        state: PackageState = PackageState::Present;
        /// Fetch the package lists first.
        update_cache: bool as ["update-cache"] = false;
        /// Seconds for which fetched lists are good enough.
        cache_valid_time: u64 = 0;
        /// Times to try fetching the lists again.
        update_cache_retries: u32 = 5;
        /// A package file on the host or its URL.
        deb: Option<String>;
        /// Remove configuration files too.
        purge: bool = false;
        /// Install recommended packages.
        install_recommends: Option<bool> as ["install-recommends"];
        /// Release to take packages from.
        default_release: Option<String> as ["default-release"];
        /// Remove packages that nothing needs any more.
        autoremove: bool = false;
        /// Fail rather than remove anything.
        fail_on_autoremove: bool = false;
        /// Accepted; no Python is needed.
        auto_install_module_deps: bool = true;
        /// Accepted; apt-get sees to its own delays.
        update_cache_retry_max_delay: u32 = 12;
        /// Remove package files that cannot be fetched any more.
        autoclean: bool = false;
        /// Remove all fetched package files.
        clean: bool = false;
        /// Upgrade everything.
        upgrade: Upgrade = Upgrade::No;
        /// Options for dpkg, comma-separated.
        dpkg_options: String = "force-confdef,force-confold".to_owned();
        /// Accept unsigned packages and downgrades.
        force: bool = false;
        /// Accept unsigned packages.
        allow_unauthenticated: bool as ["allow-unauthenticated"] = false;
        /// Accept older versions.
        allow_downgrade: bool as ["allow-downgrade", "allow_downgrades", "allow-downgrades"] = false;
        /// Accept changes of held packages.
        allow_change_held_packages: bool = false;
        /// Only upgrade what is installed.
        only_upgrade: bool = false;
        /// Accepted; apt-get is always used.
        force_apt_get: bool = false;
        /// Seconds to wait for another apt.
        lock_timeout: u64 = 60;
        /// Exit code of `policy-rc.d` while installing: 101 keeps services from starting.
        policy_rc_d: Option<i64>;
    }
}

arguments! {
    /// Manages packages with the host's own package manager.
    pub struct Package = "package" {
        /// Names.
        name: Items as ["pkg"];
        /// What they shall be.
        state: PackageState = PackageState::Present;
        /// Which manager; `auto` finds it.
        r#use: String = "auto".to_owned();
        /// Fetch the package lists first.
        update_cache: bool = false;
        /// Seconds for which fetched lists are good enough.
        cache_valid_time: u64 = 0;
        /// Accept unsigned packages; dnf only.
        disable_gpg_check: bool = false;
        /// Package sources to leave out; dnf only.
        disablerepo: Items = Vec::new();
        /// Package sources to take too; dnf only.
        enablerepo: Items = Vec::new();
    }
}

choice! {
    /// What dpkg shall do with a package when asked to upgrade.
    pub enum Selection {
        /// Install it.
        Install = "install",
        /// Keep it as it is.
        Hold = "hold",
        /// Remove it.
        Deinstall = "deinstall",
        /// Remove it and its configuration.
        Purge = "purge",
    }
}

arguments! {
    /// Manages dpkg's selections, holds above all.
    pub struct DpkgSelections = "dpkg_selections" {
        /// The package.
        name: String;
        /// The selection.
        selection: Selection;
    }
}

options! {
    /// Manages packages with dnf.
    pub struct Dnf = "dnf" {
        List => "name" as "pkg";
        Choice(&["absent", "present", "installed", "removed", "latest"]) => "state";
        Bool => "allow_downgrade", "allowerasing", "autoremove", "best", "bugfix", "cacheonly", "disable_gpg_check", "download_only", "install_repoquery", "install_weak_deps", "nobest", "security", "skip_broken", "sslverify", "update_cache" as "expire-cache", "update_only", "validate_certs";
        List => "disable_plugin", "disablerepo", "enable_plugin", "enablerepo", "exclude";
        Text => "conf_file", "disable_excludes", "download_dir", "installroot", "list", "releasever", "use_backend" as "use";
        Int => "lock_timeout";
    }
    needs []
}
