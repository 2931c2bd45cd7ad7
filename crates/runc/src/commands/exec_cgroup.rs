//! The cgroup that `exec` runs a process in, from the command line.

use orlop::SubCgroup;

use crate::failure::Failure;

/// What `--cgroup` says: `PATH` once, or any number of `CONTROLLER[,CONTROLLER]:PATH`.
pub(super) fn choice(given: &[String]) -> Result<SubCgroup, Failure> {
    let mut paths = Vec::new();
    for argument in given {
        let bad = |why: &str| Failure::new(format!("invalid --cgroup argument: {argument}{why}"));
        match argument.split(':').collect::<Vec<_>>()[..] {
            [path] if given.len() == 1 => return Ok(SubCgroup::Below(path.into())),
            [_] => return Err(bad(" (missing <controller>: prefix)")),
            [controllers, path] => {
                let controllers = controllers.split(',');
                paths.extend(controllers.map(|one| (one.to_owned(), path.into())));
            }
            _ => return Err(bad("")),
        }
    }
    Ok(match paths.is_empty() {
        true => SubCgroup::Own,
        false => SubCgroup::ByController(paths),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[&str]) -> Result<SubCgroup, String> {
        let given: Vec<_> = given.iter().map(|&one| one.to_owned()).collect();
        choice(&given).map_err(|failure| failure.message)
    }

    #[test]
    fn one_path_or_some_by_controller() {
        assert_eq!(of(&[]), Ok(SubCgroup::Own));
        assert_eq!(of(&["a/b"]), Ok(SubCgroup::Below("a/b".into())));
        let pair = |controller: &str, path: &str| (controller.to_owned(), path.into());
        let by = vec![pair("cpu", "x"), pair("cpuacct", "x"), pair("memory", "y")];
        assert_eq!(
            of(&["cpu,cpuacct:x", "memory:y"]),
            Ok(SubCgroup::ByController(by))
        );
        for bad in [&["a", "b"][..], &["cpu:a", "b"], &["a:b:c"]] {
            assert!(
                of(bad)
                    .unwrap_err()
                    .starts_with("invalid --cgroup argument: ")
            );
        }
    }
}
