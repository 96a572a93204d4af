//! Modules that manage users and groups.

use super::content::Presence;
use crate::arguments::{arguments, choice};
use crate::{HostPath, Items, Secret};

choice! {
    /// When a password is set.
    pub enum UpdatePassword {
        /// Whenever it differs.
        Always = "always",
        /// Only when the user is made.
        OnCreate = "on_create",
    }
}

arguments! {
    /// Manages a user.
    pub struct User = "user" {
        /// The login name.
        name: String as ["user"];
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Its number.
        uid: Option<u32>;
        /// Its own group.
        group: Option<String>;
        /// Its other groups.
        groups: Option<Items>;
        /// Add to its other groups rather than replace them.
        append: bool = false;
        /// Description.
        comment: Option<String>;
        /// Home folder.
        home: Option<HostPath>;
        /// Login shell.
        shell: Option<HostPath>;
        /// Hashed password, as `/etc/shadow` has it.
        password: Option<Secret>;
        /// Lock the password.
        password_lock: Option<bool>;
        /// When the password is set.
        update_password: UpdatePassword = UpdatePassword::Always;
        /// A system account.
        system: bool = false;
        /// Make the home folder.
        create_home: bool as ["createhome"] = true;
        /// Move the old home folder's content.
        move_home: bool = false;
        /// Folder that a new home is copied from.
        skeleton: Option<HostPath>;
        /// Accept a number that is in use.
        non_unique: bool = false;
        /// Remove the home folder with the user.
        remove: bool = false;
        /// Remove even while logged in.
        force: bool = false;
        /// Make an SSH key.
        generate_ssh_key: bool = false;
        /// Its length.
        ssh_key_bits: Option<u32>;
        /// Its kind.
        ssh_key_type: String = "rsa".to_owned();
        /// Its file, relative to the home folder.
        ssh_key_file: Option<String>;
        /// Its comment.
        ssh_key_comment: Option<String>;
        /// Day on which the account ends, seconds since 1970; negative removes it.
        expires: Option<f64>;
        /// Days after which a password has to be changed.
        password_expire_max: Option<i64>;
        /// Days before which a password cannot be changed.
        password_expire_min: Option<i64>;
        /// Days of warning before a password ends.
        password_expire_warn: Option<i64>;
        /// Days after a password's end on which the account ends.
        password_expire_account_disable: Option<i64>;
        /// The least number that a new account gets.
        uid_min: Option<u32>;
        /// The greatest number that a new account gets.
        uid_max: Option<u32>;
        /// What is taken from the permissions of a new home folder.
        umask: Option<String>;
        /// The pass phrase of a new SSH key.
        ssh_key_passphrase: Option<Secret>;
        /// Accepted; accounts are those of this host.
        local: bool = false;
        /// Accepted for other operating systems' sake.
        authorization: Option<String>;
        /// Accepted for other operating systems' sake.
        hidden: Option<bool>;
        /// Accepted for other operating systems' sake.
        login_class: Option<String>;
        /// Accepted for other operating systems' sake.
        profile: Option<String>;
        /// Accepted for other operating systems' sake.
        role: Option<String>;
    }
}

arguments! {
    /// Manages a group.
    pub struct Group = "group" {
        /// The name.
        name: String;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Its number.
        gid: Option<u32>;
        /// A system group.
        system: bool = false;
        /// Accept a number that is in use.
        non_unique: bool = false;
        /// Remove even where it is a user's own group.
        force: bool = false;
        /// The least number that a new group gets.
        gid_min: Option<u32>;
        /// The greatest number that a new group gets.
        gid_max: Option<u32>;
        /// Accepted; groups are those of this host.
        local: bool = false;
    }
}
