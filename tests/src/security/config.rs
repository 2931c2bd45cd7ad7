//! Changes to a bundle's configuration that many attacks start from.

use crate::bundle::Bundle;
use serde_json::{Value, json};
use std::path::Path;

/// Removes the mounts at these destinations.
#[must_use]
pub fn without_mounts(mut bundle: Bundle, destinations: &[&str]) -> Bundle {
    if let Some(mounts) = bundle.config["mounts"].as_array_mut() {
        mounts.retain(|mount| !destinations.iter().any(|d| mount["destination"] == *d));
    }
    bundle
}

/// Removes all mounts on and below `/dev`, so that the image's own `/dev` is used.
#[must_use]
pub fn with_image_dev(mut bundle: Bundle) -> Bundle {
    if let Some(mounts) = bundle.config["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            !mount["destination"]
                .as_str()
                .is_some_and(|path| path.starts_with("/dev"))
        });
    }
    bundle.set("/root/readonly", json!(false))
}

/// Adds a mount.
#[must_use]
pub fn mount(
    bundle: Bundle,
    kind: &str,
    source: &str,
    destination: &str,
    options: &[&str],
) -> Bundle {
    let mount = json!({
        "type": kind, "source": source, "destination": destination, "options": options
    });
    bundle.set("/mounts/-", mount)
}

/// Adds a recursive bind mount.
#[must_use]
pub fn bind(bundle: Bundle, source: &Path, destination: &str) -> Bundle {
    let source = source.display().to_string();
    mount(bundle, "bind", &source, destination, &["rbind"])
}

/// Adds an empty tmpfs.
#[must_use]
pub fn tmpfs(bundle: Bundle, destination: &str) -> Bundle {
    mount(bundle, "tmpfs", "tmpfs", destination, &["nosuid", "nodev"])
}

/// Sets all five capability sets but the ambient one, which stays empty, to these.
#[must_use]
pub fn capabilities(bundle: Bundle, names: &[&str]) -> Bundle {
    let sets = json!({ "bounding": names, "effective": names, "permitted": names });
    bundle.set("/process/capabilities", sets)
}

/// Removes a namespace.
#[must_use]
pub fn without_namespace(mut bundle: Bundle, kind: &str) -> Bundle {
    if let Some(list) = bundle.config["linux"]["namespaces"].as_array_mut() {
        list.retain(|namespace| namespace["type"] != kind);
    }
    bundle
}

/// Adds a user namespace in which the container's ids from 0 on are the host's from `first` on.
#[must_use]
pub fn user_namespace(bundle: Bundle, first: u32, size: u32) -> Bundle {
    let map = json!([{ "containerID": 0, "hostID": first, "size": size }]);
    bundle
        .set("/linux/namespaces/-", json!({ "type": "user" }))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
}

/// Joins the namespace of that kind of a process.
#[must_use]
pub fn join_namespace(bundle: Bundle, kind: &str, pid: u32) -> Bundle {
    let path = format!("/proc/{pid}/ns/{kind}");
    without_namespace(bundle, kind)
        .set("/linux/namespaces/-", json!({ "type": kind, "path": path }))
}

/// Runs as that user.
#[must_use]
pub fn user(bundle: Bundle, uid: u32, gid: u32) -> Bundle {
    bundle.set("/process/user", json!({ "uid": uid, "gid": gid }))
}

/// Removes the member of an object.
#[must_use]
pub fn without(mut bundle: Bundle, pointer: &str) -> Bundle {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    if let Some(Value::Object(map)) = bundle.config.pointer_mut(parent) {
        map.remove(name);
    }
    bundle
}
