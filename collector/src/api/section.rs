//! Sections: what is read, fails and goes stale together. Puts the replies of
//! one section's calls together.

use pulse_proto::model::SectionName;

use super::alert::{Alert, decode_alerts};
use super::boot::decode_boot;
use super::dataset::{Dataset, decode_datasets};
use super::disk::{Disk, decode_disks};
use super::plan::Tag;
use super::pool::{Pool, decode_pools};
use super::replication::{Replication, decode_replications};
use super::system::{Extras, System, decode_info, decode_reboot_reasons, decode_word};
use super::{DecodeError, SkippedRow};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    System,
    Pools,
    Datasets,
    Disks,
    Alerts,
}

impl Section {
    pub const ALL: [Self; 5] = [Self::System, Self::Pools, Self::Datasets, Self::Disks, Self::Alerts];

    pub const fn token(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Pools => "pools",
            Self::Datasets => "datasets",
            Self::Disks => "disks",
            Self::Alerts => "alerts",
        }
    }

    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.token() == token)
    }

    /// As records and reports name it.
    pub fn name(self) -> SectionName {
        SectionName::parse(self.token()).expect("tokens are well formed")
    }

    /// Every how many poll intervals it is read.
    pub const fn cadence(self) -> u32 {
        match self {
            Self::Pools | Self::Alerts => 1,
            Self::System | Self::Datasets => 5,
            Self::Disks => 10,
        }
    }

    /// A role that suffices to read it, for remedies.
    pub const fn role(self) -> &'static str {
        match self {
            Self::System => "READONLY_ADMIN",
            Self::Pools => "POOL_READ",
            Self::Datasets => "DATASET_READ",
            Self::Disks => "DISK_READ",
            Self::Alerts => "ALERT_LIST_READ",
        }
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
            reboot_required_reasons: self.reboot_required_reasons.or(|| held.reboot_required_reasons.clone()),
        }
    }
}

/// What a section consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    System { info: Box<System>, extras: Box<ExtrasRead> },
    Pools { pools: Vec<Pool>, boot: Part<Option<Box<Pool>>> },
    Datasets { datasets: Vec<Dataset>, replications: Part<Vec<Replication>> },
    Disks(Vec<Disk>),
    Alerts(Vec<Alert>),
}

/// A section that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionRead {
    pub data: Data,
    pub skipped: Vec<SkippedRow>,
    /// What optional calls failed with, for the log.
    pub notes: Vec<String>,
}

impl SectionRead {
    pub const fn section(&self) -> Section {
        match self.data {
            Data::System { .. } => Section::System,
            Data::Pools { .. } => Section::Pools,
            Data::Datasets { .. } => Section::Datasets,
            Data::Disks(_) => Section::Disks,
            Data::Alerts(_) => Section::Alerts,
        }
    }
}

/// Puts the replies to `plan::requests` together. A required call decides
/// about the section; an optional one only about its part.
pub fn assemble<B: AsRef<[u8]>>(
    section: Section,
    replies: &[(Tag, Result<B, CallFailure>)],
) -> Result<SectionRead, SectionFailure> {
    let mut skipped = Vec::new();
    let mut notes = Vec::new();
    let data = {
        let mut replies = Replies { replies, notes: &mut notes };
        match section {
            Section::System => Data::System {
                info: Box::new(decode_info(replies.required(Tag::SystemInfo)?)?),
                extras: Box::new(ExtrasRead {
                    product_type: replies.optional(Tag::ProductType, decode_word),
                    host_id: replies.optional(Tag::HostId, decode_word),
                    global_id: replies.optional(Tag::GlobalId, decode_word),
                    state: replies.optional(Tag::SystemState, decode_word),
                    failover_status: replies.optional(Tag::FailoverStatus, decode_word),
                    reboot_required_reasons: replies.optional(Tag::RebootInfo, decode_reboot_reasons),
                }),
            },
            Section::Pools => {
                let mut pools = decode_pools(replies.required(Tag::Pools)?)?;
                skipped.append(&mut pools.skipped);
                let boot = replies.optional(Tag::BootPool, decode_boot);
                Data::Pools { pools: pools.rows, boot: boot.map(|pool| Some(Box::new(pool))) }
            }
            Section::Datasets => {
                let mut datasets = decode_datasets(replies.required(Tag::Datasets)?)?;
                skipped.append(&mut datasets.skipped);
                let replications = replies.optional(Tag::Replications, decode_replications);
                Data::Datasets {
                    datasets: datasets.rows,
                    replications: replications.map(|mut read| {
                        skipped.append(&mut read.skipped);
                        read.rows
                    }),
                }
            }
            Section::Disks => {
                let mut disks = decode_disks(replies.required(Tag::Disks)?)?;
                skipped.append(&mut disks.skipped);
                Data::Disks(disks.rows)
            }
            Section::Alerts => {
                let mut alerts = decode_alerts(replies.required(Tag::Alerts)?)?;
                skipped.append(&mut alerts.skipped);
                Data::Alerts(alerts.rows)
            }
        }
    };
    Ok(SectionRead { data, skipped, notes })
}

struct Replies<'a, B> {
    replies: &'a [(Tag, Result<B, CallFailure>)],
    notes: &'a mut Vec<String>,
}

impl<'a, B: AsRef<[u8]>> Replies<'a, B> {
    fn find(&self, tag: Tag) -> Option<&'a Result<B, CallFailure>> {
        self.replies.iter().find(|(candidate, _)| *candidate == tag).map(|(_, reply)| reply)
    }

    fn required(&self, tag: Tag) -> Result<&'a [u8], SectionFailure> {
        match self.find(tag) {
            Some(Ok(reply)) => Ok(reply.as_ref()),
            Some(Err(failure)) => Err(failure.clone().into()),
            None => Err(SectionFailure::Failed(format!("no reply for {tag:?}"))),
        }
    }

    fn optional<T>(&mut self, tag: Tag, decode: impl Fn(&[u8]) -> Result<T, DecodeError>) -> Part<T> {
        match self.find(tag) {
            Some(Ok(reply)) => match decode(reply.as_ref()) {
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
        let boot = (Tag::BootPool, Err(CallFailure::Forbidden));
        let read = assemble(Section::Pools, &[pools.clone(), boot]).expect("pools are there");
        assert_eq!(read.skipped.len(), 1);
        assert!(matches!(read.data, Data::Pools { ref pools, boot: Part::Kept } if pools.len() == 1));
        let read = assemble(Section::Pools, &[pools, (Tag::BootPool, Ok("[]"))]).expect("pools are there");
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
