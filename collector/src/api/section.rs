//! Sections: what is read, fails and goes stale together. Puts the replies of
//! one section's calls together.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pulse_proto::model::{
    App, Certificate, Metrics, NetworkInterface, ScrubSchedule, SectionName, Service, Share, SoftwareUpdate,
    Task, Ups, Vm,
};

use super::alert::Alert;
use super::dataset::Dataset;
use super::disk::Disk;
use super::instance::Instance;
use super::item::Item;
use super::plan::{Ask, Planned, Tag};
use super::pool::Pool;
use super::replication::Replication;
use super::snapshots::Snapshots;
use super::system::{Extras, System};
use super::temperature::Temperature;
use super::{DecodeError, Decoded, SkippedRow};

/// What a section is made of. Each stands where its section is.
pub struct Spec {
    /// As records, reports and configuration name it.
    pub token: &'static str,
    /// A role that suffices to read it, for remedies.
    pub role: &'static str,
    /// Every how many poll intervals it is read.
    pub cadence: u32,
    /// Grows with the NAS: its calls may take longer.
    pub large: bool,
    /// Collections whose events say that it may have changed.
    pub collections: &'static [&'static str],
    /// Nothing, when the release has no such section.
    pub plan: fn(&Ask<'_>) -> Vec<Planned>,
    pub assemble: fn(&mut Replies<'_>) -> Result<Data, SectionFailure>,
}

macro_rules! sections {
    ($($name:ident = $spec:path),+ $(,)?) => {
        /// In the order of their urgency.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Section { $($name),+ }

        impl Section {
            pub const ALL: [Self; [$(Self::$name),+].len()] = [$(Self::$name),+];

            pub const fn spec(self) -> &'static Spec {
                match self { $(Self::$name => &$spec),+ }
            }
        }
    };
}

sections! {
    System = super::system::SPEC,
    Pools = super::pool::SPEC,
    Alerts = super::alert::SPEC,
    Datasets = super::dataset::SPEC,
    Disks = super::disk::SPEC,
    Boot = super::boot::SPEC,
    Replications = super::replication::SPEC,
    Metrics = super::metrics::SPEC,
    Services = super::service::SPEC,
    Interfaces = super::interface::SPEC,
    Apps = super::app::SPEC,
    Vms = super::vm::SPEC,
    Instances = super::instance::SPEC,
    SmbShares = super::share::SMB,
    NfsShares = super::share::NFS,
    IscsiShares = super::share::ISCSI,
    SnapshotTasks = super::snapshot_task::SPEC,
    CloudSyncs = super::copy_task::CLOUD_SYNC,
    RsyncTasks = super::copy_task::RSYNC,
    CloudBackups = super::copy_task::CLOUD_BACKUP,
    Scrubs = super::scrub::SPEC,
    Temperatures = super::temperature::SPEC,
    Certificates = super::certificate::SPEC,
    Ups = super::ups::SPEC,
    Update = super::update::SPEC,
    Snapshots = super::snapshots::SPEC,
}

impl Section {
    pub const fn token(self) -> &'static str {
        self.spec().token
    }

    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.token() == token)
    }

    /// As records and reports name it. Shared: every record carries one.
    pub fn name(self) -> SectionName {
        static NAMES: LazyLock<BTreeMap<Section, SectionName>> = LazyLock::new(|| {
            let parse =
                |section: Section| SectionName::parse(section.token()).expect("tokens are well formed");
            Section::ALL.into_iter().map(|section| (section, parse(section))).collect()
        });
        NAMES[&self].clone()
    }

    /// Every how many poll intervals it is read.
    pub const fn cadence(self) -> u32 {
        self.spec().cadence
    }

    /// A role that suffices to read it, for remedies.
    pub const fn role(self) -> &'static str {
        self.spec().role
    }

    /// Those that an operator looks at first: slower ones never keep them waiting.
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::System | Self::Pools | Self::Boot | Self::Alerts)
    }
}

/// Why one call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// It failed this time.
    Failed(String),
    /// The credential may not make it.
    Forbidden,
    /// This release has no such method.
    Unsupported,
}

/// Why a whole section brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionFailure {
    Failed(String),
    Forbidden,
    Unsupported,
}

impl From<CallFailure> for SectionFailure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Failed(why) => Self::Failed(why),
            CallFailure::Forbidden => Self::Forbidden,
            CallFailure::Unsupported => Self::Unsupported,
        }
    }
}

impl From<DecodeError> for SectionFailure {
    fn from(error: DecodeError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Something an optional call brings. What is not read is kept as it was known.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<T> {
    Read(T),
    Kept,
}

impl<T> Part<T> {
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Part<U> {
        match self {
            Self::Read(value) => Part::Read(to(value)),
            Self::Kept => Part::Kept,
        }
    }

    pub fn or(self, held: impl FnOnce() -> T) -> T {
        match self {
            Self::Read(value) => value,
            Self::Kept => held(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExtrasRead {
    pub product_type: Part<String>,
    pub host_id: Part<String>,
    pub global_id: Part<String>,
    pub state: Part<String>,
    pub failover_status: Part<String>,
    pub failover_node: Part<String>,
    pub failover_licensed: Part<Option<bool>>,
    pub failover_disabled_reasons: Part<Vec<String>>,
    pub reboot_required_reasons: Part<Vec<String>>,
}

impl ExtrasRead {
    pub fn over(self, held: &Extras) -> Extras {
        Extras {
            product_type: self.product_type.or(|| held.product_type.clone()),
            host_id: self.host_id.or(|| held.host_id.clone()),
            global_id: self.global_id.or(|| held.global_id.clone()),
            state: self.state.or(|| held.state.clone()),
            failover_status: self.failover_status.or(|| held.failover_status.clone()),
            failover_node: self.failover_node.or(|| held.failover_node.clone()),
            failover_licensed: self.failover_licensed.or(|| held.failover_licensed),
            failover_disabled_reasons: self
                .failover_disabled_reasons
                .or(|| held.failover_disabled_reasons.clone()),
            reboot_required_reasons: self.reboot_required_reasons.or(|| held.reboot_required_reasons.clone()),
        }
    }
}

/// What a section consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    System { info: Box<System>, extras: Box<ExtrasRead> },
    Pools(Vec<Pool>),
    Boot(Box<Pool>),
    Alerts(Vec<Alert>),
    Datasets(Vec<Dataset>),
    Disks(Vec<Disk>),
    Replications(Vec<Replication>),
    Metrics(Box<Metrics>),
    Services(Vec<Service>),
    Interfaces(Vec<NetworkInterface>),
    Apps(Vec<Item<App>>),
    Vms(Vec<Item<Vm>>),
    Instances(Vec<Item<Instance>>),
    SmbShares(Vec<Item<Share>>),
    NfsShares(Vec<Item<Share>>),
    IscsiShares(Vec<Item<Share>>),
    SnapshotTasks(Vec<Item<Task>>),
    CloudSyncs(Vec<Item<Task>>),
    RsyncTasks(Vec<Item<Task>>),
    CloudBackups(Vec<Item<Task>>),
    Scrubs(Vec<Item<ScrubSchedule>>),
    Temperatures(Vec<Temperature>),
    Certificates(Vec<Certificate>),
    Ups(Option<Ups>),
    Update(SoftwareUpdate),
    Snapshots(Vec<Snapshots>),
}

impl Data {
    /// What was found, for people; `None` where there is nothing to count.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::System { .. } | Self::Boot(_) | Self::Metrics(_) | Self::Update(_) => None,
            Self::Pools(rows) => Some(rows.len()),
            Self::Alerts(rows) => Some(rows.len()),
            Self::Datasets(rows) => Some(rows.len()),
            Self::Disks(rows) => Some(rows.len()),
            Self::Replications(rows) => Some(rows.len()),
            Self::Services(rows) => Some(rows.len()),
            Self::Interfaces(rows) => Some(rows.len()),
            Self::Apps(rows) => Some(rows.len()),
            Self::Vms(rows) => Some(rows.len()),
            Self::Instances(rows) => Some(rows.len()),
            Self::SmbShares(rows) | Self::NfsShares(rows) | Self::IscsiShares(rows) => Some(rows.len()),
            Self::SnapshotTasks(rows)
            | Self::CloudSyncs(rows)
            | Self::RsyncTasks(rows)
            | Self::CloudBackups(rows) => Some(rows.len()),
            Self::Scrubs(rows) => Some(rows.len()),
            Self::Temperatures(rows) => Some(rows.len()),
            Self::Certificates(rows) => Some(rows.len()),
            Self::Ups(ups) => Some(usize::from(ups.is_some())),
            Self::Snapshots(rows) => Some(rows.len()),
        }
    }
}

/// A section that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionRead {
    pub data: Data,
    pub skipped: Vec<SkippedRow>,
    /// What optional calls failed with, for the log.
    pub notes: Vec<String>,
}

/// Puts the replies to `plan::requests` together. A required call decides
/// about the section; an optional one only about its part.
pub fn assemble<B: AsRef<[u8]>>(
    section: Section,
    replies: &[(Tag, Result<B, CallFailure>)],
) -> Result<SectionRead, SectionFailure> {
    let replies = replies.iter().map(|(tag, reply)| (*tag, reply.as_ref().map(AsRef::as_ref))).collect();
    let mut replies = Replies { replies, skipped: Vec::new(), notes: Vec::new() };
    let data = (section.spec().assemble)(&mut replies)?;
    Ok(SectionRead { data, skipped: replies.skipped, notes: replies.notes })
}

/// The replies of one section, and what was wrong with them.
pub struct Replies<'a> {
    replies: Vec<(Tag, Result<&'a [u8], &'a CallFailure>)>,
    skipped: Vec<SkippedRow>,
    notes: Vec<String>,
}

impl<'a> Replies<'a> {
    fn find(&self, tag: Tag) -> Option<Result<&'a [u8], &'a CallFailure>> {
        self.replies.iter().find(|(candidate, _)| *candidate == tag).map(|(_, reply)| *reply)
    }

    pub fn has(&self, tag: Tag) -> bool {
        self.find(tag).is_some()
    }

    pub fn required(&self, tag: Tag) -> Result<&'a [u8], SectionFailure> {
        match self.find(tag) {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(failure)) => Err(failure.clone().into()),
            None => Err(SectionFailure::Failed(format!("no reply for {tag:?}"))),
        }
    }

    /// The rows of a required list.
    pub fn rows<T>(
        &mut self,
        tag: Tag,
        decode: impl Fn(&[u8]) -> Result<Decoded<T>, DecodeError>,
    ) -> Result<Vec<T>, SectionFailure> {
        let mut decoded = decode(self.required(tag)?)?;
        self.skipped.append(&mut decoded.skipped);
        Ok(decoded.rows)
    }

    pub fn optional<T>(&mut self, tag: Tag, decode: impl Fn(&[u8]) -> Result<T, DecodeError>) -> Part<T> {
        match self.find(tag) {
            Some(Ok(reply)) => match decode(reply) {
                Ok(value) => return Part::Read(value),
                Err(error) => self.notes.push(format!("{tag:?}: {error}")),
            },
            Some(Err(CallFailure::Failed(why))) => self.notes.push(format!("{tag:?}: {why}")),
            Some(Err(CallFailure::Forbidden | CallFailure::Unsupported)) | None => {}
        }
        Part::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_calls_decide_and_optional_ones_do_not() {
        let pools = (Tag::Pools, Ok(r#"[{"name":"tank"}, {}]"#));
        let read = assemble(Section::Pools, &[pools]).expect("pools are there");
        assert_eq!(read.skipped.len(), 1);
        assert!(matches!(read.data, Data::Pools(ref pools) if pools.len() == 1));
        let info = (Tag::SystemInfo, Ok(r#"{"hostname":"nas"}"#));
        let host_id = (Tag::HostId, Err(CallFailure::Forbidden));
        let read = assemble(Section::System, &[info.clone(), host_id]).expect("the system is there");
        assert!(matches!(read.data, Data::System { ref extras, .. } if extras.host_id == Part::Kept));
        let read = assemble(Section::System, &[info, (Tag::HostId, Ok("[]"))]).expect("the system is there");
        assert_eq!(read.notes.len(), 1);

        for (failure, expected) in [
            (CallFailure::Forbidden, SectionFailure::Forbidden),
            (CallFailure::Unsupported, SectionFailure::Unsupported),
            (CallFailure::Failed("late".into()), SectionFailure::Failed("late".into())),
        ] {
            assert_eq!(assemble::<&str>(Section::Alerts, &[(Tag::Alerts, Err(failure))]), Err(expected));
        }
        assert!(matches!(
            assemble(Section::Disks, &[(Tag::Disks, Ok("{}"))]),
            Err(SectionFailure::Failed(_))
        ));
    }
}
