//! Builds the `init` program with the compiler that builds everything else.
//!
//! No second target and no network are needed: the program links only `core`, which every
//! toolchain has for its own host, and brings its own entry point and memory functions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program holds a budget; growth past it is a mistake to be noticed at once.
const MAX_BYTES: u64 = 64 * 1024;

/// What makes the linker write a small static executable that needs nothing of the system.
const LINK: [&str; 10] = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,--no-eh-frame-hdr",
    "-Wl,-z,noseparate-code",
    "-Wl,-z,norelro",
    "-Wl,-z,noexecstack",
];

const CODE: [&str; 9] = [
    "opt-level=2",
    "panic=abort",
    "codegen-units=1",
    "strip=symbols",
    "debug-assertions=off",
    "overflow-checks=off",
    "relocation-model=static",
    "target-feature=+crt-static",
    "force-unwind-tables=no",
];

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=program");
    println!("cargo::rerun-if-changed=src");
    let arch = var("CARGO_CFG_TARGET_ARCH")?;
    let linux = var("CARGO_CFG_TARGET_OS")? == "linux";
    let Some(page) = largest_page(&arch).filter(|_| linux) else {
        let target = var("TARGET")?;
        return Err(format!(
            "orlop runs on Linux on x86_64 and aarch64, not on {target}"
        ));
    };
    let program = PathBuf::from(var("OUT_DIR")?).join("init");
    build(&program, page)?;
    let size = std::fs::metadata(&program).map_err(|error| error.to_string())?;
    if size.len() > MAX_BYTES {
        let size = size.len();
        return Err(format!(
            "the init program has {size} bytes; its budget is {MAX_BYTES}"
        ));
    }
    Ok(())
}

/// No two segments may share a page, whichever size the kernel was built with.
fn largest_page(arch: &str) -> Option<u32> {
    match arch {
        "x86_64" => Some(4096),
        "aarch64" => Some(65536),
        _ => None,
    }
}

fn var(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}

fn build(program: &Path, page: u32) -> Result<(), String> {
    let mut rustc = Command::new(var("RUSTC")?);
    rustc.arg(Path::new("program").join("main.rs"));
    rustc.args(["--crate-name", "orlop_init_program", "--crate-type", "bin"]);
    rustc.args(["--edition", "2024", "--target", &var("TARGET")?, "-o"]);
    rustc.arg(program);
    for option in CODE {
        rustc.args(["-C", option]);
    }
    for option in LINK {
        rustc.args(["-C", &format!("link-arg={option}")]);
    }
    rustc.args(["-C", &format!("link-arg=-Wl,-z,max-page-size={page}")]);
    // Cargo names the one that was set for the target, as a cross build has to.
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc
        .status()
        .map_err(|error| format!("cannot run the compiler: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("building the init program failed: {status}"))
    }
}
