//! A Plan for people and for programs.

use std::fmt;

use orlop_init::wire::{Slot, Value};
use serde_json::{Map, json};

use super::{MountIdMap, MountIds, Plan, Source, Step};
use crate::{names, spec};

/// A Plan as text: first what the caller prepares, then one line for each operation of init.
#[derive(Debug)]
pub struct PlanText<'a>(pub(super) &'a Plan);

impl fmt::Display for PlanText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.0;
        if let Some(cgroup) = &plan.cgroup {
            writeln!(f, "cgroup {}", cgroup.path)?;
        }
        if let Some(maps) = &plan.id_maps {
            for (kind, lines) in [("uid", &maps.uids), ("gid", &maps.gids)] {
                for line in lines {
                    let (inside, outside, size) = (line.container_id, line.host_id, line.size);
                    writeln!(f, "map {kind} {inside} to {outside}, {size} ids")?;
                }
            }
        }
        for (slot, source) in plan.sources.iter().enumerate() {
            writeln!(f, "open %{slot} {}", source_text(source))?;
        }
        if let Some(resctrl) = &plan.resctrl {
            writeln!(f, "resctrl {}", resctrl.group.display())?;
        }
        for device in &plan.net_devices {
            writeln!(f, "move device {} as {}", device.name, device.new_name)?;
        }
        writeln!(f, "clone {}", names::namespaces(plan.clone_flags))?;
        for (index, step) in plan.steps.iter().enumerate() {
            writeln!(f, "{index:>3} {}", step_text(plan, step))?;
        }
        Ok(())
    }
}

fn source_text(source: &Source) -> String {
    match source {
        Source::Root { path, propagation } => {
            format!(
                "rootfs {} {}",
                path.display(),
                names::propagation(*propagation)
            )
        }
        Source::RootDir { path } => format!("directory {}", path.display()),
        Source::HostRoot { path } => {
            format!("rootfs {} private, attached there", path.display())
        }
        Source::TargetRoot => "root of the container".to_owned(),
        Source::Tree(tree) => {
            let set = tree.attr.set | tree.recursive_attr.set;
            let deep = if tree.recursive { "rbind" } else { "bind" };
            let apart = match tree.apart {
                0 => String::new(),
                apart => format!("{}, then ", names::propagation(apart)),
            };
            let propagation = names::propagation(tree.propagation);
            let attributes = names::mount_attributes(set);
            let ids = tree.id_map.as_ref().map(id_map_text).unwrap_or_default();
            let path = tree.path.display();
            format!("{deep} {path} {apart}{propagation}{attributes}{ids}")
        }
        Source::Namespace { path, kind, .. } => {
            format!("{} namespace {}", names::namespaces(*kind), path.display())
        }
        Source::Tasks { path } => format!("cgroup's tasks {}", path.display()),
        Source::Target => "pidfd of the container".to_owned(),
        Source::Given(n) => format!("given file {n}"),
    }
}

fn id_map_text(map: &MountIdMap) -> String {
    let name = if map.recursive { "ridmap" } else { "idmap" };
    match &map.ids {
        MountIds::Namespace(path) => format!(" {name} of {}", path.display()),
        MountIds::Maps(maps) => {
            let lines = |lines: &[spec::IdMapping]| {
                let texts = lines
                    .iter()
                    .map(|line| format!("{}-{}-{}", line.container_id, line.host_id, line.size));
                texts.collect::<Vec<_>>().join("#")
            };
            format!(
                " {name} uids={};gids={}",
                lines(&maps.uids),
                lines(&maps.gids)
            )
        }
    }
}

fn step_text(plan: &Plan, step: &Step) -> String {
    let mut text = step.op.name().to_owned();
    step.op.fields(|name, value| {
        text.push(' ');
        text.push_str(name);
        text.push('=');
        text.push_str(&value_text(plan, name, value));
    });
    if let Some(field) = &step.field {
        text.push_str("  # ");
        text.push_str(field);
    }
    text
}

fn value_text(plan: &Plan, name: &str, value: Value) -> String {
    match value {
        Value::Number(number) => number_text(name, number),
        Value::Bool(choice) => choice.to_string(),
        Value::Slot(Slot(slot)) => format!("%{slot}"),
        Value::Str(text) => format!("{:?}", plan.str(text)),
        Value::Blob(_) if name == "filter" => "compiled".to_owned(),
        Value::Blob(blob) => format!("{:?}", numbers(plan, blob)),
        Value::List(list) => format!("{:?}", plan.strings(list)),
        Value::OnError(choice) => format!("{choice:?}"),
    }
}

/// Bit sets and modes are read more easily in their usual base.
fn number_text(name: &str, number: u64) -> String {
    match name {
        "mode" | "mask" => format!("0o{number:o}"),
        "keep" | "effective" | "permitted" | "inheritable" | "ambient" | "set" | "clear" => {
            format!("{number:#x}")
        }
        "nice" => (number as u32).cast_signed().to_string(),
        "flags" => format!("{number:#x}"),
        "propagation" => names::propagation(number).to_owned(),
        _ => number.to_string(),
    }
}

fn numbers(plan: &Plan, blob: orlop_init::wire::Blob) -> Vec<u32> {
    let start = blob.offset as usize;
    let bytes = plan
        .arena
        .get(start..start + blob.len as usize)
        .unwrap_or_default();
    let words = bytes.chunks_exact(4);
    words
        .map(|word| word.try_into().map_or(0, u32::from_ne_bytes))
        .collect()
}

pub(super) fn json(plan: &Plan) -> serde_json::Value {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| step_json(plan, step))
        .collect();
    let sources: Vec<_> = plan.sources.iter().map(source_text).collect();
    let maps = plan
        .id_maps
        .as_ref()
        .map(|maps| json!({"uid": maps.uids, "gid": maps.gids}));
    json!({
        "planVersion": 1,
        "cgroup": plan.cgroup.as_ref().map(|cgroup| cgroup.path.to_string()),
        "idMaps": maps,
        "netDevices": plan.net_devices.iter().map(|one| (&one.name, &one.new_name)).collect::<std::collections::BTreeMap<_, _>>(),
        "clone": names::namespaces(plan.clone_flags),
        "sources": sources,
        "steps": steps,
        "warnings": plan.warnings,
    })
}

fn step_json(plan: &Plan, step: &Step) -> serde_json::Value {
    let mut fields = Map::new();
    step.op.fields(|name, value| {
        let value = match value {
            Value::Number(number) => json!(number),
            Value::Bool(choice) => json!(choice),
            Value::Slot(Slot(slot)) => json!({ "slot": slot }),
            Value::Str(text) => json!(plan.str(text)),
            Value::Blob(_) if name == "filter" => json!("compiled"),
            Value::Blob(blob) => json!(numbers(plan, blob)),
            Value::List(list) => json!(plan.strings(list)),
            Value::OnError(choice) => json!(format!("{choice:?}")),
        };
        fields.insert(name.to_owned(), value);
    });
    json!({
        "op": step.op.name(),
        "text": plan.describe(&step.op),
        "field": step.field,
        "args": fields,
    })
}
