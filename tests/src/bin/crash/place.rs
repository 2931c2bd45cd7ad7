//! A place in which whatever is left can only be the runtime's.
//!
//! A PID namespace of its own holds no process but ours and what a runtime leaves; a mount
//! namespace of its own no mount, and in empty folders for temporary files no file. Cgroups can't
//! be had privately on cgroup v1: those are told by the id.

use orlop_tests::view::{Cgroups, View, has_v1};
use orlop_tests::{locate, sys};
use rustix::mount::{MountFlags, mount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where programs leave temporary files.
pub(crate) const TEMPORARY: [&str; 3] = ["/dev/shm", "/tmp", "/var/tmp"];

/// Where the experiment keeps its own files.
const HOME: &str = "/tmp/home";

/// Runs `experiment` there, and returns its exit code. It is given a folder for its files, into
/// which the programs have been copied, since they may have been below a folder that is hidden
/// now.
pub(crate) fn inside(
    programs: &[(String, PathBuf)],
    experiment: impl FnOnce(&Path, Vec<(String, PathBuf)>) -> u8,
) -> io::Result<u8> {
    let contents: Vec<Vec<u8>> = programs
        .iter()
        .map(|(_, path)| fs::read(path))
        .collect::<io::Result<_>>()?;
    View {
        cgroups: if has_v1() { Cgroups::V1 } else { Cgroups::Host },
        linker: locate::peers_dir("forky"),
    }
    .enter()?;
    sys::unshare_pids_of_children()?;
    let first = sys::fork(|| {
        let prepared = prepare(programs, &contents);
        attempt(prepared.and_then(|copies| {
            // The first process of a PID namespace has to reap, also while commands run.
            let driver = sys::fork(|| experiment(Path::new(HOME), copies))?;
            exit_code(sys::reap_until(driver)?.code())
        }))
    })?;
    let (status, _) = sys::wait4(first)?;
    exit_code(status.code())
}

fn prepare(
    programs: &[(String, PathBuf)],
    contents: &[Vec<u8>],
) -> io::Result<Vec<(String, PathBuf)>> {
    mount("proc", "/proc", "proc", MountFlags::empty(), None)?;
    for folder in TEMPORARY {
        mount("tmpfs", folder, "tmpfs", MountFlags::empty(), None)?;
    }
    let mut copies = Vec::new();
    for (number, ((name, _), content)) in programs.iter().zip(contents).enumerate() {
        let folder = Path::new(HOME).join("programs").join(number.to_string());
        fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        copies.push((name.clone(), path));
    }
    Ok(copies)
}

fn attempt(result: io::Result<u8>) -> u8 {
    result.unwrap_or_else(|error| {
        eprintln!("crash: {error}");
        2
    })
}

fn exit_code(code: Option<i32>) -> io::Result<u8> {
    code.and_then(|code| u8::try_from(code).ok())
        .ok_or_else(|| io::Error::other("the experiment was killed"))
}
