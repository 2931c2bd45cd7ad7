//! The guides' commands work, as they stand.

use orlop_tests::{Fixture, skip, test_name};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// All commands of a guide, in order.
fn commands(guide: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides");
    let text = fs::read_to_string(path.join(guide)).expect("the guide is there");
    let mut script = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => script.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(!script.is_empty(), "{guide} has no commands");
    script
}

#[test]
fn limits() {
    let has = |program: &str| Command::new(program).arg("--help").output().is_ok();
    if !has("jq") || !Path::new("/bin/busybox").exists() {
        skip!("needs jq and busybox-static");
    }
    let fixture = Fixture::new(test_name!());
    // The runtime under its own name, with the fixture's state folder.
    let bin = fixture.file("bin");
    fs::create_dir(&bin).unwrap();
    let wrapper = format!(
        "#!/bin/sh\nexec {} --root {} \"$@\"\n",
        fixture.runtime().program().display(),
        fixture.runtime().root().display()
    );
    let program = bin.join("orlop-runc");
    fs::write(&program, wrapper).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let work = fixture.file("work");
    fs::create_dir(&work).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands("limits.md")])
        .current_dir(&work)
        .env("PATH", format!("{}:{path}", bin.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    assert!(said.contains("67108864"), "{said}");
    fixture.assert_clean();
}
