//! The crash experiment: `create` killed at a random moment. See `crash --help`.

mod leftovers;
mod options;
mod place;
mod report;
mod trial;

use leftovers::Empty;
use options::Options;
use orlop_tests::view::has_v1;
use orlop_tests::{Bundle, Runtime, locate, machine};
use report::Sums;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const OURS: &str = "orlop-runc";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("crash: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> io::Result<u8> {
    if !rustix::process::geteuid().is_root() {
        return Err(io::Error::other("must run as root"));
    }
    let seed = options.seed.unwrap_or_else(seed_of_the_clock);
    println!("seed {seed}");
    // The place may hide where it is.
    let page = options.out.as_deref().map(page_in).transpose()?;
    let programs = programs(options);
    place::inside(&programs, |home, copies| {
        experiment(home, &copies, options.trials, seed, page).unwrap_or_else(|error| {
            eprintln!("crash: {error}");
            2
        })
    })
}

/// The page as it is, still: whoever interrupts the experiment keeps it.
fn page_in(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let options = &mut File::options();
    options.write(true).create(true).truncate(false);
    options.open(folder.join("crash.md"))
}

fn programs(options: &Options) -> Vec<(String, PathBuf)> {
    let mut programs = Vec::new();
    match options
        .ours
        .clone()
        .map_or_else(locate::runtime_under_test, Ok)
    {
        Ok(path) => programs.push((OURS.to_owned(), path)),
        Err(error) => println!("ours is missing: {error}"),
    }
    if options.find_peers {
        match locate::peers_dir("forky") {
            Some(folder) => programs.extend(
                ["crun", "runc"].map(|name| (name.to_owned(), folder.join("bin").join(name))),
            ),
            None => println!("the newest crun and runc are missing: run tests/peers"),
        }
        for name in ["crun", "runc", "youki"] {
            match locate::in_path(name) {
                Some(path) => programs.push((name.to_owned(), path)),
                None => println!("{name} is missing: not in PATH"),
            }
        }
    }
    programs.extend(options.peers.iter().cloned());
    programs
}

/// 1 if ours is not clean, or is missing.
fn experiment(
    home: &Path,
    programs: &[(String, PathBuf)],
    trials: u32,
    seed: u64,
    page: Option<File>,
) -> io::Result<u8> {
    let bundle = Bundle::create(&home.join("bundle"))?;
    let mut ours_is_clean = false;
    let mut lines = Vec::new();
    for (number, (name, program)) in programs.iter().enumerate() {
        let runtime = Runtime::new(program, &home.join(format!("state{number}")), "crash");
        let label = label(&runtime, name);
        let result = attack(&runtime, &bundle, trials, seed)?;
        match &result {
            Ok((duration, sums)) => {
                print!(
                    "{label}: create takes {:.1} ms; {sums}",
                    duration.as_secs_f64() * 1e3
                );
                if name == OURS {
                    ours_is_clean = sums.is_clean();
                }
            }
            Err(reason) => println!("{label} can't run here: {reason}"),
        }
        lines.push((label, result));
    }
    if let Some(mut page) = page {
        let cgroups = if has_v1() { "v1" } else { "as the host's" };
        let text = report::page(&machine::describe(), cgroups, trials, seed, &lines);
        page.set_len(0)?;
        page.write_all(text.as_bytes())?;
    }
    Ok(u8::from(!ours_is_clean))
}

/// Name and version.
fn label(runtime: &Runtime, name: &str) -> String {
    let said = runtime.bare().arg("--version").run().stdout;
    let mut words = said.split_whitespace();
    let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    format!("{name} {}", version.unwrap_or_default())
        .trim_end()
        .to_owned()
}

fn attack(
    runtime: &Runtime,
    bundle: &Bundle,
    trials: u32,
    seed: u64,
) -> io::Result<Result<(Duration, Sums), String>> {
    let duration = match trial::duration_of_create(runtime, bundle) {
        Ok(duration) => duration,
        Err(reason) => return Ok(Err(reason.trim_end().replace('\n', "; "))),
    };
    let empty = Empty::look()?;
    let mut random = Random(seed | 1);
    let mut sums = Sums::default();
    for number in 0..trials {
        let delay = duration.mul_f64(random.fraction());
        let id = format!("orlop-t-crash{number}");
        let trial = trial::kill_create(runtime, bundle, &empty, &id, delay)?;
        if !trial.left.is_empty() && std::env::var_os("ORLOP_CRASH_VERBOSE").is_some() {
            println!("{id} after {delay:?}: {:?}", trial.left);
        }
        sums.add(&trial);
    }
    Ok(Ok((duration, sums)))
}

/// Marsaglia's xorshift: the moments need to be spread, not unpredictable.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

fn seed_of_the_clock() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(1, |time| {
            time.as_secs() ^ u64::from(time.subsec_nanos()) << 20
        })
}
