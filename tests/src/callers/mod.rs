//! Everyday work of the programs that call a runtime: Docker, Podman, containerd, buildah.
//!
//! An [`Act`] is one line of shell as a user types it, and what it has to give. A [`Stage`] runs it
//! with the runtime under test, and what fails once more with Debian's `runc`: so it is known whose
//! limit it is. Every outcome is one record in the file that `ORLOP_CALLERS` names, of which
//! `scripts/callers` makes `docs/compatibility.md`.
//!
//! Callers run in a [`World`]: private mounts and a private network, with `/run`, `/var/lib` and the
//! user database their own. So a daemon, its bridge and firewall, and a user made for a test are
//! never the machine's.

mod act;
mod daemon;
mod image;
mod stage;
mod user;
mod world;

pub use act::{Act, Section, acts, plays};
pub use daemon::Daemon;
pub use image::{archive as make_archive, make as make_image};
pub use stage::Stage;
pub use user::User;
pub use world::{USER, World};
