//! Where a server is and who logs in: a module's arguments, then what libpq's variables and password file say.

use std::path::Path;
use std::time::Duration;

use pgfleet_protocol::modules::postgresql::{ConnectionArguments, SslMode};
use pgfleet_protocol::{HostPath, Secret};

use super::client::{Client, ServerError};
use super::tls;
use crate::module::{Context, Failure};
use crate::system::{Connection, System};

/// Where distributions and PostgreSQL itself put the socket.
const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];
/// Statements may take long; that a server is gone is told by the kernel.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A way to a server.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    place: Place,
    user: String,
    database: String,
    password: Option<Secret>,
    session_role: Option<String>,
    tls: Tls,
    options: Option<String>,
    encoding: String,
    application: String,
    connect_timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Socket { folder: Option<String>, port: u16 },
    Port { host: String, port: u16 },
}

/// How the session is protected.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) mode: SslMode,
    pub(super) authorities: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// The environment of the task, and of the agent.
pub(crate) struct Variables<'a>(pub(crate) &'a Context<'a>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let own = self.0.environment.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        own.or_else(|| self.0.system.variable(name)).filter(|value| !value.is_empty())
    }
}

impl Login {
    /// Puts together what was said; `database` is the module's own idea of it.
    pub(crate) fn new(given: &ConnectionArguments, database: Option<&str>, context: &Context) -> Result<Self, Failure> {
        let variables = Variables(context);
        let mut extra = given.connect_params.clone();
        let mut param = |name: &str| extra.remove(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let user =
            param("user").or_else(|| given.login_user.clone()).or_else(|| variables.get("PGUSER")).unwrap_or_else(|| "postgres".to_owned());
        let database =
            param("dbname").or_else(|| database.and_then(text)).or_else(|| variables.get("PGDATABASE")).unwrap_or_else(|| user.clone());
        let port = match param("port").or_else(|| given.login_port.map(|port| port.to_string())).or_else(|| variables.get("PGPORT")) {
            Some(port) => port.parse().map_err(|_| Failure::new(format!("'{port}' is not a port")))?,
            None => 5432,
        };
        let socket = text(&given.login_unix_socket);
        let host = match param("host").or_else(|| text(&given.login_host)) {
            None => socket.or_else(|| variables.get("PGHOST")),
            Some(host) if host == "localhost" => socket.or(Some(host)),
            other => other,
        };
        let place = match host {
            Some(host) if !host.starts_with('/') => Place::Port { host, port },
            folder => Place::Socket { folder, port },
        };
        let password = param("password").or_else(|| given.login_password.as_ref().map(|password| password.reveal().to_owned()));
        let password = password.and_then(|password| text(&password)).or_else(|| variables.get("PGPASSWORD"));
        let password = password.or_else(|| in_password_file(&place, &database, &user, &variables)).map(Secret::new);
        let mode = match param("sslmode") {
            Some(word) => {
                <SslMode as pgfleet_protocol::Argument>::read(&word.into()).map_err(|reason| Failure::new(format!("sslmode: {reason}")))?
            }
            None => given.ssl_mode,
        };
        let path = |path: &Option<HostPath>| path.as_ref().map(|path| path.as_str().to_owned());
        let tls = Tls {
            mode,
            authorities: param("sslrootcert").or_else(|| path(&given.ca_cert)),
            certificate: param("sslcert").or_else(|| path(&given.ssl_cert)),
            key: param("sslkey").or_else(|| path(&given.ssl_key)),
        };
        let connect_timeout =
            param("connect_timeout").and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let login = Self {
            place,
            user,
            database,
            password,
            session_role: given.session_role.clone(),
            tls,
            options: param("options").or_else(|| variables.get("PGOPTIONS")),
            encoding: param("client_encoding").unwrap_or_else(|| "UTF8".to_owned()),
            application: param("application_name").unwrap_or_else(|| "pgfleet".to_owned()),
            connect_timeout,
        };
        match extra.keys().next() {
            Some(name) => Err(Failure::new(format!("connect_params: '{name}' is not supported"))),
            None => Ok(login),
        }
    }

    /// Host or socket folder, port and user, for PostgreSQL's own programs.
    pub(crate) fn place_and_user(&self) -> (Option<String>, u16, &str) {
        match &self.place {
            Place::Port { host, port } => (Some(host.clone()), *port, &self.user),
            Place::Socket { folder, port } => (folder.clone(), *port, &self.user),
        }
    }

    /// What proves who logs in.
    pub(crate) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Logs in, as the session's role where one is wished.
    pub(crate) fn open(&self, context: &Context) -> Result<Client, Failure> {
        let mut client = self.connect(context.system).map_err(|error| {
            let hint = self.hint(&error).map(|hint| format!("\n{hint}")).unwrap_or_default();
            Failure::new(format!("unable to connect to database: {}{hint}", self.told(&error)))
        })?;
        if let Some(role) = &self.session_role {
            let statement = format!("SET ROLE {}", super::identifier(role));
            client.run(&statement).map_err(|error| Failure::new(format!("Could not switch role: {error}")))?;
        }
        Ok(client)
    }

    fn connect(&self, system: &dyn System) -> Result<Client, ServerError> {
        let is_local = matches!(self.place, Place::Socket { .. });
        match self.tls.mode {
            _ if is_local => self.greet(self.reach(system)?),
            SslMode::Disable => self.greet(self.reach(system)?),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => self.greet(self.protect(system)?),
            // A server that wants TLS says so in its own way, and gets it.
            SslMode::Prefer | SslMode::Allow => match self.greet(self.reach(system)?) {
                Err(error) if error.code == "28000" && error.message.contains("no encryption") => self
                    .protect(system)
                    .and_then(|stream| self.greet(stream))
                    .map_err(|second| if second.code.is_empty() { error } else { second }),
                other => other,
            },
        }
    }

    fn greet(&self, stream: Box<dyn Connection>) -> Result<Client, ServerError> {
        let mut parameters = vec![
            ("user", self.user.as_str()),
            ("database", self.database.as_str()),
            ("application_name", self.application.as_str()),
            ("client_encoding", self.encoding.as_str()),
            ("DateStyle", "ISO"),
        ];
        parameters.extend(self.options.as_ref().map(|options| ("options", options.as_str())));
        Client::start(stream, &parameters, self.password.as_ref())
    }

    fn reach(&self, system: &dyn System) -> Result<Box<dyn Connection>, ServerError> {
        match &self.place {
            Place::Port { host, port } => {
                if let Some(timeout) = self.connect_timeout {
                    drop(system.connect(host, *port, timeout)?);
                }
                Ok(system.connect(host, *port, PATIENCE)?)
            }
            Place::Socket { .. } => Ok(system.connect_local(Path::new(&self.socket(system)), PATIENCE)?),
        }
    }

    fn protect(&self, system: &dyn System) -> Result<Box<dyn Connection>, ServerError> {
        match &self.place {
            Place::Port { host, port } => tls::connect(system, host, *port, &self.tls),
            Place::Socket { .. } => self.reach(system),
        }
    }

    fn socket(&self, system: &dyn System) -> String {
        let Place::Socket { folder, port } = &self.place else { return String::new() };
        let named = |folder: &str| format!("{folder}/.s.PGSQL.{port}");
        match folder {
            Some(folder) => named(folder),
            None => {
                let mut folders = SOCKET_FOLDERS.iter().map(|folder| named(folder));
                folders.find(|path| system.exists(Path::new(path))).unwrap_or_else(|| named(SOCKET_FOLDERS[0]))
            }
        }
    }

    fn told(&self, error: &ServerError) -> String {
        let place = match &self.place {
            Place::Port { host, port } => format!("connection to server at \"{host}\", port {port}"),
            Place::Socket { folder, port } => {
                let folder = folder.as_deref().unwrap_or(SOCKET_FOLDERS[0]);
                format!("connection to server on socket \"{folder}/.s.PGSQL.{port}\"")
            }
        };
        let severity = if error.severity.is_empty() { String::new() } else { format!("{}:  ", error.severity) };
        format!("{place} failed: {severity}{error}")
    }

    fn hint(&self, error: &ServerError) -> Option<&'static str> {
        if error.message.starts_with("Peer authentication failed") {
            return Some(
                "over the socket the server trusts the system's user of that name: say 'become: true' and 'become_user: postgres', or give login_host and login_password",
            );
        }
        match (&self.place, error.code.is_empty()) {
            (_, true) if error.message.contains("no password supplied") => {
                Some("give login_password, or PGPASSWORD in the task's environment")
            }
            (Place::Socket { .. }, true) => {
                Some("is the server running on this host, and its socket in that folder? login_unix_socket names another")
            }
            (Place::Port { .. }, true) => Some("is the server running on that host and does it accept TCP/IP connections?"),
            _ => None,
        }
    }
}

/// The password that `PGPASSFILE` or `~/.pgpass` has for this way.
fn in_password_file(place: &Place, database: &str, user: &str, variables: &Variables) -> Option<String> {
    let home = || Some(format!("{}/.pgpass", variables.get("HOME")?));
    let file = variables.get("PGPASSFILE").or_else(home)?;
    let text = variables.0.system.read_text(Path::new(&file)).ok()?;
    let (host, port) = match place {
        Place::Port { host, port } => (host.as_str(), port.to_string()),
        Place::Socket { port, .. } => ("localhost", port.to_string()),
    };
    let wish = [host, &port, database, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let fits = fields.len() == 5 && wish.iter().zip(&fields).all(|(wish, field)| field == "*" || field == wish);
        fits.then(|| fields[4].clone())
    })
}

/// The five fields of a line, with `\:` and `\\` taken back.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn lines_of_a_password_file_are_read() {
        assert_eq!(fields("*:5432:db\\:x:me:pa:ss\\\\"), ["*", "5432", "db:x", "me", "pa:ss\\"]);
    }
}
