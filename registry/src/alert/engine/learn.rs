//! What is remembered of a resource for conditions that look back. Only what was
//! read lately is learnt, each read once.

use pulse_proto::model::UnixMillis;

use super::Engine;
use crate::alert::condition::{Condition, Grown, Memory};
use crate::alert::measure::Lens;
use crate::alert::rule::Rule;
use crate::alert::source;
use crate::state::Resource;

impl Engine {
    /// Remembers what conditions that look back need.
    pub(super) fn learn<'a>(
        &mut self,
        lens: &Lens<'_>,
        before: Option<&Resource>,
        rules: impl Iterator<Item = &'a Rule>,
        now: UnixMillis,
    ) {
        let resource = lens.resource;
        let sources = lens.sources(now);
        let mut changed = false;
        for rule in rules {
            match rule.condition {
                Condition::Growth { counter, .. } if rule.selector.matches(resource, None) => {
                    if sources.read_at(source::of_state(resource)).is_none() {
                        continue;
                    }
                    let Some(value) = counter.of(lens) else { continue };
                    let known = self.memory.get(&resource.id).and_then(|memory| memory.grown.get(&counter));
                    let known = known.copied();
                    let earlier = before.and_then(|before| counter.of(&Lens::new(before, lens.shard)));
                    let grown = Grown::learn(known, earlier, value, now);
                    if grown != known {
                        let memory = self.memory.entry(resource.id.clone()).or_default();
                        match grown {
                            Some(grown) => drop(memory.grown.insert(counter, grown)),
                            None => drop(memory.grown.remove(&counter)),
                        }
                        changed = true;
                    }
                }
                Condition::Forecast { .. } if rule.selector.matches(resource, None) => {
                    let Some(at) = sources.read_at(source::Part::Usable) else { continue };
                    let Some((used, total)) = lens.capacity() else { continue };
                    changed |=
                        self.memory.entry(resource.id.clone()).or_default().fill.learn(used, total, at);
                }
                _ => {}
            }
        }
        if changed {
            if self.memory.get(&resource.id) == Some(&Memory::default()) {
                self.memory.remove(&resource.id);
            }
            self.news.memory.insert(resource.id.clone());
        }
    }
}
