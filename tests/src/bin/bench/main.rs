//! The benchmark: our runtime beside its peers, side by side in one run. See `bench --help`.

mod anatomy;
mod bench;
mod chart;
mod contestant;
mod driver;
mod options;
mod race;
mod report;
mod rows;
mod samples;

use bench::Bench;
use options::Options;
use orlop_tests::machine;
use samples::{Row, Verdict};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(rows) if options.enforce && rows.iter().any(|row| row.verdict() != Verdict::Pass) => {
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Vec<Row>, Box<dyn Error>> {
    if !rustix::process::geteuid().is_root() {
        return Err("must run as root".into());
    }
    // Opened before the mount namespace is left behind, and relative to where we were called.
    let out = options.out.clone();
    if let Some(folder) = &out {
        fs::create_dir_all(folder)?;
    }
    let mut bench = Bench::prepare(options)?;
    let rows = rows::measure(&mut bench, &options.only);
    let anatomies = anatomy::measure(&mut bench);
    if machine::is_busy() {
        eprintln!("the machine is busy with something else: these figures are of no use");
    }
    let cgroups = bench.view.name();
    drop(bench);
    print!("{}", report::terminal(&rows));
    if !anatomies.is_empty() {
        println!("\n{}", anatomy::table(&anatomies));
    }
    if let Some(folder) = &out {
        let page = report::page(
            &options.name,
            &machine::describe(),
            cgroups,
            &rows,
            &anatomies,
        );
        write(folder, &format!("{}.md", options.name), &page)?;
        write(folder, &format!("{}.svg", options.name), &chart::svg(&rows))?;
    }
    Ok(rows)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
