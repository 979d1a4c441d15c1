//! Words of vocabularies, in small letters.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::alert::rule::builtin;

/// Of pools, devices, scans, workloads, tasks, services, controllers, updates; and the registry's own.
const STATES: &str = "online degraded faulted offline removed unavail unavailable suspended avail available inuse \
    closed cant_open split unknown running stopped stopping starting deploying crashed active error paused frozen \
    enabled disabled locked unlocked pending waiting hold finished success failed aborted canceled scanning master \
    backup electing single ready booting shutting_down shutdown shutoff poweroff panicked importing warning normal \
    reboot_required reboot_pending ha_unavailable downloading manual healthy monitor critical fresh late stale \
    expired info notice alert emergency a b none on off yes no more and";
/// What `zpool status` explains.
const STATUS_CODES: &str = "ok corrupt_cache missing_dev_r missing_dev_nr corrupt_label_r corrupt_label_nr \
    bad_guid_sum corrupt_pool corrupt_data failing_dev version_newer hostid_mismatch hostid_active hostid_required \
    io_failure_wait io_failure_continue io_failure_mmp bad_log errata unsup_feat_read unsup_feat_write faulted_dev_r \
    faulted_dev_nr version_older feat_disabled resilvering offline_dev removed_dev rebuilding rebuild_scrub \
    non_native_ashift compatibility_err incompatible_feat locked_sed_disks";
/// How pools are built and datasets are kept.
const ZFS: &str = "data cache log logs spare spares special dedup stripe mirror raidz raidz1 raidz2 raidz3 draid \
    draid1 draid2 draid3 root disk file replacing missing hole indirect scrub resilver filesystem volume inherit lz4 \
    lzjb zle gzip zstd zstd-fast standard always verify sha256 sha512 skein edonr blake3 latency throughput";
/// What things are made with, how they are read, what is not known of them.
const KINDS: &str = "zfs zfs-pool zfs-dataset smb cifs nfs iscsi iscsitarget ftp ssh snmp smartd ups netdata webdav \
    rsync s3 tftp lldp docker kvm qemu lxc libvirtd nvmet truesearch truecommand webshare afp dynamicdns \
    openvpn_client openvpn_server replication snapshot cloud-sync cloud-backup hdd ssd nvme sas sata ata scsi usb \
    virtio app vm container truenas jsonrpc-websocket legacy-websocket legacy-rest current websocket \
    community_edition community enterprise scale scale_enterprise core truenas-scale linux freebsd debian latest \
    pool_state pool_status_code vdev_state vdev_role vdev_kind scan_function scan_state expansion_state dataset_kind \
    disk_state system_state failover_status workload_state system host storage physical-disk network-share \
    app-container protection-task";
/// Parts of what a system is read in.
const SECTIONS: &str = "alerts apps boot certificates cloud_backups cloud_syncs datasets disks instances interfaces \
    iscsi_shares metrics nfs_shares pools replications rsync_tasks scrubs services shares smb_shares snapshot_tasks \
    snapshots tasks temperatures update vms";
/// Classes of alerts of TrueNAS.
const CLASSES: &str = "acmefailed activedirectorydomainbind activedirectorydomainhealth activedirectorydomainoffline \
    adminsessionactive adminuserisoverridden apifailedlogin apikeyrevoked applicationsconfigurationfailed \
    applicationsstartfailed appupdate auditbackendsetup auditdatasetcleanup auditservicehealth auditsetup \
    bootpoolstatus catalognothealthy catalogsyncfailed certificateexpired certificateisexpiring \
    certificateisexpiringsoon certificateparsingfailed certificaterevoked cloudbackuptaskfailed cloudsynctaskfailed \
    corefilesarepresent ctdbclusteredservice ctdbinitfail deduptablequota deprecatedservice \
    deprecatedserviceconfiguration difformatted directoryservicebind directoryservicednsupdatefailed \
    directoryservicehealth disksarenotpresentonactivenode disksarenotpresentonpassivenode disktemperaturetoohot \
    enclosurehealthy enclosureunhealthy encrypteddataset failoverfailed failoverinterfacenotfound \
    failoverkeyssyncfailed failoverkmipkeyssyncfailed failoverreboot failoverstatuscheckfailed failoversyncfailed \
    failuresinappmigration fencedreboot hasupdate interfacestatus ipmisel ipmiselspaceleft iscsidiscoveryauthmixed \
    iscsidiscoveryauthmultiplechap iscsidiscoveryauthmultiplemutualchap iscsiportalip jbofelementcritical \
    jbofelementwarning jbofinvaliddata jbofredfishcomm jbofteardownfailure kdumpnotready kmipconnectionfailed \
    kmipseddiskssyncfailed kmipsedglobalpasswordsyncfailed kmipzfsdatasetssyncfailed lagginactiveports \
    laggnoactiveports ldapbind licensehasexpired licenseisexpiring licensestatus memoryerrors memorysizemismatch \
    networkcardsmismatch nfsbindaddress nfsblockedbyexportsdir nfsexportmappinginvalidnames nfshostlistexcessive \
    nfshostnamelookupfail nfsnetworklistexcessive ntlmv1authentication ntphealthcheck nvdimm \
    nvdimmlifetimecritical nvdimmlifetimewarning nvdimmrecommendedfirmwareversion oldbiosversion poolupgraded \
    poolusbdisks powersupply proactivesupport quotacritical quotawarning replicationfailed replicationsuccess \
    rsyncfailed rsyncsuccess scrubfinished scrubnotstarted scrubpaused scrubstarted sensor sharelocked smart \
    smbauditsharedisabled smblegacyprotocol smbpath snapshotcount snapshotfailed snapshottotalcount \
    sshloginfailures syslogng systemtesting tasklocked tncdisabledautounconfigured tncheartbeatconnectionfailure \
    truecommandconnectiondisabled truecommandconnectionhealth truecommandconnectionpending \
    truecommandcontainerhealth unencrypteddatasets updatefailed updatenotapplied upsbatterylow upscommbad upscommok \
    upsonbattery upsonline upsreplbatt usbstorage vmwareloginfailed vmwaresnapshotcreatefailed \
    vmwaresnapshotdeletefailed volumestatus volumeversion vrrpstatus webuibindaddress webuibindaddressv2 \
    webuicertificatesetupfailed zpoolcapacitycritical zpoolcapacitynotice zpoolcapacitywarning";

/// What the registry's own sentences about health and alerts are made of.
const SENTENCES: &str = "about active again alert all allow an and another any anything app are as at available back be because \
    being bits block blocks broken but by byte cache can cannot capacity celsius certificate certificates \
    charge check checksum code compatibility connection container controller controllers copied copies \
    correction could count counting counts cpu damaged data dataset days decide deduplication describes \
    device devices did disk disks distributed does double down draid else elsewhere enabled encrypted \
    encryption end ended errors expansion expired expires explains exported fail failed failover features \
    file filesystem fill for forecast found fragmentation from frozen full gave go goes good grew had has \
    have health heard held holds host hot id idle if imported in input intent is it its itself kernel key \
    label last least left level like live loaded locked log logging longer lose lost machine made many may \
    member members memory metadata min missing more most mounted mountpoint native needs newer newest no \
    nobody none not nothing now number of off offered offline older on one only open opened or order output \
    outside over overcommit own parity part partner paused percent place pool pools positive possible \
    property protection quota reached read read-only reading ready reboot rebuild rebuilt recent refquota \
    refused refuses removed repair repaired replacement replaces replication reports resilver run running \
    runs runtime says scan scrub seconds sections seen self-encrypting sequence set severity share should \
    shut single size slope small snapshot snapshots some source spare spares split stand standby stands \
    started state status still stopped suspended switched synchronous system tables taken takes target task \
    tell temperature than that the there they three time to told too total tried triple turn two until \
    untold up update upgrade use used uses using version virtual volume waits wants warns was week well went \
    were what while who will with within without work working works would write writes written wrong yet zfs";

static OURS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| SENTENCES.split_whitespace().collect());

static LISTED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let lists = [STATES, STATUS_CODES, ZFS, KINDS, SECTIONS, CLASSES];
    let words = lists.iter().flat_map(|words| words.split_whitespace()).map(str::to_owned);
    // And the rules that every registry has.
    words.chain(builtin::rules().iter().map(|rule| rule.id.as_str().to_owned())).collect()
});

/// `zstd-3`, `gzip-9`, `zstd-fast-100`
fn is_level(word: &str) -> bool {
    word.rsplit_once('-').is_some_and(|(way, level)| {
        ["gzip", "zstd", "zstd-fast"].contains(&way)
            && (1..=4).contains(&level.len())
            && level.bytes().all(|byte| byte.is_ascii_digit())
    })
}

pub(super) fn is_listed(word: &str) -> bool {
    LISTED.contains(word) || is_level(word)
}

pub(super) fn is_ours(word: &str) -> bool {
    OURS.contains(word)
}
