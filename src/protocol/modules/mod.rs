//! The arguments of every module that runs on hosts, under Ansible's names. One file a kind of thing.

pub mod account;
pub mod cluster;
pub mod command;
pub mod content;
pub mod crypto;
pub mod facts;
pub mod files;
pub mod keys;
pub mod network;
pub mod packages;
pub mod postgresql;
pub mod repositories;
pub mod search;
pub mod services;
pub mod settings;
pub mod sources;
pub mod stream;
pub mod system;

/// Gives a module's arguments their [`crate::FileAttributes`].
macro_rules! file_attributes {
    ($($type:ident),+) => {
        $( impl $type {
            /// Owner, group and mode as wished.
            #[must_use]
            pub fn attributes(&self) -> $crate::FileAttributes {
                $crate::FileAttributes { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode.clone() }
            }
        } )+
    };
}

pub(crate) use file_attributes;
