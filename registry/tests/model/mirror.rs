//! A watcher's copy. Wherever it has a token, it is the model at that revision.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use pulse_proto::pb::registry::v1::WatchResourcesResponse;
use pulse_proto::pb::registry::v1::resource_event::Kind;
use tonic::Streaming;

use super::op::Filter;
use super::reference::{Model, Row};
use super::subject::Subject;

pub(crate) const READERS: usize = 2;

pub(crate) struct Mirror {
    filter: Filter,
    stream: Streaming<WatchResourcesResponse>,
    rows: BTreeMap<String, Row>,
    token: String,
}

impl Mirror {
    pub(crate) async fn open(subject: &Subject, filter: Filter) -> Self {
        let stream = subject.watch(filter, "").await;
        Self { filter, stream, rows: BTreeMap::new(), token: String::new() }
    }

    /// Goes on with the last token, or from the beginning where there is none.
    pub(crate) async fn reconnect(&mut self, subject: &Subject) {
        if self.token.is_empty() {
            self.rows.clear();
        }
        self.stream = subject.watch(self.filter, &self.token).await;
    }

    /// Until nothing is missing.
    pub(crate) async fn read_to_head(&mut self, model: &Model) -> Result<(), TestCaseError> {
        while self.token.is_empty() || self.shown() != model.shown(self.filter, model.revision()) {
            let message = tokio::time::timeout(Duration::from_mins(1), self.stream.message()).await;
            prop_assert!(message.is_ok(), "nothing comes, and {:?} is not all", self.rows);
            let message = message.unwrap().unwrap().unwrap();
            for event in message.events {
                let kind = event.kind();
                let resource = event.resource.unwrap();
                if kind == Kind::Removed {
                    self.rows.remove(&resource.id);
                } else {
                    self.rows.insert(resource.id.clone(), Row::shown(&resource));
                }
            }
            if !message.resume_token.is_empty() {
                self.token = message.resume_token;
                let expected = model.shown(self.filter, message.revision);
                prop_assert_eq!(self.shown(), expected, "at revision {}", message.revision);
            }
        }
        Ok(())
    }

    fn shown(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        rows.sort();
        rows
    }
}
