//! Labels of security modules, on hosts that have one.

use orlop_tests::locate::in_path;
use orlop_tests::{Fixture, skip, test_name};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
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
    let unknown = json!(format!("{}-unknown", profile.name));
    let bundle = fixture.bundle().set("/process/apparmorProfile", unknown);
    let refused = fixture.container(&bundle.written()).run();
    refused.fails_naming(&[
        &profile.name,
        "the profile is not loaded",
        "apparmor_parser",
    ]);
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

const SELINUX: &str = "/sys/fs/selinux";
const LABEL: &str = "user_u:base_r:container_t:s0:c1";
const MOUNT_LABEL: &str = "user_u:object_r:container_t:s0:c1";
const SECRET_LABEL: &str = "user_u:object_r:secret_t:s0";

/// SELinux enforces the lab's policy for as long as this lives.
struct Enforcing;

impl Enforcing {
    fn begin(policy: &str) -> Self {
        let policy = fs::read(policy).expect("read the policy");
        fs::write(format!("{SELINUX}/load"), policy).expect("load the policy");
        fs::write(format!("{SELINUX}/enforce"), "1").expect("enforce the policy");
        Self
    }
}

impl Drop for Enforcing {
    fn drop(&mut self) {
        let _ = fs::write(format!("{SELINUX}/enforce"), "0");
    }
}

fn file_label(path: &Path) -> String {
    let mut label = [0; 256];
    let length = rustix::fs::getxattr(path, "security.selinux", &mut label).expect("a label");
    let label = String::from_utf8_lossy(&label[..length]);
    label.trim_end_matches('\0').to_owned()
}

#[test]
fn a_selinux_context_holds_for_init_exec_and_mounts() {
    if !fs::exists(format!("{SELINUX}/load")).unwrap_or(false) {
        skip!("SELinux is not the security module of this host");
    }
    let Ok(policy) = std::env::var("ORLOP_SELINUX_POLICY") else {
        skip!("no policy to try, and this host's own is not the tests' to change");
    };
    let _enforcing = Enforcing::begin(&policy);
    let fixture = Fixture::new(test_name!());
    let bundle = fixture
        .bundle()
        .script("sleep 60")
        .set("/process/selinuxLabel", json!(LABEL))
        .set("/linux/mountLabel", json!(MOUNT_LABEL));
    let secret = bundle.rootfs().join("secret");
    fs::write(&secret, "told").expect("write a file");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&secret, "security.selinux", SECRET_LABEL.as_bytes(), flags)
        .expect("label the file");
    let container = fixture.container(&bundle.written());
    container.create().ok();
    container.start().ok();
    let inside = |words: &[&str]| container.exec(words);
    for process in ["1", "self"] {
        let label = inside(&["cat", &format!("/proc/{process}/attr/current")]).ok();
        assert_eq!(label.stdout.trim_end_matches('\0'), LABEL, "of {process}");
    }
    let root = Path::new("/proc")
        .join(container.pid().to_string())
        .join("root");
    for mount in ["dev", "dev/shm", "dev/pts"] {
        assert_eq!(file_label(&root.join(mount)), MOUNT_LABEL, "of /{mount}");
    }
    let refused = inside(&["cat", "/secret"]);
    assert_eq!(refused.code(), 1, "{refused}");
    assert!(refused.stderr.contains("Permission denied"), "{refused}");
    assert_eq!(fs::read(&secret).expect("the host reads it"), b"told");
    container.delete_force().ok();

    let unknown = "user_u:base_r:nobody_named_it_t:s0";
    for (field, value) in [
        ("process/selinuxLabel", unknown),
        ("linux/mountLabel", unknown),
    ] {
        let bundle = fixture.bundle().set(&format!("/{field}"), json!(value));
        let failed = fixture.container(&bundle.written()).run();
        assert_ne!(failed.code(), 0);
        assert!(failed.stderr.contains(unknown), "{failed}");
    }
    fixture.assert_clean();
}
