//! Bundles with a busybox root file system.

use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The statically linked busybox of Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// Applets that tests use. All would make each bundle 300 links larger.
const APPLETS: &[&str] = &[
    "[", "awk", "cat", "chmod", "chown", "cp", "cut", "dd", "df", "dmesg", "echo", "env", "expr",
    "false", "find", "grep", "head", "hostname", "id", "ifconfig", "ip", "kill", "ln", "ls",
    "mkdir", "mknod", "mount", "mv", "nproc", "od", "printf", "ps", "pwd", "readlink", "rm", "sed",
    "seq", "sh", "sleep", "sort", "stat", "stty", "sync", "tail", "tee", "test", "timeout", "top",
    "touch", "tr", "true", "tty", "ulimit", "umount", "uname", "unshare", "wc", "whoami", "yes",
];

/// A bundle folder: `config.json`, and `rootfs` with busybox.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    /// The configuration. Call [`Bundle::write`] after a change.
    pub config: Value,
}

impl Bundle {
    /// Makes the folder with a busybox root file system and [`default_config`], written.
    ///
    /// # Errors
    /// `NotFound` without busybox-static, otherwise what the file system reports.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        make_rootfs(&path.join("rootfs"))?;
        let bundle = Self {
            path: path.to_path_buf(),
            config: default_config(),
        };
        bundle.write()?;
        Ok(bundle)
    }

    /// The bundle's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root file system.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// Where the configuration is.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// Writes [`Bundle::config`] to `config.json`.
    ///
    /// # Errors
    /// What `open(2)` and `write(2)` report.
    pub fn write(&self) -> io::Result<()> {
        fs::write(self.config_path(), serde_json::to_vec_pretty(&self.config)?)
    }

    /// Sets the program to run.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.config["process"]["args"] = json!(args);
        self
    }

    /// Sets a shell script to run.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        self.args(&["sh", "-c", script])
    }

    /// Sets the value at a JSON pointer (RFC 6901), making objects on the way; a last token `-`
    /// appends to an array.
    ///
    /// # Panics
    /// When the pointer leads through something that is neither object nor array.
    #[must_use]
    #[track_caller]
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut place = &mut self.config;
        for token in pointer.split('/').skip(1) {
            if place.is_null() {
                *place = if token == "-" { json!([]) } else { json!({}) };
            }
            place = match place {
                Value::Object(map) => map.entry(token).or_insert(Value::Null),
                Value::Array(list) => {
                    if token == "-" {
                        list.push(Value::Null);
                        list.last_mut().expect("just pushed")
                    } else {
                        let index: usize = token.parse().expect("an array's index");
                        &mut list[index]
                    }
                }
                other => panic!("{pointer}: {token} is below {other}"),
            };
        }
        *place = value;
        self
    }

    /// Writes the configuration and returns the bundle; the end of a chain of changes.
    ///
    /// # Panics
    /// When the file can't be written.
    #[must_use]
    #[track_caller]
    pub fn written(self) -> Self {
        self.write().expect("write config.json");
        self
    }
}

/// Makes a root file system with busybox and the folders and files an image has.
///
/// # Errors
/// `NotFound` without busybox-static, otherwise what the file system reports.
pub fn make_rootfs(root: &Path) -> io::Result<()> {
    for folder in [
        "bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(BUSYBOX, root.join("bin/busybox")).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("copy {BUSYBOX}: {error} (apt-get install busybox-static)"),
        )
    })?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")
}

/// What runc's `spec` writes, but runs `true` without a terminal.
#[must_use]
pub fn default_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm"
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "contained",
        "mounts": default_mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "network" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" }
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/proc/scsi"
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"
            ]
        }
    })
}

fn default_mounts() -> Value {
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        {
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]
        },
        {
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        },
        {
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
        },
        {
            "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"]
        },
        {
            "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]
        },
        {
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
        }
    ])
}
