//! Writing to a device.

use orlop_tests::Fixture;
use orlop_tests::patience::patient;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::controllers::need;
use crate::{Lacking, Outcome, bundle};

/// A block device over a file, given back when dropped.
struct Loop(PathBuf);

impl Loop {
    fn over(file: &Path) -> Option<Self> {
        fs::File::create(file)
            .and_then(|made| made.set_len(8 << 20))
            .expect("make the device's file");
        let mut losetup = Command::new("losetup");
        let output = losetup.args(["--find", "--show"]).arg(file).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output
            .status
            .success()
            .then(|| Self(PathBuf::from(path.trim())))
    }

    fn number(&self) -> (u32, u32) {
        let stat = rustix::fs::stat(&self.0).expect("look at the device");
        let number = stat.st_rdev;
        (rustix::fs::major(number), rustix::fs::minor(number))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .arg("--detach")
            .arg(&self.0)
            .status();
    }
}

pub(crate) fn a_writer_gets_its_throttle(fixture: &Fixture) -> Outcome {
    need(&["blkio"])?;
    let Some(device) = Loop::over(&fixture.file("disk")) else {
        return Err(Lacking(
            "no block device can be made: losetup fails".to_owned(),
        ));
    };
    let (major, minor) = device.number();
    let rate = json!({ "major": major, "minor": minor, "rate": 1 << 20 });
    let access = json!({ "allow": true, "type": "b", "major": major, "minor": minor,
                         "access": "rw" });
    let node = json!({ "path": "/dev/disk", "type": "b", "major": major, "minor": minor });
    let write = "exec dd if=/dev/zero of=/dev/disk bs=65536 count=48 oflag=direct";
    let bundle = bundle(
        fixture,
        "blockIO",
        json!({ "throttleWriteBpsDevice": [rate] }),
    )
    .set("/linux/resources/devices/-", access)
    .set("/linux/devices", json!([node]))
    .script(write);
    let container = fixture.container(&bundle.written());
    let begin = Instant::now();
    let output = container
        .call("run")
        .limit(patient(Duration::from_secs(20)))
        .run();
    output.ok();
    // Three mebibytes at one a second; the kernel lets a first slice through.
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(2500), "{took:?}");
    fixture.assert_clean();
    Ok(())
}
