//! Changes of what an appliance holds: drawn without looking at it, applied to whatever is there.

use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::{Event, World};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use serde_json::json;

const GIB: u64 = 1 << 30;
/// More would make a long run larger, not harder.
const POOLS_MAX: usize = 4;
const DATASETS_MAX: usize = 40;
const ALERTS_MAX: usize = 20;
const LEVELS: [&str; 7] = ["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"];

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    DegradePool,
    FaultPool,
    SuspendPool,
    HealPool,
    AddPool,
    ExportPool,
    FillPool,
    StartScrub,
    ScanProgress,
    FinishScrub,
    StartResilver,
    FinishResilver,
    AddDataset,
    DestroyDataset,
    LockDataset,
    UnlockDataset,
    SetReadonly,
    SetQuota,
    AddDisk,
    PullDisk,
    ReturnDisk,
    OfflineDisk,
    ChecksumErrors,
    RaiseAlert,
    DismissAlert,
    ClearAlert,
}

impl Kind {
    pub const ALL: [Self; 26] = [
        Self::DegradePool,
        Self::FaultPool,
        Self::SuspendPool,
        Self::HealPool,
        Self::AddPool,
        Self::ExportPool,
        Self::FillPool,
        Self::StartScrub,
        Self::ScanProgress,
        Self::FinishScrub,
        Self::StartResilver,
        Self::FinishResilver,
        Self::AddDataset,
        Self::DestroyDataset,
        Self::LockDataset,
        Self::UnlockDataset,
        Self::SetReadonly,
        Self::SetQuota,
        Self::AddDisk,
        Self::PullDisk,
        Self::ReturnDisk,
        Self::OfflineDisk,
        Self::ChecksumErrors,
        Self::RaiseAlert,
        Self::DismissAlert,
        Self::ClearAlert,
    ];
}

/// One change. Which thing it meets follows from what is there when it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    kind: Kind,
    pick: u32,
    number: u32,
}

impl Change {
    pub fn draw(kind: Kind, rng: &mut StdRng) -> Self {
        Self { kind, pick: rng.next_u32(), number: rng.random_range(0..100) }
    }

    /// Answers what it did, in words, and the events the appliance sends for it.
    pub fn apply(self, world: &mut World, line: ApiLine, now_ms: u64) -> (String, Vec<Event>) {
        let events = self.on(world, line, now_ms);
        (format!("{:?} {} ({} events)", self.kind, self.target(world), events.len()), events)
    }

    fn target(self, world: &World) -> String {
        match self.kind {
            Kind::LockDataset
            | Kind::UnlockDataset
            | Kind::SetReadonly
            | Kind::SetQuota
            | Kind::AddDataset
            | Kind::DestroyDataset => self.dataset(world),
            Kind::AddDisk | Kind::PullDisk | Kind::ReturnDisk | Kind::OfflineDisk | Kind::ChecksumErrors => {
                self.disk(world)
            }
            Kind::RaiseAlert | Kind::DismissAlert | Kind::ClearAlert => String::new(),
            _ => self.pool(world),
        }
    }

    fn one<'a, T: ?Sized>(self, all: &[&'a T]) -> Option<&'a T> {
        let at = usize::try_from(self.pick).ok()?.checked_rem(all.len())?;
        all.get(at).copied()
    }

    fn pool(self, world: &World) -> String {
        let names: Vec<&str> = world.pools.iter().map(|pool| pool.name.as_str()).collect();
        self.one(&names).unwrap_or_default().to_owned()
    }

    fn dataset(self, world: &World) -> String {
        let names: Vec<&str> = world.datasets.keys().map(String::as_str).collect();
        self.one(&names).unwrap_or_default().to_owned()
    }

    fn disk(self, world: &World) -> String {
        let names: Vec<&str> = world.disks.iter().map(|disk| disk.name.as_str()).collect();
        self.one(&names).unwrap_or_default().to_owned()
    }

    fn on(self, world: &mut World, line: ApiLine, now: u64) -> Vec<Event> {
        let percent = u8::try_from(self.number).unwrap_or(0);
        let (pool, dataset, disk) = (self.pool(world), self.dataset(world), self.disk(world));
        match self.kind {
            Kind::DegradePool => world.degrade_pool(line, &pool, now),
            Kind::FaultPool => world.fault_pool(line, &pool, now),
            Kind::SuspendPool => world.suspend_pool(line, &pool, now),
            Kind::HealPool => world.online_pool(line, &pool, now),
            Kind::AddPool if world.pools.len() >= POOLS_MAX => Vec::new(),
            Kind::AddPool => world.add_pool(line, &format!("pool{}", self.number % 5), now),
            // The last pool stays: an appliance without one has little to say.
            Kind::ExportPool if world.pools.len() < 2 => Vec::new(),
            Kind::ExportPool => world.remove_pool(line, &pool, now),
            Kind::FillPool => world.fill_pool(line, &pool, percent, now),
            Kind::StartScrub => world.start_scrub(line, &pool, now),
            Kind::ScanProgress => world.set_scan_progress(line, &pool, percent, now),
            Kind::FinishScrub => world.finish_scrub(line, &pool, now),
            Kind::StartResilver => world.start_resilver(line, &pool, now),
            Kind::FinishResilver => world.finish_resilver(line, &pool, now),
            Kind::AddDataset if world.datasets.len() >= DATASETS_MAX => Vec::new(),
            Kind::AddDataset => world.add_dataset(line, &format!("{dataset}/d{}", self.number % 10), now),
            Kind::DestroyDataset => world.remove_dataset(line, &dataset, now),
            Kind::LockDataset => world.lock_dataset(line, &dataset, now),
            Kind::UnlockDataset => world.unlock_dataset(line, &dataset, now),
            Kind::SetReadonly => world.set_readonly(line, &dataset, self.number.is_multiple_of(2), now),
            Kind::SetQuota => {
                let quota = (!self.number.is_multiple_of(4)).then_some(u64::from(self.number) * GIB);
                world.set_quota(line, &dataset, quota, now)
            }
            Kind::AddDisk => world.add_disk(line, &format!("sd{}", ["x", "y", "z"][self.at(3)]), now),
            Kind::PullDisk => world.remove_disk(line, &disk, now),
            Kind::ReturnDisk => world.add_disk(line, &disk, now),
            Kind::OfflineDisk => world.offline_vdev(line, &disk, now),
            Kind::ChecksumErrors => world.checksum_errors(line, &disk, u64::from(self.number) + 1, now),
            Kind::RaiseAlert if world.alerts.len() >= ALERTS_MAX => Vec::new(),
            Kind::RaiseAlert => self.raise(world, line, now, &pool),
            Kind::DismissAlert => {
                let klass = self.klass(world);
                world.dismiss_alert(line, &klass, now)
            }
            Kind::ClearAlert => {
                let klass = self.klass(world);
                world.clear_alert(line, &klass, now)
            }
        }
    }

    fn at(self, length: usize) -> usize {
        usize::try_from(self.number).unwrap_or(0) % length
    }

    fn klass(self, world: &World) -> String {
        let classes: Vec<&str> = world.alerts.iter().map(|alert| alert.klass.as_str()).collect();
        self.one(&classes).unwrap_or_default().to_owned()
    }

    fn raise(self, world: &mut World, line: ApiLine, now: u64, pool: &str) -> Vec<Event> {
        let level = LEVELS[self.at(LEVELS.len())];
        if self.number.is_multiple_of(2) {
            let args = json!({"volume": pool, "number": self.number});
            let text = format!("Pool {pool} has finding {}.", self.number);
            return world.raise_alert(line, level, "PoolFinding", args, &text, now);
        }
        let args = json!({"certificate": format!("certificate {}", self.number)});
        let text = format!("Certificate {} is expiring.", self.number);
        world.raise_alert(line, level, "CertificateIsExpiring", args, &text, now)
    }
}
