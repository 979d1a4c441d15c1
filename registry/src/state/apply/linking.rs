//! What operators say about pairs of records, and the groups of records that
//! follow from it and from the records themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceType, UnixMillis};

use super::{Applied, State, Touched};
use crate::state::change::Changes;
use crate::state::merge::link::{LINKS_MAX, Link, LinkError, Pair, Stand};
use crate::state::merge::{held, is_mergeable};
use crate::state::row::Write;

impl State {
    /// Takes what an operator says. It is a revision, also when it changes no resource.
    pub fn link(&mut self, link: Link) -> Result<Applied, LinkError> {
        self.check(&link.pair, link.stand)?;
        let links = Arc::make_mut(&mut self.merge.links);
        if links.len() >= LINKS_MAX && links.get(&link.pair).is_none() {
            return Err(LinkError::Full);
        }
        let (pair, stand, at) = (link.pair.clone(), link.stand, link.at);
        let before = links.put(link.clone());
        let mut touched: Touched = pair.ends().into_iter().cloned().collect();
        self.regroup(&mut touched);
        if stand == Stand::Same && !self.are_one(&pair) {
            let links = Arc::make_mut(&mut self.merge.links);
            links.remove(&pair);
            if let Some(before) = before {
                links.put(before);
            }
            self.regroup(&mut touched);
            return Err(LinkError::Conflict);
        }
        Ok(self.relink(touched, vec![Write::Link(Box::new(link))], at))
    }

    /// Forgets what was said: evidence decides again.
    pub fn forget_link(&mut self, pair: &Pair, now: UnixMillis) -> Result<Applied, LinkError> {
        Arc::make_mut(&mut self.merge.links).remove(pair).ok_or(LinkError::NotThere)?;
        let mut touched: Touched = pair.ends().into_iter().cloned().collect();
        self.regroup(&mut touched);
        Ok(self.relink(touched, vec![Write::RemoveLink(Box::new(pair.clone()))], now))
    }

    fn relink(&mut self, touched: Touched, mut writes: Vec<Write>, now: UnixMillis) -> Applied {
        self.view.links = Arc::clone(&self.merge.links);
        let changes = self.resettle(touched, now, &mut writes).unwrap_or_else(|| {
            self.view.revision = self.view.revision.next();
            Arc::new(Changes::new(self.view.revision, now, Vec::new()))
        });
        Applied { answers: Vec::new(), writes, changes: Some(changes) }
    }

    fn check(&self, pair: &Pair, stand: Stand) -> Result<(), LinkError> {
        let [a, b] = pair.ends();
        if a == b {
            return Err(LinkError::OneRecord);
        }
        let find = |key| held(key, &self.holdings).ok_or_else(|| LinkError::NotHeld(key.clone()));
        let ((one, left), (other, right)) = (find(a)?, find(b)?);
        let (left, right) = (left.resource_type, right.resource_type);
        if left != right || !is_mergeable(left) {
            return Err(LinkError::Type(left, right));
        }
        if one == other {
            return Err(LinkError::OneSource(one));
        }
        if stand == Stand::Same
            && let Some(label) = self.merge.between(a, b, &self.holdings)
        {
            return Err(LinkError::Boundary(label.to_owned()));
        }
        Ok(())
    }

    fn are_one(&self, pair: &Pair) -> bool {
        let [a, b] = pair.ends().map(|(connection, id)| self.merge.group(connection, id));
        a.is_some() && a == b
    }

    /// The labels of a connection were others before: what its machines claim, they claim on the other side now.
    pub(super) fn cross(
        &mut self,
        connection: &ConnectionId,
        before: &BTreeMap<String, String>,
        touched: &mut Touched,
    ) {
        let Some(holding) = self.holdings.get(connection) else { return };
        if self.merge.boundary.between(before, &holding.origin.labels).is_none() {
            return;
        }
        for id in &holding.hosts {
            let Some(entry) = holding.entries.get(id) else { continue };
            let key = (connection.clone(), id.clone());
            self.merge.forget(&key, (holding.source, before), &entry.document, touched);
            self.merge.index(&key, (holding.source, &holding.origin.labels), &entry.document, touched);
        }
    }

    /// A connection that is gone leaves no statement behind.
    pub(super) fn unlink_all(&mut self, connection: &ConnectionId, writes: &mut Vec<Write>) {
        for pair in self.merge.links.of_connection(connection) {
            Arc::make_mut(&mut self.merge.links).remove(&pair);
            writes.push(Write::RemoveLink(Box::new(pair)));
        }
        self.view.links = Arc::clone(&self.merge.links);
    }

    /// Brings groups up to date and touches who shows it: hosts first, for a disk is merged within its machine.
    pub(super) fn regroup(&mut self, touched: &mut Touched) {
        if self.merge.is_idle() {
            return;
        }
        for key in self.merge.regroup(ResourceType::Host, touched, &self.holdings) {
            self.touch_children(&key, touched);
            if let Some((_, document)) = held(&key, &self.holdings) {
                self.touch_disks(&key, document, touched);
            }
            touched.insert(key);
        }
        for key in self.merge.regroup(ResourceType::PhysicalDisk, touched, &self.holdings) {
            if let Some((_, document)) = held(&key, &self.holdings) {
                self.touch_family(&key, document, touched);
            }
            touched.insert(key);
        }
    }
}
