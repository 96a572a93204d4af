//! `iptables`: a rule, a policy or a chain of the kernel's packet filter.

use pgfleet_protocol::modules::settings::Iptables;
use pgfleet_protocol::{Options, Outcome};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::{Finished, Program};

pub(crate) fn plan(arguments: &Iptables, context: &Context) -> Planned {
    let options = &arguments.options;
    let version = options.text("ip_version").unwrap_or("ipv4");
    let programs: &[&str] = match version {
        "ipv6" => &["ip6tables"],
        "both" => &["iptables", "ip6tables"],
        _ => &["iptables"],
    };
    let rule = rule(options);
    let is_flush = options.flag("flush") == Some(true);
    let chain = options.text("chain");
    if chain.is_none() && !is_flush {
        return Err(Failure::new("Either chain or flush parameter must be specified."));
    }
    let is_wished = options.text("state") != Some("absent");
    let mut steps = Vec::new();
    for program in programs {
        let table = Table { program, options };
        steps.extend(if is_flush {
            Some(table.line("-F", chain, &[]))
        } else if let Some(policy) = options.text("policy") {
            table.policy(chain.unwrap_or_default(), policy, context)?
        } else if options.flag("chain_management") == Some(true) && rule.is_empty() {
            let is_there = table.run(&table.line("-L", chain, &[]), context)?.is_success();
            (is_there != is_wished).then(|| table.line(if is_wished { "-N" } else { "-X" }, chain, &[]))
        } else {
            let is_there = table.run(&table.line("-C", chain, &rule), context)?.is_success();
            let step = || match (is_wished, options.text("action")) {
                (false, _) => table.line("-D", chain, &rule),
                (true, Some("insert")) => {
                    let number = options.text("rule_num").map(str::to_owned);
                    table.line("-I", chain, &[number.into_iter().collect(), rule.clone()].concat())
                }
                (true, _) => table.line("-A", chain, &rule),
            };
            (is_there != is_wished).then(step)
        });
    }
    let outcome = Outcome::changed_if(!steps.is_empty())
        .with("ip_version", version)
        .with("table", options.text("table").unwrap_or("filter"))
        .with("chain", chain)
        .with("flush", is_flush)
        .with("rule", rule.join(" "))
        .with("state", if is_wished { "present" } else { "absent" })
        .with("chain_management", options.flag("chain_management") == Some(true));
    if steps.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    Ok(Plan::change(outcome, move |context, outcome| {
        for argv in steps {
            let finished = context.run(Program::new(argv.clone())).context(format_args!("cannot run {}", argv[0]))?;
            if !finished.is_success() {
                return Err(
                    Failure::new(format!("{} failed: {}", argv.join(" "), finished.stderr_text().trim())).with("rc", finished.status)
                );
            }
        }
        Ok(outcome)
    }))
}

struct Table<'a> {
    program: &'a str,
    options: &'a Options,
}

impl Table<'_> {
    fn line(&self, what: &str, chain: Option<&str>, rule: &[String]) -> Vec<String> {
        let table = self.options.text("table").unwrap_or("filter");
        let mut argv = [self.program, "-t", table].map(str::to_owned).to_vec();
        argv.extend(self.options.text("wait").into_iter().flat_map(|seconds| ["-w".to_owned(), seconds.to_owned()]));
        argv.push(what.to_owned());
        argv.extend(chain.map(str::to_owned));
        argv.extend(rule.iter().cloned());
        argv
    }

    fn run(&self, argv: &[String], context: &Context) -> Result<Finished, Failure> {
        context.run(Program::new(argv.to_vec()).env("LC_ALL", "C")).context(format_args!("cannot run {}; install it first", self.program))
    }

    /// `Chain INPUT (policy ACCEPT)` tells what is.
    fn policy(&self, chain: &str, wished: &str, context: &Context) -> Result<Option<Vec<String>>, Failure> {
        let finished = self.run(&self.line("-L", Some(chain), &["-n".to_owned()]), context)?;
        if !finished.is_success() {
            return Err(
                Failure::new(format!("cannot list the chain {chain}: {}", finished.stderr_text().trim())).with("rc", finished.status)
            );
        }
        let text = finished.stdout_text();
        let found = text.lines().next().and_then(|line| line.split_once("(policy ")).and_then(|(_, rest)| rest.split([' ', ')']).next());
        Ok((found != Some(wished)).then(|| self.line("-P", Some(chain), &[wished.to_owned()])))
    }
}

/// The words of the rule, in the order in which Ansible writes them.
fn rule(options: &Options) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |flag: &str, value: &str| match value.strip_prefix('!') {
        Some(value) => words.extend(["!", flag, value.trim()].map(str::to_owned)),
        None => words.extend([flag, value].map(str::to_owned)),
    };
    let texts = |names: &[(&'static str, &'static str)], add: &mut dyn FnMut(&str, &str)| {
        for (name, flag) in names {
            if let Some(value) = options.text(name) {
                add(flag, value);
            }
        }
    };
    texts(&[("protocol", "-p"), ("source", "-s"), ("destination", "-d")], &mut add);
    options.list("match").into_iter().for_each(|name| add("-m", name));
    texts(
        &[("jump", "-j"), ("log_prefix", "--log-prefix"), ("log_level", "--log-level"), ("to_destination", "--to-destination")],
        &mut add,
    );
    let ports = options.list("destination_ports");
    if !ports.is_empty() {
        if !options.list("match").contains(&"multiport") {
            add("-m", "multiport");
        }
        add("--dports", &ports.join(","));
    }
    texts(&[("to_source", "--to-source"), ("goto", "-g"), ("in_interface", "-i"), ("out_interface", "-o")], &mut add);
    texts(
        &[("fragment", "-f"), ("set_counters", "-c"), ("source_port", "--source-port"), ("destination_port", "--destination-port")],
        &mut add,
    );
    texts(&[("to_ports", "--to-ports"), ("set_dscp_mark", "--set-dscp"), ("set_dscp_mark_class", "--set-dscp-class")], &mut add);
    match options.text("syn") {
        Some("match") => words.push("--syn".to_owned()),
        Some("negate") => words.extend(["!", "--syn"].map(str::to_owned)),
        _ => {}
    }
    let mut add = |flag: &str, value: &str| words.extend([flag, value].map(str::to_owned));
    let states = options.list("ctstate");
    if !states.is_empty() {
        if !options.list("match").contains(&"conntrack") {
            add("-m", "conntrack");
        }
        add("--ctstate", &states.join(","));
    }
    if options.text("limit").or(options.text("limit_burst")).is_some() {
        add("-m", "limit");
        texts(&[("limit", "--limit"), ("limit_burst", "--limit-burst")], &mut add);
    }
    if options.text("uid_owner").or(options.text("gid_owner")).is_some() {
        add("-m", "owner");
        texts(&[("uid_owner", "--uid-owner"), ("gid_owner", "--gid-owner")], &mut add);
    }
    if options.text("reject_with").is_some() && options.text("jump").is_none() {
        add("-j", "REJECT");
    }
    texts(
        &[
            ("reject_with", "--reject-with"),
            ("icmp_type", if options.text("ip_version") == Some("ipv6") { "--icmpv6-type" } else { "--icmp-type" }),
        ],
        &mut add,
    );
    if let Some(comment) = options.text("comment") {
        add("-m", "comment");
        add("--comment", comment);
    }
    words
}
