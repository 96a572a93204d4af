//! Carries the shipped playbooks and templates, and the agent, into the program.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const AGENT_TARGET: &str = "x86_64-unknown-linux-gnu";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::from("pub(crate) const FILES: &[(&str, &[u8])] = &[\n");
    for folder in ["playbooks", "templates"] {
        tell(&format!("rerun-if-changed={}", root.join(folder).display()));
        for path in files_below(&root.join(folder))? {
            let name = path.strip_prefix(&root)?.display().to_string();
            writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
        }
    }
    code.push_str("];\n");
    code.push_str(&agent(&root, &out)?);
    fs::write(out.join("carried.rs"), code)?;
    Ok(())
}

fn tell(instruction: &str) {
    println!("cargo::{instruction}");
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The agent: the program that PGFLEET_AGENT names, or one built now for a release build. A debug build without
/// either carries none, and says so when it is needed.
fn agent(root: &Path, out: &Path) -> Result<String, Failure> {
    tell("rerun-if-env-changed=PGFLEET_AGENT");
    let program = match env::var_os("PGFLEET_AGENT") {
        Some(path) => PathBuf::from(path),
        None if env::var("PROFILE")? == "release" => build_agent(root, out)?,
        None => return Ok("pub(crate) const AGENT: Option<(&[u8], &str)> = None;\n".to_owned()),
    };
    tell(&format!("rerun-if-changed={}", program.display()));
    let bytes = fs::read(&program).map_err(|error| format!("the agent {}: {error}", program.display()))?;
    let packed = out.join("pgfleet-agent.gz");
    let mut encoder = flate2::write::GzEncoder::new(fs::File::create(&packed)?, flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &bytes)?;
    encoder.finish()?;
    let digest = pgfleet_protocol::sha256(&bytes);
    Ok(format!("pub(crate) const AGENT: Option<(&[u8], &str)> = Some((include_bytes!({:?}), {digest:?}));\n", packed.display().to_string()))
}

fn build_agent(root: &Path, out: &Path) -> Result<PathBuf, Failure> {
    for source in ["src/agent", "src/protocol"] {
        tell(&format!("rerun-if-changed={}", root.join(source).display()));
    }
    // A target folder of its own: cargo holds the lock of the one that it builds this in.
    let target = out.join("agent");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--package", "pgfleet-agent", "--profile", "agent", "--target", AGENT_TARGET, "--target-dir"])
        .arg(&target)
        .current_dir(root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()?;
    if !status.success() {
        return Err("the agent could not be built".into());
    }
    Ok(target.join(AGENT_TARGET).join("agent/pgfleet-agent"))
}
