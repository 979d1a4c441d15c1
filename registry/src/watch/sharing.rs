//! A stretch of revisions in which no resource changes twice, as an audience
//! is told it. Holds a place in it; the events are the audience's.

use std::collections::VecDeque;
use std::sync::Arc;

use pulse_proto::model::Revision;

use super::audience::{Audience, Chunk, Part};
use crate::state::change::Changes;
use crate::state::view::View;

#[derive(Clone, Debug)]
pub(super) struct Sharing {
    /// Where it ends.
    pub(super) revision: Revision,
    steps: VecDeque<Arc<Changes>>,
    /// The next part of the first step.
    part: usize,
    /// The part that is being told, and its next chunk.
    current: Option<(Arc<Part>, usize)>,
}

impl Sharing {
    pub(super) fn new(steps: &[Arc<Changes>], revision: Revision) -> Self {
        Self { revision, steps: steps.iter().cloned().collect(), part: 0, current: None }
    }

    /// What comes next, looking at as many changes as `budget` allows; it is counted down.
    pub(super) fn peek(
        &mut self,
        audience: &Arc<Audience>,
        view: &View,
        budget: &mut usize,
    ) -> Option<Chunk> {
        loop {
            if let Some((part, at)) = &self.current
                && let Some(chunk) = part.chunks.get(*at)
            {
                return Some(chunk.clone());
            }
            self.current = None;
            let step = self.steps.front()?;
            if self.part * audience.part_len() >= step.items.len() {
                self.steps.pop_front();
                self.part = 0;
                continue;
            }
            if *budget == 0 {
                return None;
            }
            *budget = budget.saturating_sub(audience.part_len());
            self.current = Some((audience.part(step, self.part, view), 0));
            self.part += 1;
        }
    }

    /// Moves on over what `peek` has shown.
    pub(super) fn advance(&mut self) {
        if let Some((_, at)) = &mut self.current {
            *at += 1;
        }
    }

    /// `peek` has nothing more, however large its budget.
    pub(super) fn is_done(&self) -> bool {
        self.steps.is_empty()
    }
}
