//! A record as it is kept: what places it as plain fields, everything a client
//! sees of it encoded once. Store, list and watch share these bytes; nobody
//! decodes them but a judge.

mod alike;
pub(crate) mod difference;
mod facts;
mod family;
mod judged;
mod print;
pub mod read;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use pulse_proto::ProtocolError;
use pulse_proto::convert::{record_from_fields, record_to_fields, told_to_fields};
use pulse_proto::model::{Capacity, IngestRecord, ResourceType, SectionName, SourceId, StorageTopology};
use pulse_proto::pb::resource::v1 as wire;
use triomphe::ThinArc;

use self::print::Known;
use self::read::{Message, number};

pub use self::alike::Alike;
pub use self::difference::Difference;
pub use self::family::Family;
pub(crate) use self::family::{Families, Told};
pub use self::print::Print;

/// Shared by all who have it. Head and body lie in one block of memory: who reads the bytes takes one step less to them.
#[derive(Clone)]
pub struct Document(ThinArc<Head, u8>);

/// What is known of a body, which is a `pulse.resource.v1.Resource` that has the fields of the record alone.
#[derive(Debug)]
pub struct Head {
    pub source_id: SourceId,
    family: Arc<Family>,
    print: Known,
    texts: Lineage,
    judged: Lineage,
}

/// It is part of the document; where it is kept is nobody's concern.
impl Deref for Document {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.0.header.header
    }
}

/// The same.
impl Deref for Head {
    type Target = Family;

    fn deref(&self) -> &Family {
        &self.family
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || (self.has_place_of(other) && self.body() == other.body())
    }
}

impl Eq for Document {}

/// Equal in documents that are known to be the same in some way; says nothing when it is not.
#[derive(Clone, Copy, Debug)]
struct Lineage(u64);

impl Lineage {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Document {
    pub fn of(record: &IngestRecord) -> Self {
        let technology = technology(record.resource_type, &Kinds::of(record)).into_owned();
        Self::with(record, &record_to_fields(record, technology).encode_to_vec(), Known::default())
    }

    fn with(record: &IngestRecord, body: &[u8], print: Known) -> Self {
        let family = Family {
            parent_source_id: record.parent_source_id.clone(),
            section: record.section.clone(),
            resource_type: record.resource_type,
            topology: record
                .facets
                .storage
                .as_ref()
                .map(|storage| storage.topology)
                .filter(|_| record.resource_type == ResourceType::Storage),
        };
        Self::new(record.source_id.clone(), Arc::new(family), body, print)
    }

    fn new(source_id: SourceId, family: Arc<Family>, body: &[u8], print: Known) -> Self {
        Self::made(Head { source_id, family, print, texts: Lineage::new(), judged: Lineage::new() }, body)
    }

    fn made(head: Head, body: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice(head, body))
    }

    /// Whether both are of one thing, which lies in one place.
    fn has_place_of(&self, other: &Self) -> bool {
        self.source_id == other.source_id && self.family == other.family
    }

    /// Whether it is the same one, and not only equal.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    /// Whether it is known that every text, place and list is the same. `false` tells nothing.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.texts.0 == other.texts.0
    }

    /// Whether it is known that nothing differs which alone is judged. `false` tells nothing.
    pub(crate) fn is_judged_like(&self, other: &Self) -> bool {
        self.is_judged_by_table() && self.judged.0 == other.judged.0
    }

    /// Of the record that it is, when that is known.
    pub fn print(&self) -> Option<Print> {
        self.print.get()
    }

    /// What it has in common with its siblings.
    pub(super) fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Takes what others have already in place of what says the same. Not where somebody shares the document itself.
    pub(super) fn share(
        &mut self,
        source_id: Option<SourceId>,
        family: impl FnOnce(&Arc<Family>) -> Arc<Family>,
    ) {
        self.0.with_arc_mut(|whole| {
            let Some(whole) = triomphe::Arc::get_mut(whole) else { return };
            let head = whole.header_mut();
            if let Some(id) = source_id.filter(|id| *id == head.source_id) {
                head.source_id = id;
            }
            let shared = family(&head.family);
            debug_assert_eq!(shared, head.family);
            head.family = shared;
        });
    }

    /// From a document that says the same.
    pub(super) fn learn(&self, other: &Self) {
        self.print.learn(&other.print);
    }

    /// From stored parts. The body is taken as it is: whoever stored it had it from [`Self::of`].
    pub fn restore(
        source_id: SourceId,
        parent_source_id: Option<SourceId>,
        section: SectionName,
        body: &[u8],
    ) -> Result<Self, ProtocolError> {
        let family = Family::new(parent_source_id, section, kind(body)?);
        Ok(Self::new(source_id, Arc::new(family), body, Known::default()))
    }

    /// The same, of a family that says where it lies.
    pub(crate) fn restore_in(source_id: SourceId, family: Arc<Family>, body: &[u8]) -> Self {
        Self::new(source_id, family, body, Known::default())
    }

    /// Makes of its bytes those of another, where they lie unless somebody shares them or a length changes. `None`: the
    /// splices do not fit, and it is what it was. Until it is [read again](Self::reread), what kind of thing it is may be
    /// told wrong.
    pub(crate) fn patch(&mut self, splices: &[u8]) -> Option<()> {
        let in_place = self.0.with_arc_mut(|whole| {
            let whole = triomphe::Arc::get_mut(whole)?;
            difference::patch_in_place(whole.slice_mut(), splices)?;
            let head = whole.header_mut();
            (head.print, head.texts, head.judged) = (Known::default(), Lineage::new(), Lineage::new());
            Some(())
        });
        in_place.or_else(|| {
            let mut body = self.body().to_vec();
            difference::patch(&mut body, 0, splices)?;
            *self = Self::restore_in(self.source_id.clone(), Arc::clone(&self.family), &body);
            Some(())
        })
    }

    /// What kind of thing it is goes by its bytes.
    pub(crate) fn reread(&self) -> Result<Self, ProtocolError> {
        if kind(self.body())? == (self.resource_type, self.topology) {
            return Ok(self.clone());
        }
        let Family { parent_source_id, section, .. } = &***self;
        Self::restore(self.source_id.clone(), parent_source_id.clone(), section.clone(), self.body())
    }

    /// Decodes everything. Fails only on bytes that were never a record.
    pub fn record(&self) -> Result<IngestRecord, ProtocolError> {
        let fields =
            wire::Resource::decode(self.body()).map_err(|error| ProtocolError::invalid(error.to_string()))?;
        record_from_fields(&self.source_id, self.parent_source_id.as_ref(), &self.section, fields)
    }

    /// As it goes to clients.
    pub fn body(&self) -> &[u8] {
        &self.0.slice
    }

    pub fn fields(&self) -> Message<'_> {
        Message::new(self.body())
    }

    pub fn name(&self) -> &str {
        self.fields().text(number::NAME)
    }

    pub fn state(&self) -> &str {
        self.fields().text(number::STATE)
    }

    /// Sub-kind for people and filters, e.g. `zfs-pool`.
    pub fn technology(&self) -> &str {
        self.fields().text(number::TECHNOLOGY)
    }

    pub fn capacity(&self) -> Option<Capacity> {
        let capacity = self.fields().message(number::CAPACITY)?;
        Some(Capacity {
            total_bytes: capacity.integer(1),
            used_bytes: capacity.integer(2),
            available_bytes: capacity.integer(3),
            raw_total_bytes: capacity.integer(4),
            raw_used_bytes: capacity.integer(5),
            raw_free_bytes: capacity.integer(6),
        })
    }

    pub fn topology(&self) -> Option<StorageTopology> {
        self.topology
    }
}

pub(crate) fn kind(body: &[u8]) -> Result<(ResourceType, Option<StorageTopology>), ProtocolError> {
    let kind = Message::new(body).integer(number::TYPE).unwrap_or_default();
    let kind = i32::try_from(kind).map_err(|_| ProtocolError::invalid("unknown value").at("type"))?;
    let resource_type = ResourceType::from_wire(kind).map_err(|error| error.at("type"))?;
    Ok((resource_type, topology(resource_type, Message::new(body))))
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record() {
            Ok(record) => record.fmt(f),
            Err(error) => write!(f, "{} ({error})", self.source_id),
        }
    }
}

/// A record on its way in. What was decoded of it goes as soon as it is checked: it takes three times as much. A judge reads
/// what he looks at from the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsert {
    pub document: Document,
    /// Not where a document that is held stood for decoding it.
    pub is_decoded: bool,
    /// What it was compared with, if it was.
    pub(super) beside: Option<Beside>,
}

/// Another document of the same thing, which is known to differ. The one who compared had both at hand; the writer need
/// not look into them again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Beside {
    document: Document,
    /// What makes it this one, where that is little.
    pub(super) difference: Option<Difference>,
}

impl Beside {
    pub(super) fn is(&self, document: &Document) -> bool {
        self.document.is(document)
    }
}

impl Upsert {
    /// As it was told.
    pub fn told(record: wire::IngestRecord, print: Print) -> Result<Self, ProtocolError> {
        // What is no type is refused below, together with everything else that is wrong.
        let kind = ResourceType::from_wire(record.r#type).unwrap_or(ResourceType::Host);
        let body = told_to_fields(&record, &technology(kind, &Kinds::told(&record)));
        let record = IngestRecord::try_from(record)?;
        let document = Document::with(&record, &body, Known::of(print));
        Ok(Self { document, is_decoded: true, beside: None })
    }

    /// What is held, told once more.
    pub const fn held(document: Document) -> Self {
        Self { document, is_decoded: false, beside: None }
    }

    /// What [`Document::alike`] made of what is held.
    pub fn alike(held: Document, alike: Alike) -> Self {
        match alike {
            Alike::Equal => Self::held(held),
            Alike::Numbers(document, difference) => {
                let beside = Some(Beside { document: held, difference });
                Self { document, is_decoded: false, beside }
            }
        }
    }
}

impl From<IngestRecord> for Upsert {
    fn from(record: IngestRecord) -> Self {
        Self { document: Document::of(&record), is_decoded: true, beside: None }
    }
}

fn topology(resource_type: ResourceType, fields: Message<'_>) -> Option<StorageTopology> {
    if resource_type != ResourceType::Storage {
        return None;
    }
    let topology = fields.message(number::STORAGE)?.integer(1)?;
    StorageTopology::from_wire(i32::try_from(topology).ok()?).ok()
}

/// What facets say of the kind of a thing.
struct Kinds<'a> {
    storage: Option<&'a str>,
    share: Option<&'a str>,
    task: Option<&'a str>,
    disk: Option<&'a str>,
    is_app: bool,
    is_truenas: bool,
}

impl<'a> Kinds<'a> {
    fn of(record: &'a IngestRecord) -> Self {
        let facets = &record.facets;
        Self {
            storage: facets.storage.as_ref().map(|storage| storage.kind.as_str()),
            share: facets.network_share.as_ref().map(|share| share.protocol.as_str()),
            task: facets.protection_task.as_ref().map(|task| task.kind.as_str()),
            disk: facets.physical_disk.as_ref().map(|disk| disk.disk_type.as_str()),
            is_app: facets.app.is_some(),
            is_truenas: facets.truenas.is_some(),
        }
    }

    fn told(record: &'a wire::IngestRecord) -> Self {
        Self {
            storage: record.storage.as_ref().map(|storage| storage.r#type.as_str()),
            share: record.network_share.as_ref().map(|share| share.protocol.as_str()),
            task: record.protection_task.as_ref().map(|task| task.kind.as_str()),
            disk: record.physical_disk.as_ref().map(|disk| disk.disk_type.as_str()),
            is_app: record.app.is_some(),
            is_truenas: record.truenas.is_some(),
        }
    }
}

fn technology<'a>(resource_type: ResourceType, kinds: &Kinds<'a>) -> Cow<'a, str> {
    let named = kinds.storage.filter(|kind| !kind.is_empty()).or(kinds.share).or(kinds.task);
    if let Some(named) = named {
        return Cow::Borrowed(named);
    }
    match resource_type {
        ResourceType::AppContainer if kinds.is_app => Cow::Borrowed("docker"),
        ResourceType::Host if kinds.is_truenas => Cow::Borrowed("truenas"),
        ResourceType::PhysicalDisk => Cow::Owned(kinds.disk.unwrap_or_default().to_lowercase()),
        other => Cow::Borrowed(other.token()),
    }
}
