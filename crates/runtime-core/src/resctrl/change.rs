//! Other lines for the group of a container that exists.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Made, ResctrlPlace, make_directory, remove, write_schemata};
use crate::compile::schemata;
use crate::error::{Context, Error, Result};
use crate::spec::IntelRdt;

/// So often the threads outside of a group are looked for: those of one that was moved are born in it.
const MAX_PASSES: usize = 100;

/// What an update asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allocation {
    /// The container's group, made now where it had none.
    pub(crate) place: ResctrlPlace,
    schemata: String,
}

/// An allocation that holds, and how to take it back.
#[derive(Debug)]
pub(crate) struct Change {
    group: PathBuf,
    /// What held before; without it the group was made for the change.
    before: Option<String>,
}

impl Allocation {
    /// `None` where nothing is asked for.
    ///
    /// # Errors
    /// When the host, whose file system is mounted at `root`, can't do it.
    pub(crate) fn of(
        rdt: &IntelRdt,
        place: Option<&ResctrlPlace>,
        root: Option<&Path>,
        id: &str,
    ) -> Result<Option<Self>> {
        let schemata = schemata(rdt);
        if schemata.is_empty() {
            return Ok(None);
        }
        for (asked, field, info, words) in [
            (
                rdt.l3_cache_schema.is_some(),
                "linux.intelRdt.l3CacheSchema",
                "L3",
                "Intel RDT/CAT: l3 cache schema is not enabled",
            ),
            (
                rdt.mem_bw_schema.is_some(),
                "linux.intelRdt.memBwSchema",
                "MB",
                "Intel RDT/MBA: memory bandwidth schema is not enabled",
            ),
        ] {
            let there = root.is_some_and(|root| root.join("info").join(info).exists());
            if asked && !there {
                let message = format!(
                    "{words} on this host (mount -t resctrl resctrl /sys/fs/resctrl; the CPU has to have it)"
                );
                return Err(Error::invalid(field, message));
            }
        }
        let Some(root) = root else {
            return Ok(None);
        };
        let place = place.cloned().unwrap_or_else(|| ResctrlPlace {
            path: root.join(id),
            own: true,
        });
        Ok(Some(Self { place, schemata }))
    }

    /// Writes the lines. A group of the container's own gets all of its processes that are not in it:
    /// an update before may have been killed half-way.
    pub(crate) fn make(&self, processes: impl Fn() -> Result<Vec<u32>>) -> Result<Change> {
        let group = &self.place.path;
        let made = make_directory(group)
            .context(|| format!("linux.intelRdt: make {}", group.display()))?;
        let made = made == Made::Now;
        let file = group.join("schemata");
        let before = (!made).then(|| fs::read_to_string(&file));
        let before = before
            .transpose()
            .context(|| format!("read {}", file.display()))?;
        let change = Change {
            group: group.clone(),
            before,
        };
        let done = write_schemata(group, &self.schemata).and_then(|()| {
            if self.place.own {
                move_all(&group.join("tasks"), processes)
            } else {
                Ok(())
            }
        });
        match done {
            Ok(()) => Ok(change),
            Err(error) => {
                change.undo();
                Err(error)
            }
        }
    }
}

impl Change {
    /// Puts back what held before. That this fails, too, is of less interest than why.
    pub(crate) fn undo(self) {
        let _ = match self.before {
            Some(lines) => write_schemata(&self.group, &lines),
            // Who is in it goes back to the group of all.
            None => remove(&[ResctrlPlace {
                path: self.group,
                own: true,
            }]),
        };
    }
}

/// Moves every thread: the kernel takes them one by one. Those that are born meanwhile are in their
/// parent's group, which may be the old one, so it goes on until there is none outside.
fn move_all(tasks: &Path, processes: impl Fn() -> Result<Vec<u32>>) -> Result<()> {
    for _ in 0..MAX_PASSES {
        let inside = fs::read_to_string(tasks).context(|| format!("read {}", tasks.display()))?;
        let inside: BTreeSet<&str> = inside.lines().collect();
        let mut done = true;
        for process in processes()? {
            for thread in threads(process) {
                if !inside.contains(&*thread.to_string()) {
                    done &= !move_one(tasks, thread)?;
                }
            }
        }
        if done {
            return Ok(());
        }
    }
    let message = format!(
        "the container starts threads faster than they can be moved to {}: pause it first",
        tasks.display()
    );
    Err(Error::WrongState { message })
}

/// Of a process that is gone by now, none.
fn threads(process: u32) -> Vec<u32> {
    let names = fs::read_dir(format!("/proc/{process}/task"));
    let names = names.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// `false` for a thread that is gone by now.
fn move_one(tasks: &Path, thread: u32) -> Result<bool> {
    let written = OpenOptions::new()
        .append(true)
        .open(tasks)
        .and_then(|mut file| file.write_all(format!("{thread}\n").as_bytes()));
    match written {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        written => written
            .map(|()| true)
            .context(|| format!("write {thread} to {}", tasks.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn cache(schema: &str) -> IntelRdt {
        IntelRdt {
            l3_cache_schema: Some(schema.to_owned()),
            ..IntelRdt::default()
        }
    }

    fn place(path: PathBuf) -> ResctrlPlace {
        ResctrlPlace { path, own: true }
    }

    /// As the kernel has a group.
    fn group(tree: &Tree, name: &str) -> PathBuf {
        let group = tree.0.join(name);
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("schemata"), "    L3:0=ff\n").unwrap();
        fs::write(group.join("tasks"), "").unwrap();
        group
    }

    #[test]
    fn the_group_that_there_is_gets_the_lines_and_its_own_back() {
        let tree = Tree::new("change");
        fs::create_dir(tree.0.join("info/L3")).unwrap();
        let group = group(&tree, "id");
        let asked = cache("L3:0=f\n");
        let there = place(group.clone());
        let allocation = Allocation::of(&asked, Some(&there), Some(&tree.0), "id").unwrap();
        let own = std::process::id();
        let all: String = threads(1)
            .iter()
            .map(|thread| format!("{thread}\n"))
            .collect();
        fs::write(group.join("tasks"), &all).unwrap();
        let change = allocation.unwrap().make(|| Ok(vec![1, own])).unwrap();
        let lines = || fs::read_to_string(group.join("schemata")).unwrap();
        assert_eq!(lines(), "L3:0=f\n");
        let moved = fs::read_to_string(group.join("tasks")).unwrap();
        let added = moved.strip_prefix(&all).unwrap();
        assert!(added.lines().any(|line| line == own.to_string()), "{moved}");
        for thread in threads(1) {
            let thread = thread.to_string();
            assert!(added.lines().all(|line| line != thread), "moved twice");
        }
        change.undo();
        assert_eq!(lines(), "    L3:0=ff\n");
    }

    #[test]
    fn a_container_without_a_group_gets_one_named_after_it() {
        let tree = Tree::new("change-new");
        fs::create_dir(tree.0.join("info/L3")).unwrap();
        let allocation = Allocation::of(&cache("L3:0=f"), None, Some(&tree.0), "id");
        let allocation = allocation.unwrap().unwrap();
        assert_eq!(allocation.place, place(tree.0.join("id")));
    }

    #[test]
    fn every_thread_moves() {
        let tree = Tree::new("change-threads");
        let tasks = group(&tree, "id").join("tasks");
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            begin.send(rustix::thread::gettid()).unwrap();
            let _ = stopped.recv();
        });
        let other = begun.recv().unwrap().as_raw_nonzero().to_string();
        let own = std::process::id();
        move_all(&tasks, || Ok(vec![own, u32::MAX])).unwrap();
        let moved = fs::read_to_string(&tasks).unwrap();
        drop(stop);
        thread.join().unwrap();
        assert!(moved.lines().any(|line| line == own.to_string()), "{moved}");
        assert!(moved.lines().any(|line| line == other), "{moved}");
    }

    #[test]
    fn what_the_host_does_not_have_is_said() {
        let tree = Tree::new("change-none");
        for root in [None, Some(tree.0.as_path())] {
            let error = Allocation::of(&cache("L3:0=f"), None, root, "id").unwrap_err();
            let error = error.to_string();
            assert!(error.contains("l3 cache schema is not enabled"), "{error}");
            let bandwidth = IntelRdt {
                mem_bw_schema: Some("MB:0=50".to_owned()),
                ..IntelRdt::default()
            };
            let error = Allocation::of(&bandwidth, None, root, "id").unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("memory bandwidth schema is not enabled"),
                "{error}"
            );
        }
        let nothing = Allocation::of(&IntelRdt::default(), None, None, "id");
        assert_eq!(nothing.unwrap(), None);
    }
}
