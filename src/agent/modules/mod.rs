//! All modules, and which call goes to which.

use pgfleet_protocol::Call;

use crate::module::{Context, Planned};

mod alternatives;
mod apt;
mod apt_key;
mod apt_repository;
mod assemble;
mod async_status;
mod authorized_key;
mod blockinfile;
pub(crate) mod command;
mod copy;
mod cron;
mod crypto;
mod deb822_repository;
mod debconf;
mod diagnose;
mod dnf;
mod dpkg_selections;
mod fetch;
mod file;
mod filesystem;
mod find;
mod get_url;
mod getent;
mod git;
mod group;
mod hostname;
mod ini_file;
mod iptables;
mod known_hosts;
mod lease;
mod lineinfile;
mod locale_gen;
mod modprobe;
mod mount;
mod package;
mod package_facts;
mod pam_limits;
mod ping;
mod pip;
mod postgresql;
pub(crate) mod probe;
mod replace;
mod service;
mod service_facts;
mod setup;
mod shell;
mod slurp;
mod stat;
mod stream;
mod sysctl;
mod systemd;
mod tempfile;
mod timezone;
mod unarchive;
mod uri;
mod user;
mod wait_for;
mod write_probe;
mod yum_repository;

/// Lets the call's module look at the host and say what is to be done.
pub(crate) fn plan(call: &Call, context: &Context) -> Planned {
    match call {
        Call::Alternatives(arguments) => alternatives::plan(arguments, context),
        Call::Apt(arguments) => apt::plan(arguments, context),
        Call::AptKey(arguments) => apt_key::plan(arguments, context),
        Call::AptRepository(arguments) => apt_repository::plan(arguments, context),
        Call::Assemble(arguments) => assemble::plan(arguments, context),
        Call::AsyncStatus(arguments) => async_status::plan(arguments, context),
        Call::AuthorizedKey(arguments) => authorized_key::plan(arguments, context),
        Call::Blockinfile(arguments) => blockinfile::plan(arguments, context),
        Call::Command(arguments) => command::plan(arguments, context),
        Call::Copy(arguments) => copy::plan(arguments, context),
        Call::Cron(arguments) => cron::plan(arguments, context),
        Call::Deb822Repository(arguments) => deb822_repository::plan(arguments, context),
        Call::Debconf(arguments) => debconf::plan(arguments, context),
        Call::Diagnose(arguments) => diagnose::plan(arguments, context),
        Call::Dnf(arguments) => dnf::plan(arguments, context),
        Call::DpkgSelections(arguments) => dpkg_selections::plan(arguments, context),
        Call::Fetch(arguments) => fetch::plan(arguments, context),
        Call::File(arguments) => file::plan(arguments, context),
        Call::Filesystem(arguments) => filesystem::plan(arguments, context),
        Call::Find(arguments) => find::plan(arguments, context),
        Call::GetUrl(arguments) => get_url::plan(arguments, context),
        Call::Getent(arguments) => getent::plan(arguments, context),
        Call::Git(arguments) => git::plan(arguments, context),
        Call::Group(arguments) => group::plan(arguments, context),
        Call::Hostname(arguments) => hostname::plan(arguments, context),
        Call::IniFile(arguments) => ini_file::plan(arguments, context),
        Call::Iptables(arguments) => iptables::plan(arguments, context),
        Call::KnownHosts(arguments) => known_hosts::plan(arguments, context),
        Call::Lease(arguments) => lease::plan(arguments, context),
        Call::Lineinfile(arguments) => lineinfile::plan(arguments, context),
        Call::LocaleGen(arguments) => locale_gen::plan(arguments, context),
        Call::Modprobe(arguments) => modprobe::plan(arguments, context),
        Call::Mount(arguments) => mount::plan(arguments, context),
        Call::OpensslCsr(arguments) => crypto::csr::plan(arguments, context),
        Call::OpensslCsrPipe(arguments) => crypto::csr::plan_pipe(arguments, context),
        Call::OpensslDhparam(arguments) => crypto::dhparam::plan(arguments, context),
        Call::OpensslPrivatekey(arguments) => crypto::privatekey::plan(arguments, context),
        Call::OpensslPrivatekeyInfo(arguments) => crypto::privatekey::plan_info(arguments, context),
        Call::Package(arguments) => package::plan(arguments, context),
        Call::PackageFacts(arguments) => package_facts::plan(arguments, context),
        Call::PamLimits(arguments) => pam_limits::plan(arguments, context),
        Call::Ping(arguments) => ping::plan(arguments),
        Call::Pip(arguments) => pip::plan(arguments, context),
        Call::PostgresqlDb(arguments) => postgresql::db::plan(arguments, context),
        Call::PostgresqlExt(arguments) => postgresql::ext::plan(arguments, context),
        Call::PostgresqlInfo(arguments) => postgresql::info::plan(arguments, context),
        Call::PostgresqlMembership(arguments) => postgresql::membership::plan(arguments, context),
        Call::PostgresqlOwner(arguments) => postgresql::owner::plan(arguments, context),
        Call::PostgresqlPing(arguments) => postgresql::ping::plan(arguments, context),
        Call::PostgresqlPrivs(arguments) => postgresql::privs::plan(arguments, context),
        Call::PostgresqlQuery(arguments) => postgresql::query::plan(arguments, context),
        Call::PostgresqlSchema(arguments) => postgresql::schema::plan(arguments, context),
        Call::PostgresqlScript(arguments) => postgresql::script::plan(arguments, context),
        Call::PostgresqlSet(arguments) => postgresql::set::plan(arguments, context),
        Call::PostgresqlSlot(arguments) => postgresql::slot::plan(arguments, context),
        Call::PostgresqlTablespace(arguments) => postgresql::tablespace::plan(arguments, context),
        Call::PostgresqlUser(arguments) => postgresql::user::plan(arguments, context),
        Call::Probe(arguments) => probe::plan(arguments, context),
        Call::Replace(arguments) => replace::plan(arguments, context),
        Call::Service(arguments) => service::plan(arguments, context),
        Call::ServiceFacts(arguments) => service_facts::plan(arguments, context),
        Call::Setup(arguments) => setup::plan(arguments, context),
        Call::Shell(arguments) => shell::plan(arguments, context),
        Call::Slurp(arguments) => slurp::plan(arguments, context),
        Call::Stat(arguments) => stat::plan(arguments, context),
        Call::StreamIn(arguments) => stream::plan_in(arguments),
        Call::StreamOut(arguments) => stream::plan_out(arguments),
        Call::Sysctl(arguments) => sysctl::plan(arguments, context),
        Call::Systemd(arguments) => systemd::plan(arguments, context),
        Call::Tempfile(arguments) => tempfile::plan(arguments, context),
        Call::Timezone(arguments) => timezone::plan(arguments, context),
        Call::Unarchive(arguments) => unarchive::plan(arguments, context),
        Call::Uri(arguments) => uri::plan(arguments, context),
        Call::User(arguments) => user::plan(arguments, context),
        Call::WaitFor(arguments) => wait_for::plan(arguments, context),
        Call::WriteProbe(arguments) => write_probe::plan(arguments, context),
        Call::X509Certificate(arguments) => crypto::certificate::plan(arguments, context),
        Call::X509CertificateInfo(arguments) => crypto::info::plan(arguments, context),
        Call::X509CertificatePipe(arguments) => crypto::certificate::plan_pipe(arguments, context),
        Call::YumRepository(arguments) => yum_repository::plan(arguments, context),
    }
}
