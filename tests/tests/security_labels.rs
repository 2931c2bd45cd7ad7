//! Labels of security modules, on hosts that have one.

use orlop_tests::locate::in_path;
use orlop_tests::{Fixture, skip, test_name};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// A profile in the kernel, for as long as this lives.
struct Profile {
    name: String,
}

impl Profile {
    /// One that allows all but reading `/secret`.
    fn load() -> Self {
        let profile = Self {
            name: format!("orlop-test-{}", std::process::id()),
        };
        profile.parser("--replace");
        profile
    }

    fn parser(&self, what: &str) {
        let rules = "file, capability, network, signal, ptrace, unix, deny /secret r,";
        let text = format!(
            "profile {} flags=(attach_disconnected) {{ {rules} }}\n",
            self.name
        );
        let mut parser = Command::new("apparmor_parser")
            .args([what, "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("start apparmor_parser");
        let mut input = parser.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("write the profile");
        drop(input);
        assert!(parser.wait().expect("wait for it").success(), "{what}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("--remove");
    }
}

#[test]
fn an_apparmor_profile_holds_for_init_and_for_exec() {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if !enabled.is_ok_and(|text| text.starts_with('Y')) {
        skip!("AppArmor is not enabled on this host");
    }
    if in_path("apparmor_parser").is_none() {
        skip!("no apparmor_parser (package apparmor) to load a profile");
    }
    if !fs::exists("/sys/kernel/security/apparmor/.replace").unwrap_or(false) {
        skip!("no securityfs at /sys/kernel/security to load a profile by");
    }
    let fixture = Fixture::new(test_name!());
    let profile = Profile::load();
    let bundle = fixture
        .bundle()
        .script("cat /proc/self/attr/current; cat /secret; sleep 60")
        .set("/process/apparmorProfile", json!(profile.name));
    fs::write(bundle.rootfs().join("secret"), "told").expect("write a file");
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    let enforced = format!("{} (enforce)\n", profile.name);
    let inside = |words: &[&str]| container.exec(words);
    assert_eq!(
        inside(&["cat", "/proc/1/attr/current"]).ok().stdout,
        enforced
    );
    assert_eq!(
        inside(&["cat", "/proc/self/attr/current"]).ok().stdout,
        enforced
    );
    let refused = inside(&["cat", "/secret"]);
    assert_eq!(refused.code(), 1, "{refused}");
    assert!(
        refused.stderr.contains("Permission denied"),
        "what is denied is the file: {refused}"
    );
    container.delete_force().ok();

    let unknown = fixture.bundle().set(
        "/process/apparmorProfile",
        json!("orlop-test-nobody-loaded-it"),
    );
    let failed = fixture.container(&unknown.written()).run();
    assert_ne!(failed.code(), 0);
    assert!(
        failed.stderr.contains("orlop-test-nobody-loaded-it"),
        "{failed}"
    );
    fixture.assert_clean();
}
