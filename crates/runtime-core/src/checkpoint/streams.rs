//! The standard streams of a container's first process, which come from outside: whoever restores it
//! gives it others.

use std::collections::BTreeSet;
use std::path::Path;

use super::DESCRIPTORS;
use super::protobuf::Message;
use super::rpc::{self, option};
use crate::error::{Context, Error, Result};
use crate::process_id::ProcessId;

/// What pipes are called in `/proc/PID/fd`, and by criu.
const PIPE: &str = "pipe:";

/// What criu calls files that are not its business.
const FILE: &str = "file[";

/// Who has no stream has this one.
const NULL: &str = "/dev/null";

/// How many there are.
const COUNT: usize = 3;

/// What the streams are, by number: what criu calls those that are not the container's own. Behind
/// them, where runc does not look, are the paths of those that are files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Streams(Vec<String>);

impl Streams {
    /// Those of a running container.
    pub(super) fn of(process: ProcessId) -> Result<Self> {
        let pid = process.pid();
        let path = format!("/proc/{pid}/mountinfo");
        let table = std::fs::read_to_string(&path).context(|| format!("read {path}"))?;
        let mounts = table.lines().filter_map(|line| line.split(' ').next());
        let mounts: BTreeSet<&str> = mounts.collect();
        let streams = [0, 1, 2].map(|number| stream(pid, number, &mounts).unwrap_or_default());
        let (mut keys, paths): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
        keys.extend(paths);
        Ok(Self(keys))
    }

    /// Tells criu which files are not its business. Of pipes it knows.
    pub(super) fn describe(&self, message: &mut Message) {
        let mut told = BTreeSet::new();
        for file in self.0.iter().filter(|stream| stream.starts_with(FILE)) {
            if told.insert(file) {
                message.text(option::EXTERNAL, file);
            }
        }
    }

    /// Writes them beside criu's own images.
    #[expect(
        clippy::disallowed_methods,
        reason = "the images' directory is the caller's, as criu's own files in it are"
    )]
    pub(super) fn write(&self, images: &Path) -> Result<()> {
        let path = images.join(DESCRIPTORS);
        let text = serde_json::to_vec(&self.0).unwrap_or_default();
        std::fs::write(&path, text).context(|| format!("write {}", path.display()))
    }

    /// Reads what was written beside the images.
    pub(super) fn read(images: &Path) -> Result<Self> {
        let path = images.join(DESCRIPTORS);
        let text = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text)
            .map(Self)
            .map_err(|error| Error::State {
                path,
                message: error.to_string(),
            })
    }

    /// Gives what is restored criu's own streams in their place; criu has `/dev/null` open as `null`.
    pub(super) fn replace(&self, message: &mut Message, null: u32) {
        let outside = |stream: &str| stream.starts_with(PIPE) || stream.starts_with(FILE);
        let mut told = BTreeSet::new();
        for (index, stream) in self.0.iter().take(COUNT).enumerate() {
            // Two that were one remain one.
            if outside(stream) && told.insert(stream) {
                let path = self.0.get(COUNT + index).map(String::as_str);
                let number = match path {
                    Some(NULL) => null,
                    _ => index as u32,
                };
                message.message(option::INHERIT_FD, &rpc::numbered(stream, number));
            }
        }
    }
}

/// What criu calls a stream that is a pipe, or a file in a mount that is none of the container's, and
/// the path of a file.
fn stream(pid: i32, number: u32, mounts: &BTreeSet<&str>) -> Option<(String, String)> {
    let link = format!("/proc/{pid}/fd/{number}");
    let target = std::fs::read_link(&link).ok()?;
    let target = target.to_string_lossy().into_owned();
    if !target.starts_with('/') {
        return Some((target, String::new()));
    }
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    let mount = mount.trim();
    if mounts.contains(mount) {
        return Some((String::new(), target));
    }
    let mount: u32 = mount.parse().ok()?;
    let inode = rustix::fs::stat(&link).ok()?.st_ino;
    Some((format!("{FILE}{mount:x}:{inode:x}]"), target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::Scratch;

    #[test]
    fn streams_are_written_and_read() {
        let scratch = Scratch::new();
        let streams = Streams(
            ["pipe:[7]", "/dev/null", "file[1f:a]"]
                .map(str::to_owned)
                .into(),
        );
        streams.write(scratch.path()).unwrap();
        assert_eq!(Streams::read(scratch.path()).unwrap(), streams);
        std::fs::write(scratch.path().join(DESCRIPTORS), "{").unwrap();
        let error = Streams::read(scratch.path()).unwrap_err().to_string();
        assert!(error.contains(DESCRIPTORS), "{error}");
    }
}
