//! The story of a cluster on real systems: from bare hosts to a failover, told by the program's own commands.
//!
//! The stages stand on each other, so they are one test; each says what it tries.

mod backup;
mod cluster;
mod drills;
mod faults;
mod hardening;
mod leadership;
mod leases;
mod logins;
mod members;
mod modules;
mod postgresql_modules;
mod rig;
mod running;
mod secrets;
mod shape;
mod state;
mod sweep;
mod sweep_record;
mod telling;
mod tls;
mod trouble;

use rig::Rig;

/// A stage of the story.
type Stage = fn(&Rig);

const STAGES: &[(&str, Stage)] = &[
    ("a check of bare hosts changes nothing", cluster::check_changes_nothing),
    ("an interrupted deploy stops in good order", trouble::interrupted_by_a_person),
    ("a deploy whose controller dies can be run again", trouble::interrupted_by_a_crash),
    ("the cluster has four members, one leads, the others stream", cluster::four_members),
    ("a second deploy changes nothing", cluster::nothing_left_to_do),
    ("every way leads to the right node", cluster::every_way_leads_to_the_right_node),
    ("patronictl and etcdctl work on a node without flags", cluster::tools_work_on_a_node),
    ("no secret is told", telling::no_secret_is_told),
    ("status says what the cluster says", cluster::status_agrees),
    ("a changed setting changes just that", cluster::one_setting),
    ("modules check, apply and then have nothing to do", modules::tour),
    ("sudo asks for a password and gets it", trouble::sudo_with_a_password),
    ("without its secrets a deploy refuses", trouble::refuses_without_secrets),
    ("what was lost of state is fetched from a node", state::recovered_from_a_node),
    ("an old copy of state is refused", state::an_old_copy),
    ("an inventory that lacks or confuses nodes is refused", state::an_edited_inventory),
    ("a full disk under state costs no secret", state::a_full_disk),
    ("a deploy moves no data and changes no major version", trouble::refuses_another_place_for_the_data),
    ("an unknown host key ends the run", trouble::unknown_host_key),
    ("clocks that disagree are named before anything is touched", trouble::clocks_that_disagree),
    ("one run at a time has the cluster, from whichever controller", leases::one_run_at_a_time),
    ("a controller that is silent loses the cluster", leases::silence_ends_a_lease),
    ("each way of connecting leads where it says", secrets::connections),
    ("automatic failover is switched off and on", members::pause_and_history),
    ("shared settings are checked, changed and told", members::shared_settings),
    ("a replica is made anew under load", members::a_replica_made_anew),
    ("a replica without room is told as that", members::a_disk_that_is_too_small),
    ("nodes restart under load", members::restarts),
    ("a node and the whole cluster stop and start", members::stopped_and_started),
    ("a failover by hand loses nothing", members::failed_over_by_hand),
    ("a paused cluster fails over when somebody says so", members::failed_over_in_a_pause),
    ("logs of all nodes are merged", members::logs_of_all),
    ("a switchover that is unsafe is refused", leadership::unsafe_switchovers_are_refused),
    ("switchovers there and back lose nothing", leadership::there_and_back),
    ("a switchover is planned and taken back", leadership::planned_and_taken_back),
    ("a controller that dies in a switchover leaves nothing held", leadership::the_controller_dies_meanwhile),
    ("a leader that crashes in a switchover costs nothing", leadership::the_leader_crashes_meanwhile),
    ("a drill that is unsafe or not agreed to is refused", drills::refused),
    ("a killed leader loses nothing", drills::leader_killed),
    ("a leader that loses etcd alone stays one", drills::leader_partitioned_from_etcd),
    ("a frozen leader is fenced before its key runs out", drills::leader_frozen),
    ("another drill loses nothing", drills::one_of_the_others),
    ("nothing is fenced without need", drills::no_fence_without_need),
    ("etcd is led from another host than the database", leadership::two_leaders_on_two_hosts),
    ("a power cut of all hosts loses nothing", drills::power_cut_of_all),
    ("new passwords while somebody writes", secrets::rotation),
    ("an interrupted rotation is finished, a failed one undone", secrets::interrupted_rotation),
    ("the doctor says what is wrong", secrets::doctor),
    ("users and databases become as they are declared", secrets::declared),
    ("modules of PostgreSQL change what differs, on the leader alone", postgresql_modules::on_the_leader),
    ("what an earlier try left is told apart", secrets::leftovers),
    ("TLS is switched off, on and required under load", tls::comes_and_goes),
    ("new certificates and a new authority under load", tls::rotated),
    ("certificates that have ended are told, and signed anew", tls::ended),
    ("etcd asks who somebody is, or nobody, under load", logins::etcd_asks_who_somebody_is),
    ("services have few rights, and listen on few addresses", hardening::services_have_few_rights),
    ("a firewall comes and goes under load, and locks nobody out", hardening::firewall_comes_and_goes),
    ("services that stand still are told", trouble::services_that_stand_still),
    ("commits that wait for a replica are told", trouble::commits_that_wait),
    ("a query that outlives its PostgreSQL keeps it from nothing", trouble::a_query_outlives_its_postgresql),
    ("a crashed leader is replaced, and comes back", trouble::leader_crashes),
    ("a leader that nobody followed comes back as a copy of the next", trouble::a_leader_that_nobody_followed),
    ("nobody is elected who may lack a row, and that is told", trouble::two_lost_at_once),
    ("a host behind a pulled cable is a row, not a hang", trouble::pulled_cable),
    ("a backup is made from a replica and proven by a restore", backup::made_and_proven),
    ("a backup that fails is marked and never taken for good", backup::failures_are_marked),
    ("a backup survives a conflict with the log and a failover", backup::survives_conflict_and_failover),
    ("a node leaves and comes back", shape::a_node_leaves_and_comes_back),
    ("databases are restored beside those that are there", shape::restored_beside),
    ("what is in a name or a text is restored, and not run", shape::names_of_any_kind),
    ("whatever is interrupted anywhere can be asked again", sweep::interrupted_anywhere),
    ("after a total loss a backup makes a new cluster", shape::everything_is_lost),
    ("a destroyed cluster is made again", shape::destroyed_and_made_again),
];

/// What `make soak` needs of the story: a cluster, and the sweep of it.
const SOAK: [&str; 2] = ["a deploy whose controller dies can be run again", "whatever is interrupted anywhere can be asked again"];

/// With a kept lab: the stage to go on from, or the last to run.
fn stage_of(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("a stage's number"))
}

#[test]
#[expect(clippy::print_stderr, reason = "minutes pass; whoever waits sees where it is")]
fn a_cluster_from_bare_hosts_to_failover() {
    let rig = Rig::new();
    let soaks = std::env::var_os("PGFLEET_LAB_SOAK").is_some();
    let told: Vec<_> = STAGES.iter().enumerate().filter(|(_, (title, _))| !soaks || SOAK.contains(title)).collect();
    assert!(!soaks || told.len() == SOAK.len(), "the stages of 'make soak' have other names");
    let (from, to) = (stage_of("PGFLEET_LAB_FROM", 1), stage_of("PGFLEET_LAB_TO", STAGES.len()));
    for (number, (title, stage)) in told.into_iter().filter(|(number, _)| (from..=to).contains(&(number + 1))) {
        let begin = std::time::Instant::now();
        eprintln!("stage {}: {title} ...", number + 1);
        stage(&rig);
        eprintln!("stage {}: done in {:.1} s", number + 1, begin.elapsed().as_secs_f64());
    }
}
