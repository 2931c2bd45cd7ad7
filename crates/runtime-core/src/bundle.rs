//! Bundles: a directory with a `config.json` (OCI runtime specification, `bundle.md`).

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::spec::Spec;

/// The name of a bundle's configuration.
const CONFIG: &str = "config.json";

/// The largest configuration that is read, in bytes.
const MAX_CONFIG: usize = 16 << 20;

/// What most configurations fit into, so that one read gets them.
const USUAL_CONFIG: usize = 64 << 10;

/// A bundle whose configuration was read, once.
#[derive(Debug)]
pub struct Bundle {
    /// The directory, absolute.
    pub path: PathBuf,
    /// What `config.json` says.
    pub spec: Spec,
    /// What is to be said of it in a log.
    pub(crate) warnings: Vec<String>,
    /// `config.json` as it is, but for names of properties that were put right.
    pub(crate) config: Vec<u8>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`Error::NoConfiguration`] when there is no `config.json`, [`Error::System`] when it can't be read,
    /// [`Error::Config`] when that is not what the specification says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_configured(path, CONFIG)
    }

    /// Reads a bundle with another file in `config.json`'s place; it is looked up in the bundle, unless
    /// its path is absolute.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn open_configured(path: impl AsRef<Path>, config: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path.as_ref())
            .context(|| format!("find bundle {}", path.as_ref().display()))?;
        let file = path.join(config);
        let config = read(&file).map_err(|errno| match errno {
            Errno::NOENT => Error::NoConfiguration { path: file.clone() },
            errno => {
                let operation = format!("open bundle configuration {}", file.display());
                Error::system(operation, errno)
            }
        })?;
        if config.len() > MAX_CONFIG {
            let message = format!("{}: larger than {MAX_CONFIG} bytes", file.display());
            return Err(Error::invalid(CONFIG, message));
        }
        let read = Spec::read(&config);
        let read = read.map_err(|error| Error::Config { path: file, error })?;
        let remarks = read.remarks.into_iter();
        Ok(Self {
            path,
            spec: read.value,
            warnings: remarks
                .map(|remark| format!("{CONFIG}: {remark}"))
                .collect(),
            config: read.put_right.map_or(config, String::into_bytes),
        })
    }
}

/// Reads a file, at most one byte more than is allowed.
fn read(path: &Path) -> rustix::io::Result<Vec<u8>> {
    // Without NONBLOCK, a FIFO that nobody writes to would be waited for without end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let mut content = Vec::with_capacity(USUAL_CONFIG);
    loop {
        let read = rustix::io::retry_on_intr(|| {
            rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content))
        });
        let read = match read {
            // A pipe that somebody is writing to.
            Err(Errno::AGAIN) => {
                rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
                continue;
            }
            read => read?,
        };
        if read == 0 || content.len() > MAX_CONFIG {
            content.shrink_to_fit();
            return Ok(content);
        }
        content.reserve(USUAL_CONFIG);
    }
}

/// Parses a configuration; errors name the file.
pub(crate) fn parse(config: &[u8], file: &Path) -> Result<Spec> {
    Spec::from_slice(config).map_err(|error| Error::Config {
        path: file.to_owned(),
        error,
    })
}
