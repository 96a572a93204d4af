//! The modules that run on hosts, in one list.

use crate::modules::{
    account, cluster, command, content, crypto, facts, files, keys, network, packages, postgresql, repositories, search, services,
    settings, sources, stream, system,
};
use crate::{ArgumentProblem, Arguments, Map, ModuleSpec};

macro_rules! calls {
    ($($variant:ident($type:ty)),+ $(,)?) => {
        /// A task with its arguments rendered and typed, ready to be done.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one call lives at a time; whether it is one depends on the modules there are")]
        pub enum Call {
            $( #[doc = concat!("The module of [`", stringify!($type), "`].")] $variant($type) ),+
        }

        /// Every module that runs on a host.
        pub const MODULES: &[ModuleSpec] = &[$(<$type as Arguments>::SPEC),+];

        impl Call {
            /// Checks and converts a module's rendered arguments; `None` for a module that hosts do not know.
            #[must_use]
            pub fn read(module: &str, arguments: &Map) -> Option<Result<Self, ArgumentProblem>> {
                $( if module == <$type as Arguments>::SPEC.name {
                    return Some(<$type as Arguments>::read(arguments).map(Self::$variant));
                } )+
                None
            }
        }
    };
}

calls! {
    Alternatives(settings::Alternatives),
    Apt(packages::Apt),
    AptKey(repositories::AptKey),
    AptRepository(repositories::AptRepository),
    Assemble(files::Assemble),
    AsyncStatus(facts::AsyncStatus),
    AuthorizedKey(keys::AuthorizedKey),
    Blockinfile(content::Blockinfile),
    Command(command::Command),
    Copy(files::Copy),
    Cron(system::Cron),
    Deb822Repository(repositories::Deb822Repository),
    Debconf(settings::Debconf),
    Diagnose(cluster::Diagnose),
    Dnf(packages::Dnf),
    DpkgSelections(packages::DpkgSelections),
    Fetch(files::Fetch),
    File(files::File),
    Filesystem(settings::Filesystem),
    Find(search::Find),
    GetUrl(network::GetUrl),
    Getent(search::Getent),
    Git(sources::Git),
    Group(account::Group),
    Hostname(system::Hostname),
    IniFile(content::IniFile),
    Iptables(settings::Iptables),
    KnownHosts(keys::KnownHosts),
    Lease(cluster::Lease),
    Lineinfile(content::Lineinfile),
    LocaleGen(settings::LocaleGen),
    Modprobe(system::Modprobe),
    Mount(system::Mount),
    OpensslCsr(crypto::OpensslCsr),
    OpensslCsrPipe(crypto::OpensslCsrPipe),
    OpensslDhparam(crypto::OpensslDhparam),
    OpensslPrivatekey(crypto::OpensslPrivatekey),
    OpensslPrivatekeyInfo(crypto::OpensslPrivatekeyInfo),
    Package(packages::Package),
    PackageFacts(search::PackageFacts),
    PamLimits(settings::PamLimits),
    Ping(facts::Ping),
    Pip(sources::Pip),
    PostgresqlDb(postgresql::PostgresqlDb),
    PostgresqlExt(postgresql::PostgresqlExt),
    PostgresqlInfo(postgresql::PostgresqlInfo),
    PostgresqlMembership(postgresql::PostgresqlMembership),
    PostgresqlOwner(postgresql::PostgresqlOwner),
    PostgresqlPing(postgresql::PostgresqlPing),
    PostgresqlPrivs(postgresql::PostgresqlPrivs),
    PostgresqlQuery(postgresql::PostgresqlQuery),
    PostgresqlSchema(postgresql::PostgresqlSchema),
    PostgresqlScript(postgresql::PostgresqlScript),
    PostgresqlSet(postgresql::PostgresqlSet),
    PostgresqlSlot(postgresql::PostgresqlSlot),
    PostgresqlTablespace(postgresql::PostgresqlTablespace),
    PostgresqlUser(postgresql::PostgresqlUser),
    Probe(cluster::Probe),
    Replace(content::Replace),
    Service(services::Service),
    ServiceFacts(search::ServiceFacts),
    Setup(facts::Setup),
    Shell(command::Shell),
    Slurp(files::Slurp),
    Stat(files::Stat),
    StreamIn(stream::StreamIn),
    StreamOut(stream::StreamOut),
    Sysctl(system::Sysctl),
    Systemd(services::Systemd),
    Tempfile(search::Tempfile),
    Timezone(system::Timezone),
    Unarchive(sources::Unarchive),
    Uri(network::Uri),
    User(account::User),
    WaitFor(network::WaitFor),
    WriteProbe(cluster::WriteProbe),
    X509Certificate(crypto::X509Certificate),
    X509CertificateInfo(crypto::X509CertificateInfo),
    X509CertificatePipe(crypto::X509CertificatePipe),
    YumRepository(repositories::YumRepository),
}

/// The module of that short name.
#[must_use]
pub fn module_spec(name: &str) -> Option<&'static ModuleSpec> {
    MODULES.iter().find(|module| module.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Call, MODULES};
    use crate::{ArgumentProblem, FileMode, Map};

    fn read(module: &str, arguments: serde_json::Value) -> Result<Call, ArgumentProblem> {
        let map: Map = arguments.as_object().cloned().expect("a mapping");
        Call::read(module, &map).expect("a known module")
    }

    #[test]
    fn aliases_and_defaults_are_resolved() {
        let Ok(Call::File(file)) = read("file", json!({"dest": "/etc/x", "mode": "0640"})) else { panic!("not a file call") };
        assert_eq!(file.path.as_str(), "/etc/x");
        assert_eq!(file.mode, Some(FileMode::Octal(0o640)));
        assert!(!file.recurse);
    }

    #[test]
    fn problems_name_the_argument() {
        assert!(
            matches!(read("file", json!({"path": "/x", "stat": "directory"})), Err(ArgumentProblem::Unknown { name, .. }) if name == "stat")
        );
        assert!(matches!(read("file", json!({})), Err(ArgumentProblem::Missing { name: "path", .. })));
        assert!(matches!(read("file", json!({"path": "/x", "state": "here"})), Err(ArgumentProblem::Value { name: "state", .. })));
        assert!(matches!(read("copy", json!({"dest": "/x", "src": "a", "content": "b"})), Err(ArgumentProblem::Together { .. })));
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<_> = MODULES.iter().map(|module| module.name).collect();
        assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    }
}
