//! Private mounts and a private network for a caller and its containers.

use crate::call::Call;
use crate::census::TAG_VARIABLE;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The user of the world's own user database: name and id. It has [`World::SUB_IDS`], and is in the
/// group of the next id, too.
pub const USER: (&str, u32) = ("orlop-user", 61_234);

/// Where distributions install programs; what is elsewhere is not theirs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

const READY: Duration = Duration::from_secs(10);

/// What is done in the new namespaces, before anything else runs in them. `$1` is a folder for the
/// world's own files. Not `/tmp`: the test's folder is there.
const SET_UP: &str = r#"
set -e
for folder in /run /var/lib/containers /var/lib/docker /var/lib/containerd /var/lib/cni; do
    if [ -d $folder ]; then mount -t tmpfs -o mode=755 world $folder; fi
done
mkdir -p /run/lock /run/user/$3
chown $3:$3 /run/user/$3
chmod 700 /run/user/$3
for name in passwd group subuid subgid; do
    [ -e /etc/$name ] || continue
    grep -v -e "^$2:" -e "^$2-more:" /etc/$name >$1/$name || :
done
echo "$2:x:$3:$3::$1/home:/bin/sh" >>$1/passwd
echo "$2:x:$3:" >>$1/group
echo "$2-more:x:$(($3 + 1)):$2" >>$1/group
echo "$2:$4" >>$1/subuid
echo "$2:$4" >>$1/subgid
for name in passwd group subuid subgid; do
    [ -e /etc/$name ] || continue
    mount --bind $1/$name /etc/$name
done
mkdir -p $1/home
chown $3:$3 $1/home
ip link set lo up
: >$1/ready
exec sleep 86400
"#;

/// Namespaces that last as long as this value, and what runs in them.
#[derive(Debug)]
pub struct World {
    holder: Child,
    tag: String,
}

impl World {
    /// The further ids of [`USER`], as `/etc/subuid` has them: the first, and how many.
    pub const SUB_IDS: &'static str = "700000:65536";

    /// Whether a program of the distribution's is installed.
    #[must_use]
    pub fn has(program: &str) -> bool {
        PATH.split(':')
            .any(|folder| Path::new(folder).join(program).exists())
    }

    /// Makes one; its own files go into a new folder, `tag` into the environment of all that runs in
    /// it.
    ///
    /// # Errors
    /// What went wrong, from `unshare(1)` or the set-up.
    pub fn make(folder: &Path, tag: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let log = fs::File::create(folder.join("log"))?;
        let holder = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private"])
            .args(["sh", "-c", SET_UP, "sh"])
            .arg(folder)
            .args([USER.0, &USER.1.to_string(), Self::SUB_IDS])
            .env(TAG_VARIABLE, tag)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut world = Self {
            holder,
            tag: tag.to_owned(),
        };
        let end = Instant::now() + READY;
        while !folder.join("ready").exists() {
            if world.holder.try_wait()?.is_some() || Instant::now() > end {
                let why = fs::read_to_string(folder.join("log"))?;
                return Err(io::Error::other(format!("no private world: {why}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(world)
    }

    /// A program in this world, as root.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder.id().to_string()])
            .args(["--mount", "--net", "--"])
            .arg(program)
            .env("PATH", PATH)
            .env(TAG_VARIABLE, &self.tag);
        command
    }

    /// A shell script in this world, as root or as [`USER`].
    #[must_use]
    pub fn script(&self, script: &str, as_user: bool) -> Call {
        let (name, id) = (USER.0, USER.1.to_string());
        let mut command = if as_user {
            let mut command = self.command("setpriv");
            command
                .args(["--reuid", &id, "--regid", &id, "--init-groups"])
                .args(["--inh-caps=-all", "--bounding-set=+all", "sh", "-c", script]);
            command.env("USER", name).env("LOGNAME", name);
            command
        } else {
            let mut command = self.command("sh");
            command.args(["-c", script]);
            command
        };
        command.env_remove("XDG_RUNTIME_DIR");
        Call::new(command, Vec::new(), None)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
