//! A user who is not root, and a bundle of theirs.

use super::{USER, World};
use crate::{Bundle, Fixture, Output};
use serde_json::{Value, json};
use std::fs;

/// A user, in a world in which that user exists, and a bundle as `spec --rootless` makes it.
#[derive(Debug)]
pub struct User<'a> {
    fixture: &'a Fixture,
    /// Where the user exists.
    pub world: World,
    /// Its root file system belongs to the user.
    pub bundle: Bundle,
    /// The delegated cgroup that the user is in.
    pub inside: Option<String>,
}

impl<'a> User<'a> {
    /// The user has the world to itself.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    #[track_caller]
    pub fn new(fixture: &'a Fixture) -> Self {
        let world = World::make(&fixture.file("world"), fixture.tag()).expect("make a world");
        // The build's own folder may be closed to a user.
        fs::copy(fixture.runtime().program(), fixture.file("orlop-runc")).expect("copy");
        let mut user = Self {
            fixture,
            world,
            bundle: fixture.bundle(),
            inside: None,
        };
        fs::remove_file(user.bundle.config_path()).expect("make room");
        let path = user.bundle.path().display().to_string();
        user.root(&format!("chown -hR {} {path}", USER.1)).ok();
        user.call("", "spec --rootless").ok();
        let config = fs::read(user.bundle.config_path()).expect("read the configuration");
        user.bundle.config = serde_json::from_slice(&config).expect("JSON");
        user.bundle.config["process"]["terminal"] = json!(false);
        user.bundle.config["root"]["readonly"] = json!(false);
        user
    }

    /// A line of shell as root, in the user's world.
    #[track_caller]
    pub fn root(&self, line: &str) -> Output {
        self.world.script(line, false).run()
    }

    /// A command of the runtime as the user, through another program if one is named.
    #[track_caller]
    pub fn call(&self, through: &str, command: &str) -> Output {
        let line = format!(
            "export XDG_RUNTIME_DIR=/run/user/{}; cd {}; {through} {} {command}",
            USER.1,
            self.bundle.path().display(),
            self.fixture.file("orlop-runc").display(),
        );
        if let Some(name) = &self.inside {
            // As root, since only root may take a process there from elsewhere.
            let join = format!(
                "for procs in /sys/fs/cgroup/{name}/cgroup.procs /sys/fs/cgroup/*/{name}/cgroup.procs; \
                 do [ ! -e $procs ] || echo $$ >$procs; done; \
                 exec setpriv --reuid {0} --regid {0} --init-groups sh -c \"$1\"",
                USER.1
            );
            let command = self.world.script(&join, false);
            return command.args(["sh", &line]).run();
        }
        self.world.script(&line, true).run()
    }

    /// Sets a field of the configuration, by JSON pointer.
    ///
    /// # Panics
    /// When it lies in nothing.
    #[track_caller]
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        self.bundle.config.pointer_mut(parent).expect("a field")[name] = value;
        self
    }

    /// A shell script in a new container, through another program if one is named.
    ///
    /// # Panics
    /// When the configuration can't be written.
    #[track_caller]
    pub fn run_through(&mut self, through: &str, script: &str) -> Output {
        self.set("/process/args", json!(["sh", "-c", script]));
        self.bundle.write().expect("write the configuration");
        let id = format!("{}-c", self.fixture.tag());
        self.call(through, &format!("run {id}"))
    }

    /// The same, through nothing.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> Output {
        self.run_through("", script)
    }

    /// Ids of the user's own and those that `/etc/subuid` gives.
    pub fn map_many(&mut self) {
        let map = json!([
            { "containerID": 0, "hostID": USER.1, "size": 1 },
            { "containerID": 1, "hostID": 700_000, "size": 65_535 },
        ]);
        self.set("/linux/uidMappings", map.clone());
        self.set("/linux/gidMappings", map);
    }

    /// Root of a user namespace, in which that id is 0.
    pub fn map_root(&mut self) {
        let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
        self.set("/linux/uidMappings", map.clone());
        self.set("/linux/gidMappings", map);
    }
}
