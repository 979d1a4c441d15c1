//! One batch: lease, sections, records, removals and the sweep at a snapshot's end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, DataSource, RecordPart, ResourceType, SectionReport, SourceId, UnixMillis,
};

use super::{Applied, CONNECTION_RECORDS_MAX, CONNECTIONS_MAX, Concerned, State, Touched, fenced, own};
use crate::state::document::read::number;
use crate::state::document::{Document, Upsert};
use crate::state::holding::{Entry, Holding, Seen};
use crate::state::input::{Answer, Batch, RejectReason, Rejected};
use crate::state::kept::with_kept;
use crate::state::lease::{Cursor, Verdict, judge};
use crate::state::merge::{Key, is_mergeable};
use crate::state::resource::Resource;
use crate::state::row::{Stamp, Write};

impl State {
    pub(super) fn batch(&mut self, mut batch: Batch, now: UnixMillis) -> Applied {
        let connection = batch.connection.clone();
        if let Some(refusal) = self.refuse(&batch) {
            return refusal;
        }
        let cursor = Cursor {
            collector: batch.collector.clone(),
            epoch: batch.epoch,
            sequence: batch.sequence,
            digest: batch.digest,
        };
        let source = batch.source;
        let holding = self
            .holdings
            .entry(connection.clone())
            .or_insert_with(|| Holding::new(connection.clone(), cursor.clone(), source));
        holding.cursor = cursor;
        holding.removed = false;
        if batch.snapshot_begin {
            holding.seen = Some(Seen::default());
        }
        let mut concerned = Concerned::default();
        let touched = &mut concerned.touched;
        for (name, report) in batch.sections.take().unwrap_or_default() {
            if let Some(seen) = holding.seen.as_mut().filter(|_| report.outcome.is_complete()) {
                seen.complete.insert(name.clone());
            }
            // Resources that are not fresh show the error of their section.
            if holding.sections.get(&name).is_none_or(|old| old.error != report.error) {
                let entries = holding.entries.iter().filter(|entry| entry.document.section == name);
                touched.extend(entries.map(|entry| (connection.clone(), entry.document.source_id.clone())));
            }
            let mut report = not_later(report, now);
            // A sender that has not read it since it started does not know when it was read before.
            report.observed_at =
                report.observed_at.or(holding.sections.get(&name).and_then(|old| old.observed_at));
            holding.sections.insert(name, report);
        }
        let labels = Arc::clone(&holding.origin.labels);
        if holding.set_status(batch.status.take()) {
            touched.extend(
                holding.entries.iter().map(|entry| (connection.clone(), entry.document.source_id.clone())),
            );
        }
        self.cross(&connection, &labels, touched);
        let mut writes = Vec::new();
        let mut refused = std::mem::take(&mut batch.refused);
        self.note_seen(&batch, &refused);
        let kept = std::mem::take(&mut batch.kept);
        for upsert in std::mem::take(&mut batch.upserts) {
            if let Err(rejected) = self.upsert(&connection, upsert, &kept, now, &mut concerned, &mut writes) {
                refused.push(rejected);
            }
        }
        for source_id in &batch.removals {
            match self.remove(&connection, source_id, &mut concerned.touched, &mut writes) {
                Ok(resource) => concerned.gone.extend(resource),
                Err(rejected) => refused.push(rejected),
            }
        }
        let mut answers = Vec::new();
        if batch.snapshot_end {
            if let Some(swept) = self.sweep(&connection, &mut concerned.touched, &mut writes) {
                concerned.gone.extend(swept);
            } else {
                let reason = "a snapshot ended that had not begun";
                answers.push(Answer::Resync { connection: connection.clone(), reason });
                // What is held has more than the sender's state: nobody may take one for the other.
                if let Some(holding) = self.holdings.get_mut(&connection) {
                    holding.cursor.digest = None;
                }
            }
        }
        if let Some(holding) = self.holdings.get_mut(&connection) {
            holding.unwritten = false;
        }
        let mut applied = self.renew(&connection, concerned, writes, now);
        if let Some(holding) = self.holdings.get_mut(&connection) {
            holding.unwritten = false;
            applied.writes.push(Write::Connection(connection.clone(), Box::new(holding.row())));
        }
        applied.answers = with_refusals(&batch, refused, answers, self.view.revision);
        applied
    }

    /// Why the batch as a whole is not applied.
    fn refuse(&self, batch: &Batch) -> Option<Applied> {
        let held = self.holdings.get(&batch.connection);
        let reject = |reason, message| Answer::Reject {
            connection: batch.connection.to_string(),
            epoch: batch.epoch,
            sequence: batch.sequence,
            reason,
            message,
            records: Vec::new(),
        };
        let resync = |reason| Answer::Resync { connection: batch.connection.clone(), reason };
        if held.is_none() && self.holdings.len() >= CONNECTIONS_MAX {
            let message = format!("the registry holds at most {CONNECTIONS_MAX} connections");
            return Some(answered(vec![reject(RejectReason::Exhausted, message)]));
        }
        if let Some(held) = held.filter(|held| !held.removed && held.source != batch.source) {
            let message = format!("the connection brings records of source {}", held.source);
            return Some(answered(vec![reject(RejectReason::Invalid, message)]));
        }
        match judge(
            self.cursor(&batch.connection, &batch.collector),
            batch.epoch,
            batch.sequence,
            batch.snapshot_begin,
            batch.base,
        ) {
            Verdict::Apply if held.is_some_and(|held| held.removed) && !batch.snapshot_begin => {
                let message = "the connection was removed; it comes back with a snapshot";
                let reject = reject(RejectReason::OutOfSequence, message.to_owned());
                Some(answered(vec![reject, resync("the connection was removed")]))
            }
            Verdict::Apply => None,
            Verdict::Replay => Some(answered(vec![Answer::Ack {
                connection: batch.connection.clone(),
                epoch: batch.epoch,
                sequence: batch.sequence,
                revision: self.view.revision,
            }])),
            Verdict::Fenced(current) => Some(fenced(&batch.connection, batch.epoch, batch.sequence, current)),
            Verdict::Gap { expected } => {
                let message = format!("sequence {expected} has not come yet");
                let reject = reject(RejectReason::OutOfSequence, message);
                Some(answered(vec![reject, resync("a batch is missing")]))
            }
            Verdict::OtherBase => {
                let reject = reject(RejectReason::OutOfSequence, "the state held here is another one".into());
                Some(answered(vec![reject, resync("the state held here is another one")]))
            }
        }
    }

    /// What a snapshot names stays, also when this version of it is refused.
    fn note_seen(&mut self, batch: &Batch, refused: &[Rejected]) {
        let holding = self.holdings.get_mut(&batch.connection);
        let Some(seen) = holding.and_then(|holding| holding.seen.as_mut()) else { return };
        for upsert in &batch.upserts {
            seen.ids.insert(upsert.document.source_id.clone(), ());
        }
        for id in refused.iter().filter_map(|rejected| SourceId::parse(&rejected.source_id).ok()) {
            seen.ids.insert(id, ());
        }
    }

    fn upsert(
        &mut self,
        connection: &ConnectionId,
        mut upsert: Upsert,
        kept: &BTreeSet<RecordPart>,
        now: UnixMillis,
        concerned: &mut Concerned,
        writes: &mut Vec<Write>,
    ) -> Result<(), Rejected> {
        let Concerned { touched, renumbered, .. } = concerned;
        let Some(holding) = self.holdings.get_mut(connection) else { return Ok(()) };
        let source = holding.source;
        belongs(connection, source, &upsert.document.source_id, &self.foreign)?;
        let mut held = holding.entries.get_mut(&upsert.document.source_id);
        if let Some(Entry { document: old, .. }) = &held {
            if old.is(&upsert.document) {
                return Ok(());
            }
            if !kept.is_empty()
                && let (Ok(told), Ok(held)) = (upsert.document.record(), old.record())
            {
                upsert = with_kept(told, &held, kept).into();
            }
            let is_known_to_differ = upsert.beside.as_ref().is_some_and(|beside| beside.is(old));
            if !is_known_to_differ && *old == upsert.document {
                old.learn(&upsert.document);
                return Ok(());
            }
        }
        let is_alike = |entry: &&mut Entry| entry.document.is_alike(&upsert.document);
        if let Some(entry) = held.take_if(|entry| is_alike(entry)) {
            let is_shown = holding.fresh.shows(entry);
            if is_shown && self.merge.group(connection, &entry.document.source_id).is_none() {
                renumbered.push(entry.renumber(upsert));
                return Ok(());
            }
            let revision = self.view.revision.next();
            writes.push(Write::Record(connection.clone(), upsert.document.clone()));
            touched.insert((connection.clone(), upsert.document.source_id.clone()));
            holding.put(upsert, Stamp { created_at: now, updated_at: now, revision, created: revision });
            return Ok(());
        }
        let old = held.map(|entry| entry.document.clone());
        let labels = Arc::clone(&holding.origin.labels);
        holding.share_texts(&mut upsert.document);
        let document = upsert.document.clone();
        if holding.is_below(&document) {
            let message = "the parent lies below this record".to_owned();
            return Err(rejected(&document.source_id, "parent_source_id", message));
        }
        if old.is_none() && holding.entries.len() >= CONNECTION_RECORDS_MAX {
            let message = format!("a connection has at most {CONNECTION_RECORDS_MAX} records");
            return Err(rejected(&document.source_id, "source_id", message));
        }
        let key = (connection.clone(), document.source_id.clone());
        let has_place = old.as_ref().is_some_and(|old| same_place(old, &document));
        // Most changes are of facts, which nobody above or below shows.
        let has_look = has_place && old.as_ref().is_some_and(|old| old.name() == document.name());
        if let Some(old) = old.as_ref().filter(|_| !has_look) {
            self.touch_family(&key, old, touched);
        }
        if let Some(old) = old.as_ref().filter(|_| !has_place) {
            self.touch_disks(&key, old, touched);
        }
        if let Some(old) = old.as_ref().filter(|old| !same_claims(old, &document)) {
            self.merge.forget(&key, (source, &labels), old, touched);
        }
        let revision = self.view.revision.next();
        let stamp = Stamp { created_at: now, updated_at: now, revision, created: revision };
        if let Some(holding) = self.holdings.get_mut(connection) {
            holding.put(upsert, stamp);
        }
        if !has_look {
            self.touch_family(&key, &document, touched);
        }
        if !has_place {
            self.touch_disks(&key, &document, touched);
        }
        if old.is_none_or(|old| !same_claims(&old, &document)) {
            self.merge.index(&key, (source, &labels), &document, touched);
        }
        own(&mut self.foreign, connection, source, &document);
        touched.insert(key);
        writes.push(Write::Record(connection.clone(), document));
        Ok(())
    }

    /// Parent and children show each other's name, id and count.
    pub(super) fn touch_family(&self, key: &Key, document: &Document, touched: &mut Touched) {
        if let Some(parent) = &document.parent_source_id {
            touched.insert((key.0.clone(), parent.clone()));
        }
        self.touch_below(key, touched);
    }

    /// Children of a record, and of those it is one thing with.
    pub(super) fn touch_below(&self, key: &Key, touched: &mut Touched) {
        if let Some(group) = self.merge.group(&key.0, &key.1) {
            group.keys().for_each(|member| self.touch_children(member, touched));
        } else {
            self.touch_children(key, touched);
        }
    }

    pub(super) fn touch_children(&self, (connection, id): &Key, touched: &mut Touched) {
        let Some(holding) = self.holdings.get(connection) else { return };
        let children = holding.entries.children(id);
        touched.extend(children.map(|child| (connection.clone(), child.document.source_id.clone())));
    }

    /// Disks that this record puts into a machine, for merging them depends on it, and the machine.
    pub(super) fn touch_disks(&self, (connection, id): &Key, document: &Document, touched: &mut Touched) {
        let Some(holding) = self.holdings.get(connection) else { return };
        // While there is one machine or none, disks are in it without saying so.
        let all = document.resource_type == ResourceType::Host && holding.hosts.len() <= 2;
        let is_disk = |entry: &&Entry| entry.document.resource_type == ResourceType::PhysicalDisk;
        let key = |entry: &Entry| (connection.clone(), entry.document.source_id.clone());
        touched.extend(holding.host_of(document).map(|host| (connection.clone(), host.clone())));
        if all {
            touched.extend(holding.hosts.iter().map(|host| (connection.clone(), host.clone())));
            touched.extend(holding.entries.iter().filter(is_disk).map(key));
        } else {
            touched.extend(holding.below(id).into_iter().filter(is_disk).map(key));
        }
    }

    /// A record is gone only when its whole section was read without it.
    fn remove(
        &mut self,
        connection: &ConnectionId,
        source_id: &SourceId,
        touched: &mut Touched,
        writes: &mut Vec<Write>,
    ) -> Result<Option<Arc<Resource>>, Rejected> {
        let Some(holding) = self.holdings.get(connection) else { return Ok(None) };
        let Some(entry) = holding.entries.get(source_id) else { return Ok(None) };
        if !holding.is_complete(&entry.document.section) {
            let message = format!(
                "section {} was not read completely, so nothing in it is gone",
                entry.document.section
            );
            return Err(rejected(source_id, "removals", message));
        }
        writes.push(Write::RemoveRecord(connection.clone(), source_id.clone()));
        Ok(self.take(connection, source_id, touched))
    }

    /// Removes what the snapshot did not name. `None` when none had begun.
    fn sweep(
        &mut self,
        connection: &ConnectionId,
        touched: &mut Touched,
        writes: &mut Vec<Write>,
    ) -> Option<Vec<Arc<Resource>>> {
        let holding = self.holdings.get_mut(connection)?;
        let seen = holding.seen.take()?;
        let unnamed = holding.entries.iter().filter(|entry| {
            seen.ids.get(&entry.document.source_id).is_none()
                && seen.complete.contains(&entry.document.section)
        });
        let mut unnamed: Vec<SourceId> = unnamed.map(|entry| entry.document.source_id.clone()).collect();
        unnamed.sort_unstable();
        let mut gone = Vec::new();
        for source_id in unnamed {
            gone.extend(self.take(connection, &source_id, touched));
            writes.push(Write::RemoveRecord(connection.clone(), source_id));
        }
        Some(gone)
    }
}

/// A TrueNAS record names its connection in its id; others must not meet another connection's.
fn belongs(
    connection: &ConnectionId,
    source: DataSource,
    id: &SourceId,
    foreign: &BTreeMap<(DataSource, SourceId), ConnectionId>,
) -> Result<(), Rejected> {
    if source == DataSource::Truenas {
        let rest =
            id.as_str().strip_prefix("system:").and_then(|rest| rest.strip_prefix(connection.as_str()));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Ok(());
        }
        return Err(rejected(id, "source_id", format!("expected \"system:{connection}\", or below it")));
    }
    match foreign.get(&(source, id.clone())) {
        Some(owner) if owner != connection => {
            // Not which: it may be somebody else's customer.
            Err(rejected(id, "source_id", "another connection brings this record".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Nothing of what ties a record to those of other sources differs.
fn same_claims(old: &Document, new: &Document) -> bool {
    let [old_identity, new_identity] = [old, new].map(|document| document.fields().message(number::IDENTITY));
    old.resource_type == new.resource_type
        && (!is_mergeable(new.resource_type) || old_identity == new_identity)
}

pub(super) fn same_place(old: &Document, new: &Document) -> bool {
    (old.resource_type, &old.parent_source_id) == (new.resource_type, &new.parent_source_id)
}

/// A collector whose clock is ahead must not keep its facts fresh for ever.
fn not_later(mut report: SectionReport, now: UnixMillis) -> SectionReport {
    report.observed_at = report.observed_at.map(|at| at.min(now));
    report
}

fn with_refusals(
    batch: &Batch,
    refused: Vec<Rejected>,
    mut more: Vec<Answer>,
    revision: pulse_proto::model::Revision,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    if !refused.is_empty() {
        answers.push(Answer::Reject {
            connection: batch.connection.to_string(),
            epoch: batch.epoch,
            sequence: batch.sequence,
            reason: RejectReason::Records,
            message: format!("{} records were refused; the rest of the batch is applied", refused.len()),
            records: refused,
        });
    }
    answers.push(Answer::Ack {
        connection: batch.connection.clone(),
        epoch: batch.epoch,
        sequence: batch.sequence,
        revision,
    });
    answers.append(&mut more);
    answers
}

fn answered(answers: Vec<Answer>) -> Applied {
    Applied { answers, ..Applied::default() }
}

fn rejected(source_id: &SourceId, field: &str, message: String) -> Rejected {
    Rejected { source_id: source_id.to_string(), field: field.to_owned(), message }
}
