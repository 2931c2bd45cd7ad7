mod on_v1 {
    use super::super::*;
    use crate::device::{Access, DeviceKind, DeviceRule};
    use crate::limits::{DeviceRate, DeviceWeight, InterfacePriority};
    use crate::units::{Bytes, DeviceNumber, Micros};

    fn all(limits: &Limits) -> Result<Vec<Setting>> {
        settings(limits, |_| Some(Version::V1))
    }

    fn shown(limits: &Limits) -> Vec<String> {
        all(limits)
            .unwrap()
            .iter()
            .map(|s| format!("{}={}", s.file, s.value))
            .collect()
    }

    #[test]
    fn memory_goes_before_memory_and_swap() {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(1))
            .memory_and_swap_limit(Bytes::mib(2));
        assert_eq!(
            shown(&limits),
            [
                "memory.limit_in_bytes=1048576",
                "memory.memsw.limit_in_bytes=2097152"
            ]
        );
        // Unlimited memory takes a swap bound that nobody asked for with it.
        assert_eq!(
            shown(&Limits::new().memory_limit(Limit::Max)),
            ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]
        );
    }

    #[test]
    fn the_rest_of_memory() {
        let mut limits = Limits::new().memory_reservation(Bytes(4096));
        limits.memory.swappiness = Some(0);
        limits.memory.disable_oom_killer = Some(true);
        limits.memory.kernel_tcp = Some(Limit::Max);
        assert_eq!(
            shown(&limits),
            [
                "memory.soft_limit_in_bytes=4096",
                "memory.kmem.tcp.limit_in_bytes=-1",
                "memory.swappiness=0",
                "memory.oom_control=1",
            ]
        );
    }

    #[test]
    fn cpu_and_cpuset() {
        let mut limits = Limits::new()
            .cpu_shares(512)
            .cpu_quota(Micros(5000), Micros(10_000))
            .cpus("0-1")
            .mems("0");
        limits.cpu.burst = Some(Micros(100));
        assert_eq!(
            shown(&limits),
            [
                "cpu.shares=512",
                "cpu.cfs_period_us=10000",
                "cpu.cfs_quota_us=5000",
                "cpu.cfs_burst_us=100",
                "cpuset.cpus=0-1",
                "cpuset.mems=0",
            ]
        );
    }

    #[test]
    fn shares_are_written_while_the_cgroup_is_awake() {
        let mut limits = Limits::new().cpu_shares(2);
        limits.cpu.idle = Some(true);
        assert_eq!(shown(&limits), ["cpu.shares=2", "cpu.idle=1"]);
        limits.cpu.idle = Some(false);
        assert_eq!(shown(&limits), ["cpu.idle=0", "cpu.shares=2"]);
    }

    #[test]
    fn pids_block_io_and_devices() {
        let device = DeviceNumber {
            major: 8,
            minor: 16,
        };
        let mut limits = Limits::new().pids_limit(Limit::Max).blkio_weight(500);
        limits.blkio.weight_device = vec![DeviceWeight {
            device,
            weight: Some(10),
            leaf_weight: Some(20),
        }];
        limits.blkio.write_bps = vec![DeviceRate { device, rate: 1024 }];
        limits.devices = Some(vec![DeviceRule::allow(
            DeviceKind::Char,
            Some(1),
            None,
            Access::READ,
        )]);
        assert_eq!(
            shown(&limits),
            [
                "pids.max=max",
                "blkio.bfq.weight=500",
                "blkio.bfq.weight_device=8:16 10",
                "blkio.leaf_weight_device=8:16 20",
                "blkio.throttle.write_bps_device=8:16 1024",
                "devices.deny=a",
                "devices.allow=c 1:* r",
            ]
        );
    }

    #[test]
    fn network() {
        let mut limits = Limits::new();
        limits.network.class_id = Some(0x10_0001);
        limits.network.priorities = vec![InterfacePriority {
            interface: "eth0".into(),
            priority: 5,
        }];
        assert_eq!(
            shown(&limits),
            ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"]
        );
    }

    #[test]
    fn out_of_range() {
        let mut limits = Limits::new();
        limits.memory.swappiness = Some(101);
        assert!(
            all(&limits)
                .unwrap_err()
                .to_string()
                .starts_with("memory.swappiness: ")
        );
        let limits = Limits::new().blkio_weight(9);
        assert!(
            all(&limits)
                .unwrap_err()
                .to_string()
                .starts_with("blockIO.weight: ")
        );
    }
}

mod both {
    use super::super::*;
    use crate::units::Bytes;

    #[test]
    fn a_hybrid_host_takes_each_from_where_it_is() {
        let mut limits = Limits::new()
            .memory_limit(Bytes(4096))
            .pids_limit(Limit::Max);
        limits.hugepages = vec![HugepageLimit {
            page_size: "2MB".parse().unwrap(),
            limit: Bytes::mib(4).into(),
        }];
        let version = |controller| match controller {
            Controller::Hugetlb => Some(Version::V2),
            Controller::NetCls => None,
            _ => Some(Version::V1),
        };
        let files: Vec<_> = settings(&limits, version)
            .unwrap()
            .into_iter()
            .map(|s| s.file.into_owned())
            .collect();
        let expected = [
            "memory.limit_in_bytes",
            "pids.max",
            "hugetlb.2MB.max",
            "hugetlb.2MB.rsvd.max",
        ];
        assert_eq!(files, expected);
        limits.network.class_id = Some(1);
        let error = settings(&limits, version).unwrap_err().to_string();
        assert!(
            error.starts_with("network.classID: cgroup controller net_cls is not"),
            "{error}"
        );
        let on_v1 = Limits::new().unified("memory.high", "1");
        let error = settings(&on_v1, version).unwrap_err().to_string();
        assert!(
            error.starts_with("unified: memory.high is a file of cgroup v2"),
            "{error}"
        );
    }

    #[test]
    fn unified_values_go_line_by_line_and_last() {
        let limits = Limits::new()
            .unified("io.max", "8:0 rbps=1\n8:16 rbps=2\n")
            .pids_limit(1);
        let shown: Vec<_> = settings(&limits, |_| Some(Version::V2))
            .unwrap()
            .iter()
            .map(|s| format!("{}={}", s.file, s.value))
            .collect();
        assert_eq!(
            shown,
            ["pids.max=1", "io.max=8:0 rbps=1", "io.max=8:16 rbps=2"]
        );
    }

    #[test]
    fn rdma_and_its_names() {
        let mut limits = Limits::new();
        let entry = |device: &str| RdmaLimit {
            device: device.into(),
            handles: Some(Limit::Value(3)),
            objects: Some(Limit::Max),
        };
        limits.rdma = vec![entry("mlx4_0")];
        let all = |limits: &Limits| settings(limits, |_| Some(Version::V1));
        assert_eq!(
            all(&limits).unwrap()[0].value,
            "mlx4_0 hca_handle=3 hca_object=max"
        );
        for bad in ["", "a b", "a\nb", "a=b"] {
            limits.rdma = vec![entry(bad)];
            assert!(all(&limits).is_err(), "{bad:?}");
        }
    }
}

mod on_v2 {
    use super::super::*;
    use crate::limits::{DeviceRate, DeviceWeight};
    use crate::units::{Bytes, DeviceNumber, Micros};

    fn all(limits: &Limits) -> Result<Vec<Setting>> {
        settings(limits, |_| Some(Version::V2))
    }

    fn shown(limits: &Limits) -> Vec<String> {
        all(limits)
            .unwrap()
            .iter()
            .map(|s| format!("{}={}", s.file, s.value))
            .collect()
    }

    #[test]
    fn memory_and_swap_are_taken_apart() {
        let limits = Limits::new()
            .memory_limit(Bytes::mib(1))
            .memory_and_swap_limit(Bytes::mib(3))
            .memory_reservation(Bytes(4096));
        assert_eq!(
            shown(&limits),
            [
                "memory.swap.max=2097152",
                "memory.max=1048576",
                "memory.low=4096"
            ]
        );
    }

    #[test]
    fn a_missing_swap_file_matters_only_to_a_real_bound() {
        let absent = |both: Bytes| {
            let limits = Limits::new()
                .memory_limit(Bytes(8))
                .memory_and_swap_limit(both);
            all(&limits).unwrap().remove(0).absent
        };
        assert_eq!(absent(Bytes(8)), Absent::Ignore);
        assert_eq!(absent(Bytes(9)), Absent::Refuse);
    }

    #[test]
    fn cpu() {
        let mut limits = Limits::new()
            .cpu_shares(1024)
            .cpu_quota(Micros(50_000), Micros(100_000));
        limits.cpu.burst = Some(Micros(10));
        assert_eq!(
            shown(&limits),
            ["cpu.weight=100", "cpu.max=50000 100000", "cpu.max.burst=10"]
        );
        limits = Limits::new().cpus("1").mems("0");
        limits.cpu.quota = Some(Limit::Max);
        assert_eq!(
            shown(&limits),
            ["cpu.max=max", "cpuset.cpus=1", "cpuset.mems=0"]
        );
        limits = Limits::new();
        limits.cpu.period = Some(Micros(20_000));
        assert_eq!(shown(&limits), ["cpu.max=max 20000"]);
    }

    #[test]
    fn pids_and_block_io() {
        let device = DeviceNumber { major: 8, minor: 0 };
        let mut limits = Limits::new().pids_limit(0).blkio_weight(100);
        limits.blkio.weight_device = vec![DeviceWeight {
            device,
            weight: Some(1000),
            leaf_weight: None,
        }];
        limits.blkio.read_bps = vec![DeviceRate { device, rate: 7 }];
        limits.blkio.write_iops = vec![DeviceRate { device, rate: 0 }];
        assert_eq!(
            shown(&limits),
            [
                "pids.max=0",
                "io.bfq.weight=100",
                "io.bfq.weight=8:0 1000",
                "io.max=8:0 rbps=7",
                "io.max=8:0 wiops=max",
            ]
        );
        let alternatives: Vec<_> = all(&limits)
            .unwrap()
            .into_iter()
            .map(|s| s.absent)
            .skip(1)
            .take(2)
            .collect();
        assert_eq!(
            alternatives,
            [
                Absent::Instead {
                    file: "io.weight",
                    value: "default 910".into()
                },
                Absent::Instead {
                    file: "io.weight",
                    value: "8:0 10000".into()
                },
            ]
        );
    }

    #[test]
    fn v1_only_limits_are_refused_by_name() {
        let mut limits = Limits::new();
        limits.memory.kernel = Some(Limit::Max);
        limits.memory.disable_oom_killer = Some(false);
        assert!(shown(&limits).is_empty());
        limits.memory.swappiness = Some(10);
        let error = all(&limits).unwrap_err().to_string();
        assert!(error.starts_with("memory.swappiness: cgroup v2"), "{error}");
    }
}
