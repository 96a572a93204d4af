//! Leaves out what only unwinding needs. A panic ends the program in the profile `agent` (see `defect.rs`): those tables, a tenth of the
//! program, would travel to every host for nothing, and those of the standard library and of libc cannot be left out otherwise.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=without-unwinding.ld");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|found| found == wanted);
    // `z` is the profile's mark: Cargo tells no build script of its `panic`. Elsewhere the linker is not lld, which takes such a script
    // beside its own rules.
    if is("OPT_LEVEL", "z") && is("TARGET", "x86_64-unknown-linux-gnu") {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,{folder}/without-unwinding.ld");
    }
}
