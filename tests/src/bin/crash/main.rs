//! The crash experiment: `create` killed at a random moment. See `crash --help`.

mod leftovers;
mod options;
mod place;
mod report;
mod trial;

use leftovers::Empty;
use options::Options;
use orlop_tests::{Bundle, Runtime, locate};
use report::Sums;
use std::io;
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
    let programs = programs(options);
    place::inside(&programs, |home, copies| {
        experiment(home, &copies, options.trials, seed).unwrap_or_else(|error| {
            eprintln!("crash: {error}");
            2
        })
    })
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
) -> io::Result<u8> {
    let bundle = Bundle::create(&home.join("bundle"))?;
    let mut ours_is_clean = false;
    for (number, (name, program)) in programs.iter().enumerate() {
        let runtime = Runtime::new(program, &home.join(format!("state{number}")), "crash");
        let version = runtime.bare().arg("--version").run().stdout;
        let version = version.lines().next().unwrap_or(name);
        match attack(&runtime, &bundle, trials, seed)? {
            Ok((duration, sums)) => {
                print!(
                    "{version}: create takes {:.1} ms; {sums}",
                    duration.as_secs_f64() * 1e3
                );
                if name == OURS {
                    ours_is_clean = sums.is_clean();
                }
            }
            Err(reason) => println!("{version} can't run here: {}", reason.trim_end()),
        }
    }
    Ok(u8::from(!ours_is_clean))
}

fn attack(
    runtime: &Runtime,
    bundle: &Bundle,
    trials: u32,
    seed: u64,
) -> io::Result<Result<(Duration, Sums), String>> {
    let duration = match trial::duration_of_create(runtime, bundle) {
        Ok(duration) => duration,
        Err(reason) => return Ok(Err(reason)),
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
