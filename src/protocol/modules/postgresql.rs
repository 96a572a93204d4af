//! Modules that speak to a PostgreSQL server, under the names of `community.postgresql`.

use serde_json::Value;

use super::content::Presence;
use crate::arguments::{arguments, choice};
use crate::{HostPath, Items, Map, Rule, Secret};

choice! {
    /// How a session is protected, in libpq's words.
    pub enum SslMode {
        /// Not, unless the server insists.
        Allow = "allow",
        /// Not.
        Disable = "disable",
        /// Not, unless the server insists.
        Prefer = "prefer",
        /// By TLS, with whomever.
        Require = "require",
        /// By TLS, with a certificate of a known authority.
        VerifyCa = "verify-ca",
        /// The same, made out for that host.
        VerifyFull = "verify-full",
    }
}

/// Where the server is and who logs in, as all these modules take it.
#[derive(Clone, Debug)]
pub struct ConnectionArguments {
    /// Who logs in.
    pub login_user: Option<String>,
    /// With what.
    pub login_password: Option<Secret>,
    /// The server's host; none for the socket.
    pub login_host: String,
    /// The folder of the server's socket.
    pub login_unix_socket: String,
    /// The server's port.
    pub login_port: Option<i64>,
    /// How the session is protected.
    pub ssl_mode: SslMode,
    /// Authorities to trust.
    pub ca_cert: Option<HostPath>,
    /// A certificate to log in with.
    pub ssl_cert: Option<HostPath>,
    /// Its key.
    pub ssl_key: Option<HostPath>,
    /// More of libpq's parameters; these count first.
    pub connect_params: Map,
    /// The role to act as.
    pub session_role: Option<String>,
    /// Take all names as they are.
    pub trust_input: bool,
}

/// [`arguments!`] with those of a connection behind the module's own.
macro_rules! on_server {
    (
        $(#[doc = $module_doc:literal])+
        pub struct $type:ident = $module:literal { $($own:tt)* }
        $(rules [$($rules:tt)+])?
    ) => {
        arguments! {
            $(#[doc = $module_doc])+
            pub struct $type = $module {
                $($own)*
                /// Who logs in; `postgres` unless `PGUSER` says otherwise.
                login_user: Option<String> as ["login"];
                /// The password to log in with.
                login_password: Option<Secret>;
                /// The server's host; without one the server's socket on this host is taken.
                login_host: String as ["host"] = String::new();
                /// The folder of the server's socket.
                login_unix_socket: String as ["unix_socket"] = String::new();
                /// The server's port; 5432 unless `PGPORT` says otherwise.
                login_port: Option<i64> as ["port"];
                /// How the session is protected.
                ssl_mode: SslMode = SslMode::Prefer;
                /// Certificate authorities to trust.
                ca_cert: Option<HostPath> as ["ssl_rootcert"];
                /// A certificate to log in with.
                ssl_cert: Option<HostPath>;
                /// Its key.
                ssl_key: Option<HostPath>;
                /// More of libpq's parameters; these count first.
                connect_params: Map = Map::new();
                /// The role to act as.
                session_role: Option<String>;
                /// Take names and values as they are; false refuses those that look like more than that.
                trust_input: bool = true;
            }
            $(rules [$($rules)+])?
        }

        impl $type {
            /// Where the server is and who logs in.
            #[must_use]
            pub fn connection(&self) -> ConnectionArguments {
                ConnectionArguments {
                    login_user: self.login_user.clone(),
                    login_password: self.login_password.clone(),
                    login_host: self.login_host.clone(),
                    login_unix_socket: self.login_unix_socket.clone(),
                    login_port: self.login_port,
                    ssl_mode: self.ssl_mode,
                    ca_cert: self.ca_cert.clone(),
                    ssl_cert: self.ssl_cert.clone(),
                    ssl_key: self.ssl_key.clone(),
                    connect_params: self.connect_params.clone(),
                    session_role: self.session_role.clone(),
                    trust_input: self.trust_input,
                }
            }
        }
    };
}

on_server! {
    /// Runs statements.
    pub struct PostgresqlQuery = "postgresql_query" {
        /// A statement, or a list of them.
        query: Option<Value>;
        /// Values for `%s`.
        positional_args: Option<Value>;
        /// Values for `%(name)s`.
        named_args: Option<Map>;
        /// The database.
        login_db: Option<String> as ["db"];
        /// Each statement on its own rather than all or none.
        autocommit: bool = false;
        /// The session's encoding.
        encoding: Option<String>;
        /// Schemas to look in.
        search_path: Items = Vec::new();
    }
    rules [Rule::AtMostOne(&["positional_args", "named_args"])]
}

on_server! {
    /// Runs a file of statements.
    pub struct PostgresqlScript = "postgresql_script" {
        /// The file, on the host.
        path: HostPath;
        /// Values for `%s`.
        positional_args: Option<Value>;
        /// Values for `%(name)s`.
        named_args: Option<Map>;
        /// The database.
        login_db: Option<String> as ["db"];
        /// The session's encoding.
        encoding: Option<String>;
        /// Schemas to look in.
        search_path: Items = Vec::new();
    }
    rules [Rule::AtMostOne(&["positional_args", "named_args"])]
}

on_server! {
    /// Manages a role.
    pub struct PostgresqlUser = "postgresql_user" {
        /// Its name.
        name: String as ["user"];
        /// Its password, or a verifier as the server keeps it; empty for none.
        password: Option<Secret>;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// The database to log in to.
        login_db: String as ["db"] = String::new();
        /// Fail when it cannot be removed.
        fail_on_user: bool as ["fail_on_role"] = true;
        /// `CREATEDB,NOLOGIN` ...
        role_attr_flags: String = String::new();
        /// Keep the password hashed.
        encrypted: bool = true;
        /// Leave the password of a role that is there.
        no_password_changes: bool = false;
        /// When the password ends.
        expires: Option<String>;
        /// Most sessions at a time.
        conn_limit: Option<i64>;
        /// What the role is for.
        comment: Option<String>;
        /// Settings of its sessions.
        configuration: Map = Map::new();
        /// Reset settings that are not named.
        reset_unspecified_configuration: bool = false;
        /// Put settings in quotes.
        quote_configuration_values: bool = true;
    }
}

choice! {
    /// What shall be of a database.
    pub enum DatabaseState {
        /// Not there.
        Absent = "absent",
        /// Written to a file.
        Dump = "dump",
        /// There.
        Present = "present",
        /// Called otherwise.
        Rename = "rename",
        /// Read from a file.
        Restore = "restore",
    }
}

on_server! {
    /// Manages a database.
    pub struct PostgresqlDb = "postgresql_db" {
        /// Its name.
        name: String as ["db"];
        /// Whose it is.
        owner: String = String::new();
        /// What it is made from.
        template: String = String::new();
        /// Its encoding.
        encoding: String = String::new();
        /// How texts are sorted.
        lc_collate: String = String::new();
        /// What characters are.
        lc_ctype: String = String::new();
        /// ICU's locale.
        icu_locale: String = String::new();
        /// `libc`, `icu`.
        locale_provider: String = String::new();
        /// What shall be.
        state: DatabaseState = DatabaseState::Present;
        /// The file of a dump, or the new name.
        target: String = String::new();
        /// Options for the program that dumps or restores.
        target_opts: String = String::new();
        /// More options for `pg_dump`.
        dump_extra_args: Option<String>;
        /// The database to log in to.
        maintenance_db: String = "postgres".to_owned();
        /// Most sessions at a time.
        conn_limit: Option<String>;
        /// Where its files are.
        tablespace: String = String::new();
        /// End its sessions before it goes.
        force: bool = false;
        /// What it is for.
        comment: Option<String>;
    }
}

on_server! {
    /// Manages an extension.
    pub struct PostgresqlExt = "postgresql_ext" {
        /// Its name.
        name: String as ["ext"];
        /// The database.
        login_db: String as ["db"];
        /// Where its objects go.
        schema: Option<String>;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// With what it needs, or what needs it.
        cascade: bool = false;
        /// Its version, or `latest`.
        version: Option<String>;
        /// What it is for.
        comment: Option<String>;
    }
}

on_server! {
    /// Manages a schema.
    pub struct PostgresqlSchema = "postgresql_schema" {
        /// Its name.
        name: String as ["schema"];
        /// Whose it is.
        owner: String = String::new();
        /// The database.
        login_db: String as ["db", "database"] = "postgres".to_owned();
        /// Remove what is in it too.
        cascade_drop: bool = false;
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// What it is for.
        comment: Option<String>;
    }
}

choice! {
    /// What shall be of memberships.
    pub enum MembershipState {
        /// None of these.
        Absent = "absent",
        /// These and no others.
        Exact = "exact",
        /// These.
        Present = "present",
    }
}

on_server! {
    /// Manages which roles are members of which.
    pub struct PostgresqlMembership = "postgresql_membership" {
        /// Roles to be a member of.
        groups: Items as ["group", "source_role", "source_roles"];
        /// The members.
        target_roles: Items as ["target_role", "user", "users"];
        /// Fail where a role is missing.
        fail_on_role: bool = true;
        /// What shall be.
        state: MembershipState = MembershipState::Present;
        /// The database to log in to.
        login_db: Option<String> as ["db"];
    }
}

choice! {
    /// What privileges are on.
    pub enum PrivilegeType {
        /// Tables, views, foreign tables.
        Table = "table",
        /// Sequences.
        Sequence = "sequence",
        /// Functions.
        Function = "function",
        /// Procedures.
        Procedure = "procedure",
        /// Databases.
        Database = "database",
        /// Schemas.
        Schema = "schema",
        /// Languages.
        Language = "language",
        /// Tablespaces.
        Tablespace = "tablespace",
        /// Memberships.
        Group = "group",
        /// What later objects get.
        DefaultPrivs = "default_privs",
        /// Foreign data wrappers.
        ForeignDataWrapper = "foreign_data_wrapper",
        /// Foreign servers.
        ForeignServer = "foreign_server",
        /// Types.
        Type = "type",
        /// Settings of the server.
        Parameter = "parameter",
    }
}

on_server! {
    /// Manages privileges.
    pub struct PostgresqlPrivs = "postgresql_privs" {
        /// The database.
        login_db: String as ["db", "database"];
        /// Granted or not.
        state: Presence = Presence::Present;
        /// `SELECT,INSERT` ...
        privs: Option<String> as ["priv"];
        /// What they are on.
        r#type: PrivilegeType = PrivilegeType::Table;
        /// Names, with commas between them, or `ALL_IN_SCHEMA`.
        objs: Option<String> as ["obj"];
        /// Where the objects are.
        schema: Option<String>;
        /// Who gets them.
        roles: String as ["role"];
        /// Fail where a role is missing.
        fail_on_role: bool = true;
        /// Whose later objects are meant.
        target_roles: Option<String>;
        /// May they be passed on?
        grant_option: Option<bool> as ["admin_option"];
    }
}

on_server! {
    /// Says whether a server answers.
    pub struct PostgresqlPing = "postgresql_ping" {
        /// The database.
        login_db: Option<String> as ["db"];
    }
}

on_server! {
    /// Tells of a server.
    pub struct PostgresqlInfo = "postgresql_info" {
        /// The database.
        login_db: Option<String> as ["db"];
        /// What is wanted: `version`, `databases`, `!settings` ...
        filter: Items = Vec::new();
    }
}

on_server! {
    /// Manages who owns an object.
    pub struct PostgresqlOwner = "postgresql_owner" {
        /// Whose it shall be.
        new_owner: String;
        /// Its name.
        obj_name: Option<String>;
        /// What it is.
        obj_type: Option<String> as ["type"];
        /// All that these own instead.
        reassign_owned_by: Option<Items>;
        /// Fail where a role is missing.
        fail_on_role: Option<bool>;
        /// The database.
        login_db: Option<String> as ["db"];
    }
    rules [Rule::AtMostOne(&["obj_name", "reassign_owned_by"]), Rule::AtMostOne(&["obj_type", "reassign_owned_by"]), Rule::AtLeastOne(&["obj_name", "reassign_owned_by"])]
}

on_server! {
    /// Manages a setting of the server.
    pub struct PostgresqlSet = "postgresql_set" {
        /// Its name.
        name: String;
        /// Its value, or `default`.
        value: Option<String>;
        /// Back to what it is without us.
        reset: bool = false;
        /// The database to log in to.
        login_db: Option<String> as ["db"];
    }
}

choice! {
    /// The kind of a slot.
    pub enum SlotType {
        /// For standbys.
        Physical = "physical",
        /// For decoded changes.
        Logical = "logical",
    }
}

on_server! {
    /// Manages a replication slot.
    pub struct PostgresqlSlot = "postgresql_slot" {
        /// Its name.
        name: String as ["slot_name"];
        /// Its kind.
        slot_type: SlotType = SlotType::Physical;
        /// Keep the log from now on.
        immediately_reserve: bool = false;
        /// What decodes.
        output_plugin: String = "test_decoding".to_owned();
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// The database.
        login_db: Option<String> as ["db"];
    }
}

on_server! {
    /// Manages a tablespace.
    pub struct PostgresqlTablespace = "postgresql_tablespace" {
        /// Its name.
        name: String as ["tablespace"];
        /// Shall it be there?
        state: Presence = Presence::Present;
        /// Its folder.
        location: Option<HostPath> as ["path"];
        /// Whose it is.
        owner: Option<String>;
        /// Its options; `reset` takes one away.
        set: Option<Map>;
        /// What it is for.
        comment: Option<String>;
        /// The database to log in to.
        login_db: Option<String> as ["db"];
    }
}
