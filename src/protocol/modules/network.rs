//! Modules that talk to services.

use std::collections::BTreeMap;

use serde_json::Value;

use super::file_attributes;
use crate::arguments::{arguments, choice};
use crate::{FileMode, HostPath, Items, Rule, Secret};

choice! {
    /// What is waited for.
    pub enum WaitState {
        /// A port that answers or a path that is there.
        Started = "started",
        /// As `started`.
        Present = "present",
        /// A port that does not answer.
        Stopped = "stopped",
        /// A path that is not there.
        Absent = "absent",
        /// A port without open connections.
        Drained = "drained",
    }
}

arguments! {
    /// Waits for a port, a path or a text; says why when it does not come.
    pub struct WaitFor = "wait_for" {
        /// Where the port is.
        host: String = "127.0.0.1".to_owned();
        /// The port.
        port: Option<u16>;
        /// The path.
        path: Option<HostPath>;
        /// Text (a Python regular expression) in the file or from the port.
        search_regex: Option<String>;
        /// What to wait for.
        state: WaitState = WaitState::Started;
        /// Seconds to wait at most.
        timeout: u64 = 300;
        /// Seconds before the first look.
        delay: u64 = 0;
        /// Seconds that one connection may take.
        connect_timeout: u64 = 5;
        /// Seconds between looks.
        sleep: u64 = 1;
        /// Which states count as open connections.
        active_connection_states: Items = ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"].map(str::to_owned).to_vec();
        /// Addresses that do not count.
        exclude_hosts: Items = Vec::new();
        /// What to say when it does not come.
        msg: Option<String>;
    }
    rules [Rule::AtMostOne(&["port", "path"])]
}

choice! {
    /// How a body is written.
    pub enum BodyFormat {
        /// As it is.
        Raw = "raw",
        /// As JSON.
        Json = "json",
        /// As a form.
        FormUrlencoded = "form-urlencoded",
    }
}

arguments! {
    /// Makes an HTTP request from the host.
    pub struct Uri = "uri" {
        /// The address.
        url: String;
        /// The method.
        method: String = "GET".to_owned();
        /// The body.
        body: Option<Value>;
        /// How the body is written.
        body_format: BodyFormat = BodyFormat::Raw;
        /// Headers.
        headers: BTreeMap<String, String> = BTreeMap::new();
        /// Which status is right.
        status_code: Vec<i64> = vec![200];
        /// Tell the answer's body.
        return_content: bool = false;
        /// `all`, `none`, `safe` or `urllib2`.
        follow_redirects: String = "safe".to_owned();
        /// Seconds.
        timeout: u64 = 30;
        /// User.
        url_username: Option<String> as ["user"];
        /// Password.
        url_password: Option<Secret> as ["password"];
        /// Send them at once.
        force_basic_auth: bool = false;
        /// Check the server's certificate.
        validate_certs: bool = true;
        /// Certificate authorities to trust.
        ca_path: Option<HostPath>;
        /// Client certificate.
        client_cert: Option<HostPath>;
        /// Its key.
        client_key: Option<HostPath>;
        /// File or folder for the answer's body.
        dest: Option<HostPath>;
        /// Skip when this path exists.
        creates: Option<String>;
        /// Skip unless this path exists.
        removes: Option<String>;
        /// Use the environment's proxy.
        use_proxy: bool = true;
        /// Who is asking.
        http_agent: String = "pgfleet".to_owned();
        /// Talk to this Unix socket.
        unix_socket: Option<HostPath>;
        /// A file of the host that is the body.
        src: Option<HostPath>;
        /// `src` is on the host.
        remote_src: bool = false;
        /// Ask for a fresh answer.
        force: bool = false;
        /// Accepted; nothing is sent compressed.
        decompress: bool = true;
        /// Accepted; no passwords are taken from files.
        use_netrc: bool = true;
        /// Accepted where it is false.
        use_gssapi: bool = false;
        /// Owner of `dest`.
        owner: Option<String>;
        /// Group of `dest`.
        group: Option<String>;
        /// Permissions of `dest`.
        mode: Option<FileMode>;
    }
    rules [Rule::AtMostOne(&["body", "src"])]
}

arguments! {
    /// Fetches a file to the host.
    pub struct GetUrl = "get_url" {
        /// The address.
        url: String;
        /// File or folder.
        dest: HostPath;
        /// `algorithm:hex` or `algorithm:url`.
        checksum: Option<String>;
        /// Fetch even when the file is there.
        force: bool = false;
        /// Keep a copy of what is replaced.
        backup: bool = false;
        /// Headers.
        headers: BTreeMap<String, String> = BTreeMap::new();
        /// Seconds.
        timeout: u64 = 10;
        /// User.
        url_username: Option<String> as ["username"];
        /// Password.
        url_password: Option<Secret> as ["password"];
        /// Send them at once.
        force_basic_auth: bool = false;
        /// Check the server's certificate.
        validate_certs: bool = true;
        /// Use the environment's proxy.
        use_proxy: bool = true;
        /// Who is asking.
        http_agent: String = "pgfleet".to_owned();
        /// Folder for the file while it comes.
        tmp_dest: Option<HostPath>;
        /// Client certificate.
        client_cert: Option<HostPath>;
        /// Its key.
        client_key: Option<HostPath>;
        /// Accepted; nothing is sent compressed.
        decompress: bool = true;
        /// Accepted; no passwords are taken from files.
        use_netrc: bool = true;
        /// Accepted where it is false.
        use_gssapi: bool = false;
        /// Owner.
        owner: Option<String>;
        /// Group.
        group: Option<String>;
        /// Permissions.
        mode: Option<FileMode>;
    }
}

file_attributes!(Uri, GetUrl);
