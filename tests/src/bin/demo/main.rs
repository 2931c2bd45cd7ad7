//! `make demo`: what a container sees from inside, and its life step by step beside other runtimes.

mod inside;
mod life;
mod paper;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use orlop_tests::view::{self, Cgroups, View};
use orlop_tests::{Bundle, Fixture, Runtime, locate};
use serde_json::{Value, json};

use paper::Paper;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Limits that the demonstration runs into.
const MEMORY_MIB: u64 = 32;
const PROCESSES: u64 = 16;

fn main() -> ExitCode {
    match demonstrate(&Paper::new()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything was as it should be.
fn demonstrate(paper: &Paper) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Err("must run as root: it makes containers".into());
    }
    let ours = locate::runtime_under_test()?;
    // Older runtimes refuse a host that has both cgroup versions mounted.
    if view::has_v1() {
        let view = View {
            cgroups: Cgroups::V1,
            linker: None,
        };
        view.enter()?;
    }
    let mut programs = vec![ours.clone()];
    programs.extend(["crun", "runc"].into_iter().filter_map(locate::in_path));
    programs.dedup();

    let fixture = Fixture::of("demo", &ours);
    let config = specification(&fixture)?;
    let as_expected = inside::show(paper, &fixture, &config)?;
    fixture.assert_clean();
    life::show(paper, &programs, &config)?;
    paper.line(&format!(
        "\n{} no process, mount, cgroup, namespace or file: the host was looked over before and after.",
        paper.bold("Left behind:")
    ));
    Ok(as_expected)
}

/// What `orlop-runc spec` writes, with limits.
fn specification(fixture: &Fixture) -> Result<Value> {
    let folder = fixture.file("spec");
    fs::create_dir(&folder)?;
    let output = fixture
        .runtime()
        .command("spec")
        .arg("--bundle")
        .arg(&folder)
        .run();
    if !output.status.success() {
        return Err(output.to_string().into());
    }
    let mut config: Value = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
    // Peers of older make refuse a later version, though nothing of it is used.
    config["ociVersion"] = json!("1.0.2");
    config["process"]["terminal"] = json!(false);
    config["hostname"] = json!("orlop-demo");
    config["linux"]["resources"]["memory"] = json!({ "limit": MEMORY_MIB << 20 });
    config["linux"]["resources"]["pids"] = json!({ "limit": PROCESSES });
    Ok(config)
}

/// A bundle of that configuration, running a program.
fn bundle(folder: &Path, config: &Value, args: &[&str]) -> Result<Bundle> {
    let mut bundle = Bundle::create(folder)?;
    bundle.config = config.clone();
    let bundle = bundle.args(args);
    bundle.write()?;
    Ok(bundle)
}

/// A runtime's name and version, as it tells them.
fn label(runtime: &Runtime) -> String {
    let name = runtime
        .program()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let said = runtime.bare().arg("--version").run().stdout;
    let version = said
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or_default();
    let version = version
        .split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    format!("{name} {version}").trim_end().to_owned()
}
