//! Network devices that move into the container (`linux.netDevices`).

use orlop_init::Op;

use super::Compiler;
use crate::error::{Error, Result};
use crate::names::CAP_NET_ADMIN;
use crate::plan::MovedDevice;

/// The kernel's `IFNAMSIZ`, without the closing NUL.
const MAX_NAME: usize = 15;

/// What `dev_valid_name` of the kernel says, with words for it.
fn check(name: &str) -> std::result::Result<(), String> {
    let wrong = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
    let reason = match name {
        "" => "is empty".to_owned(),
        "." | ".." => "is no name".to_owned(),
        name if name.len() > MAX_NAME => format!("is longer than {MAX_NAME} bytes"),
        name if name.contains(wrong) => "has a slash, a colon or a space in it".to_owned(),
        _ => return Ok(()),
    };
    Err(format!("{name:?} {reason}"))
}

impl Compiler<'_> {
    /// The caller moves them, as soon as there is a network namespace to move them to.
    pub(super) fn net_devices(&mut self) -> Result<()> {
        if self.linux.net_devices.is_empty() {
            return Ok(());
        }
        if !self.namespaces.is_private(libc::CLONE_NEWNET as u32) {
            let message = "need a network namespace of their own in linux.namespaces";
            return Err(Error::invalid("linux.netDevices", message));
        }
        if !self.host.is_privileged() || !self.host.has_capability(CAP_NET_ADMIN) {
            let message =
                "moving network devices takes a caller with CAP_NET_ADMIN and CAP_SYS_ADMIN";
            return Err(Error::invalid("linux.netDevices", message));
        }
        let mut devices: Vec<MovedDevice> = Vec::new();
        for (name, device) in &self.linux.net_devices {
            let field = format!("linux.netDevices.{name}");
            let new_name = device.name.as_deref().filter(|name| !name.is_empty());
            let new_name = new_name.unwrap_or(name);
            for name in [name.as_str(), new_name] {
                check(name).map_err(|message| Error::invalid(&field, message))?;
            }
            if devices.iter().any(|other| other.new_name == new_name) {
                let message = format!("{new_name:?} is the name of another device, too");
                return Err(Error::invalid(field, message));
            }
            let (name, new_name) = (name.clone(), new_name.to_owned());
            devices.push(MovedDevice { name, new_name });
        }
        self.build.plan.net_devices = devices;
        self.build.at("linux.netDevices");
        self.build.push(Op::NeedDevices {});
        self.build.at_none();
        Ok(())
    }
}
