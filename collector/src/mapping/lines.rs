//! What the older lines and CORE say, in their own shapes, as records.

use pulse_proto::model::{Dataset, IngestRecord, Pool, UnixMillis, Zfs};

use super::Mapped;
use super::samples::mapped;
use crate::api::Tag;

fn of(parts: &[(Tag, &str)]) -> Mapped {
    let replies: Vec<_> = parts.iter().map(|(tag, reply)| (*tag, (*reply).to_owned())).collect();
    let mapped = mapped(&replies);
    assert_eq!(mapped.skipped, [], "everything is understood");
    mapped
}

fn one<'a>(mapped: &'a Mapped, id: &str) -> &'a IngestRecord {
    let found =
        mapped.records.iter().find(|record| record.source_id.as_str() == format!("system:conn-1{id}"));
    found.unwrap_or_else(|| panic!("no record {id}"))
}

fn pool<'a>(mapped: &'a Mapped, name: &str) -> &'a Pool {
    match one(mapped, &format!("/pool:{name}")).facets.storage.as_ref().and_then(|s| s.zfs.as_ref()) {
        Some(Zfs::Pool(pool)) => pool,
        other => panic!("no pool: {other:?}"),
    }
}

fn dataset<'a>(mapped: &'a Mapped, name: &str) -> &'a Dataset {
    match one(mapped, &format!("/dataset:{name}")).facets.storage.as_ref().and_then(|s| s.zfs.as_ref()) {
        Some(Zfs::Dataset(dataset)) => dataset,
        other => panic!("no dataset: {other:?}"),
    }
}

/// 24.10 over REST: a scan of nulls, NaN, decimal texts, datasets nested and repeated.
const V24_10: [(Tag, &str); 7] = [
    (
        Tag::SystemInfo,
        r#"{"version":"TrueNAS-SCALE-24.10.2.4","hostname":"old","physmem":8388608000,"cores":4,"physical_cores":2,
        "uptime":"1:02:03","uptime_seconds":3723.5,"system_serial":null,"license":null,"ecc_memory":false,
        "boottime":{"$date":1786337310999},"datetime":{"$date":1786341033000},"loadavg":[NaN,0.1,0.2]}"#,
    ),
    (Tag::ProductType, r#""SCALE""#),
    (
        Tag::Pools,
        r#"[{"id":1,"name":"tank","guid":"1","path":"/mnt/tank","status":"ONLINE","healthy":false,"warning":false,
        "status_code":"FAILING_DEV","status_detail":"One or more devices has experienced an unrecoverable error.",
        "scan":{"function":null,"state":null,"start_time":null,"end_time":null,"percentage":null,"bytes_to_process":null,
        "bytes_processed":null,"bytes_issued":null,"pause":null,"errors":null,"total_secs_left":null},
        "expand":{"state":"SCANNING","expanding_vdev":0,"start_time":{"$date":1786337310000},"end_time":null,
        "bytes_to_reflow":10,"bytes_reflowed":4,"waiting_for_resilver":0,"total_secs_left":9,"percentage":40.5},
        "size":1000,"allocated":400,"free":600,"freeing":0,"fragmentation":"12","size_str":"1000",
        "autotrim":{"parsed":"on","rawvalue":"on","value":"on","source":"LOCAL"},
        "topology":{"data":[{"name":"raidz1-0","type":"RAIDZ1","path":null,"guid":"2","status":"ONLINE",
        "stats":{"read_errors":0,"write_errors":0,"checksum_errors":7,"size":1000},"children":[
        {"name":"5d5bd6a2-0c4d-4e5a-8f5c-93a9d3f9a001","type":"DISK","guid":"3","status":"ONLINE","device":"sda2","disk":"sda",
        "path":"/dev/disk/by-partuuid/5d5bd6a2-0c4d-4e5a-8f5c-93a9d3f9a001","stats":{"checksum_errors":7},
        "children":[],"unavail_disk":null}],"unavail_disk":null}],"log":[],"cache":[],"spare":[],"special":[],"dedup":[]}}]"#,
    ),
    (
        Tag::Datasets,
        r#"[{"id":"tank","name":"tank","pool":"tank","type":"FILESYSTEM","encrypted":false,"encryption_root":null,
        "key_loaded":null,"locked":false,"mountpoint":"/mnt/tank","used":{"parsed":300,"rawvalue":"300","value":"300B"},
        "available":{"parsed":500,"rawvalue":"500","value":"500B"},"readonly":{"parsed":false,"rawvalue":"off","value":"OFF"},
        "quota":{"parsed":null,"rawvalue":"0","value":null},"compressratio":{"parsed":"1.50","rawvalue":"1.50","value":"1.50x"},
        "children":[{"id":"tank/v","name":"tank/v","pool":"tank","type":"VOLUME","mountpoint":null,"locked":true,
        "encrypted":true,"key_loaded":false,"encryption_root":"tank/v","volsize":{"parsed":4096,"rawvalue":"4096"},"children":[]}]},
        {"id":"tank/v","name":"tank/v","pool":"tank","type":"VOLUME","mountpoint":null,"locked":true,"encrypted":true,
        "key_loaded":false,"encryption_root":"tank/v","volsize":{"parsed":4096,"rawvalue":"4096"},"children":[]}]"#,
    ),
    (
        Tag::Disks,
        r#"[{"identifier":"{serial_lunid}S1_5000","name":"sda","serial":"S1","lunid":"5000","size":1000,"type":"HDD",
        "togglesmart":true,"supports_smart":null,"rotationrate":5400,"bus":"ATA","zfs_guid":"3","pool":null}]"#,
    ),
    (
        Tag::Alerts,
        r#"[{"uuid":"u1","id":"u1","klass":"VolumeStatus","source":"VolumeStatus","level":"CRITICAL","node":"A","key":"\"x\"",
        "args":{"volume":"tank","state":"ONLINE"},"datetime":{"$date":1786337310000},"dismissed":false,"one_shot":false,
        "text":"Pool %(volume)s state","formatted":"Pool tank state is ONLINE: bad.<br>"}]"#,
    ),
    (
        Tag::Replications,
        r#"[{"id":1,"name":"r","direction":"PULL","transport":"SSH","target_dataset":"tank/in"}]"#,
    ),
];

#[test]
fn rest_of_24_10() {
    let mapped = of(&V24_10);
    let agent = one(&mapped, "").facets.agent.as_ref().expect("an agent");
    assert_eq!(agent.boot_time, Some(UnixMillis::new(1_786_337_340_000)), "to the minute");
    assert_eq!((agent.os_version.as_str(), agent.cpu_count), ("TrueNAS-SCALE-24.10.2.4", Some(4)));
    let tank = pool(&mapped, "tank");
    assert_eq!((tank.scan.as_ref(), tank.status_code.as_str()), (None, "FAILING_DEV"));
    let expansion = tank.expansion.as_ref().expect("it expands");
    assert_eq!((expansion.percentage, expansion.waiting_for_resilver), (Some(40.5), false));
    assert_eq!((tank.autotrim.as_str(), tank.vdev_layout.as_str()), ("on", "raidz1"));
    let capacity = one(&mapped, "/pool:tank").capacity.expect("known");
    assert_eq!((capacity.total_bytes, capacity.raw_total_bytes), (Some(800), Some(1_000)));
    assert_eq!(one(&mapped, "/pool:tank").incidents[0].text, "Pool tank state is ONLINE: bad.");
    let volume = dataset(&mapped, "tank/v");
    assert_eq!(
        (volume.kind.as_str(), volume.locked, volume.volsize_bytes),
        ("VOLUME", Some(true), Some(4_096))
    );
    assert_eq!((volume.mounted, volume.mountpoint.as_str()), (None, ""));
    assert_eq!(dataset(&mapped, "tank").compress_ratio, Some(1.5));
    let disk = one(&mapped, "/disk:sda").facets.physical_disk.as_ref().expect("a disk");
    assert_eq!((disk.pool.as_str(), disk.checksum_errors, disk.rpm), ("tank", Some(7), Some(5_400)));
}

/// 25.04 over JSON-RPC: one tree without repeats, a missing disk, reboot reasons, an exported pool.
const V25_04: [(Tag, &str); 6] = [
    (Tag::SystemInfo, r#"{"version":"25.04.2.6","hostname":"mid","boottime":{"$date":1786337310000}}"#),
    (
        Tag::RebootInfo,
        r#"{"boot_id":"b","reboot_required_reasons":[{"code":"FIPS","reason":"FIPS was changed."}]}"#,
    ),
    (
        Tag::Pools,
        r#"[{"id":2,"name":"away","guid":"9","path":"/mnt/away","status":"OFFLINE","scan":null,"topology":null,"size":null,
        "healthy":false,"warning":false,"status_code":null,"status_detail":null,"fragmentation":null,"dedup_table_quota":null},
        {"id":1,"name":"tank","guid":"1","status":"DEGRADED","healthy":true,"warning":true,"status_code":"RESILVERING",
        "scan":{"function":"RESILVER","state":"SCANNING","percentage":12.5,"bytes_to_process":5,"bytes_processed":40,"pause":null,
        "start_time":{"$date":1786337310000},"end_time":null,"errors":0,"total_secs_left":60,"bytes_issued":5},
        "topology":{"data":[{"type":"MIRROR","name":"mirror-0","guid":"2","status":"DEGRADED","children":[
        {"type":"REPLACING","name":"replacing-0","guid":"5","status":"DEGRADED","children":[
        {"type":"DISK","name":"77","guid":"77","status":"UNAVAIL","device":null,"disk":null,"children":[],
        "path":"/dev/disk/by-partuuid/x","unavail_disk":{"identifier":"{serial}LOST-1","name":"sdq","serial":"LOST-1","size":"7"}},
        {"type":"DISK","name":"y","guid":"78","status":"ONLINE","device":"nvme0n1p1","disk":"nvme0n1","children":[]}]},
        {"type":"DISK","name":"z","guid":"79","status":"ONLINE","device":"sdb1","disk":"sdb","children":[]}]}]}}]"#,
    ),
    (
        Tag::Datasets,
        r#"[{"name":"tank","pool":"tank","type":"FILESYSTEM","used":{"parsed":1},"available":{"parsed":2},"children":[
        {"name":"tank/in","pool":"tank","type":"FILESYSTEM","readonly":{"parsed":true,"rawvalue":"on"},"children":[]}]}]"#,
    ),
    (
        Tag::Replications,
        r#"[{"id":1,"name":"r","direction":"PULL","transport":"SSH","target_dataset":"tank/in","readonly":"REQUIRE",
        "state":{"state":"FINISHED"}}]"#,
    ),
    (
        Tag::Disks,
        r#"[{"name":"nvme0n1","serial":"N1","type":"SSD","rotationrate":null},{"name":"sdb","serial":"B1"}]"#,
    ),
];

#[test]
fn rpc_of_25_04() {
    let mapped = of(&V25_04);
    let truenas = one(&mapped, "").facets.truenas.as_ref().expect("a system");
    assert_eq!(truenas.reboot_required_reasons, ["FIPS was changed."]);
    let away = one(&mapped, "/pool:away");
    assert_eq!((away.state.as_str(), away.capacity), ("OFFLINE", None));
    let scan = pool(&mapped, "tank").scan.clone().expect("it resilvers");
    assert_eq!(
        (scan.function.as_str(), scan.bytes_total, scan.bytes_issued),
        ("RESILVER", Some(40), Some(5))
    );
    let lost = one(&mapped, "/disk:sdq");
    let facet = lost.facets.physical_disk.as_ref().expect("a disk");
    assert!(facet.missing && facet.size_bytes == Some(7) && lost.identity.machine_id == "LOST-1");
    let target = dataset(&mapped, "tank/in");
    assert!(target.replication_target && target.readonly == Some(true));
    assert_eq!(one(&mapped, "/disk:nvme0n1").state, "ONLINE");
}

/// CORE 13 over REST: no status of a healthy pool, gptid names, a boot pool of groups and properties.
#[test]
fn rest_of_core() {
    let mapped = of(&[
        (
            Tag::SystemInfo,
            r#"{"version":"TrueNAS-13.3-U1.2","hostname":"core.lan","boottime":{"$date":1786337310000}}"#,
        ),
        (
            Tag::Pools,
            r#"[{"id":1,"name":"vol","guid":"1","healthy":true,"topology":{"data":[{"type":"DISK","guid":"3","status":"ONLINE",
            "name":"gptid/5d5bd6a2-0c4d-4e5a-8f5c-93a9d3f9a001","path":"/dev/gptid/x","device":"ada0p2","disk":"ada0","children":[]}]}}]"#,
        ),
        (
            Tag::BootPool,
            r#"{"name":"freenas-boot","id":"freenas-boot","status":"ONLINE","groups":{"data":[{"name":"ada1p2","type":"DISK",
            "guid":"8","status":"ONLINE","path":"/dev/ada1p2","device":"ada1p2","disk":"ada1"}]},
            "properties":{"size":{"parsed":100},"allocated":{"parsed":40},"free":{"rawvalue":"60"}}}"#,
        ),
        (
            Tag::Disks,
            r#"[{"name":"ada0","size":"5","serial":"A0"},{"devname":"ada1","name":null,"serial":""}]"#,
        ),
        (
            Tag::Alerts,
            r#"[{"id":"A;x","klass":"BootPoolStatus","level":"WARNING","args":null,"formatted":"bad"}]"#,
        ),
    ]);
    assert_eq!(one(&mapped, "/pool:vol").state, "ONLINE");
    let boot = one(&mapped, "/pool:freenas-boot");
    assert_eq!(boot.capacity.and_then(|capacity| capacity.raw_free_bytes), Some(60));
    assert_eq!(boot.incidents.len(), 1);
    for (id, parent) in [("/disk:ada0", "/pool:vol"), ("/disk:ada1", "/pool:freenas-boot")] {
        let told = one(&mapped, id).parent_source_id.as_ref().map(ToString::to_string);
        assert_eq!(told, Some(format!("system:conn-1{parent}")));
    }
}
