//! Builds the `init` program with the compiler that builds everything else.
//!
//! No second target and no network are needed: the program links only `core`, which every
//! toolchain has for its own host, and brings its own entry point and memory functions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program holds a budget; growth past it is a mistake to be noticed at once.
const MAX_BYTES: u64 = 64 * 1024;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=program");
    println!("cargo::rerun-if-changed=src");
    let var = |name: &str| env::var(name).map_err(|_| format!("cargo did not set {name}"));
    let arch = var("CARGO_CFG_TARGET_ARCH")?;
    if var("CARGO_CFG_TARGET_OS")? != "linux" || !matches!(arch.as_str(), "x86_64" | "aarch64") {
        return Err(format!("orlop runs on Linux on x86_64 and aarch64, not on {}", var("TARGET")?));
    }
    let out = PathBuf::from(var("OUT_DIR")?).join("init");
    let mut rustc = Command::new(var("RUSTC")?);
    rustc
        .arg(Path::new("program").join("main.rs"))
        .args(["--crate-name", "orlop_init_program", "--crate-type", "bin", "--edition", "2024"])
        .args(["--target", &var("TARGET")?, "-o"])
        .arg(&out)
        .args(["-Copt-level=2", "-Cpanic=abort", "-Ccodegen-units=1", "-Cstrip=symbols"])
        .args(["-Cdebug-assertions=off", "-Coverflow-checks=off", "-Crelocation-model=static"])
        .args(["-Ctarget-feature=+crt-static", "-Cforce-unwind-tables=no"]);
    for link in ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--gc-sections"] {
        rustc.arg(format!("-Clink-arg={link}"));
    }
    for link in ["noseparate-code", "norelro", "max-page-size=4096", "noexecstack"] {
        rustc.arg(format!("-Clink-arg=-Wl,-z,{link}"));
    }
    rustc.args(["-Clink-arg=-Wl,--build-id=none", "-Clink-arg=-Wl,--no-eh-frame-hdr"]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.to_string_lossy()));
    }
    let status = rustc.status().map_err(|error| format!("cannot run the compiler: {error}"))?;
    if !status.success() {
        return Err(format!("building the init program failed: {status}"));
    }
    let size = std::fs::metadata(&out).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("the init program has {size} bytes; its budget is {MAX_BYTES}"));
    }
    Ok(())
}
