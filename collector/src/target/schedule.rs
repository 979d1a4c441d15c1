//! What to read next, and when. Pure: hints, results and `now` in, due sections
//! out. Knows no session and reads nothing itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::Section;

/// A section read for 1 second is read at most every 20: duty stays under 5 %.
const DUTY_DIVISOR: u32 = 20;
/// A NAS that works for us longer than this share of the window is read less often, up to a limit.
const BUSY_WINDOW: Duration = Duration::from_mins(10);
const BUSY_SHARE: Duration = Duration::from_mins(1);
const PATIENCE_MAX: u32 = 8;
/// The first event of a burst is answered at once, but for those that come with it.
const FIRST_HINT_DELAY: Duration = Duration::from_millis(10);
/// The rest of a burst is answered by one read.
const HINT_DELAY: Duration = Duration::from_millis(200);
/// A burst is over when none of it was answered for so long.
const CALM: Duration = Duration::from_secs(1);
/// What only reports progress comes every second for hours.
const PROGRESS_DELAY: Duration = Duration::from_secs(10);
/// A refused or missing section may appear after an upgrade or a change of role.
const REPROBE: Duration = Duration::from_hours(1);
/// Everything is read once a day.
const DAY: Duration = Duration::from_hours(24);
/// A refresh spares what is read less often than that.
const REFRESHED_CADENCE_MAX: u32 = 10;
/// First delay after a failed read; doubles up to the section's interval.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// Its changes are told, and it is cheap enough to be read again when some may have been missed.
fn is_told_by_events(section: Section) -> bool {
    !section.spec().collections.is_empty() && section.cadence() <= REFRESHED_CADENCE_MAX
}

/// How a read ended, as far as planning goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Complete,
    Failed,
    /// Forbidden or unsupported.
    NotForUs,
}

/// How soon a hint wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Progress,
    Change,
    /// An operator waits for it.
    Now,
}

impl Urgency {
    const fn delay(self, is_calm: bool) -> Duration {
        match self {
            Self::Progress => PROGRESS_DELAY,
            Self::Change if is_calm => FIRST_HINT_DELAY,
            Self::Change => HINT_DELAY,
            Self::Now => Duration::ZERO,
        }
    }
}

#[derive(Clone, Debug)]
struct Slot {
    base: Duration,
    /// Base, stretched when reading takes long.
    interval: Duration,
    due: Instant,
    started: Option<Instant>,
    /// A hint came while reading: what was read may be older than the hint.
    again: Option<Urgency>,
    /// Hints wait until then, so that a stream of them keeps to the duty too.
    not_before: Instant,
    /// As long as the last read took, the NAS rests from it, whoever asks.
    rest_until: Instant,
    /// The read under way answers a hint.
    answers_hint: bool,
    /// Until then, hints belong to the burst that was answered last.
    calm_at: Instant,
    failures: u32,
    /// How the last read ended.
    last: Option<Ended>,
}

/// The plan of one NAS.
#[derive(Clone, Debug)]
pub struct Schedule {
    slots: BTreeMap<Section, Slot>,
    /// When reads ended, and how long they took: how busy the NAS is with us.
    reads: VecDeque<(Instant, Duration)>,
}

impl Schedule {
    /// Everything is due at once, but for what is switched off.
    pub fn new(poll_interval: Duration, disabled: &BTreeSet<Section>, now: Instant) -> Self {
        let slot = |section: &Section| {
            let base = poll_interval.saturating_mul(section.cadence()).min(poll_interval.max(DAY));
            let slot = Slot {
                base,
                interval: base,
                due: now,
                started: None,
                again: None,
                not_before: now,
                rest_until: now,
                answers_hint: false,
                calm_at: now,
                failures: 0,
                last: None,
            };
            (*section, slot)
        };
        let read = Section::ALL.iter().filter(|section| !disabled.contains(section));
        Self { slots: read.map(slot).collect(), reads: VecDeque::new() }
    }

    /// All that is ever read.
    pub fn sections(&self) -> BTreeSet<Section> {
        self.slots.keys().copied().collect()
    }

    /// How often the section is read at present.
    pub fn interval(&self, section: Section) -> Duration {
        self.slots.get(&section).map_or(Duration::ZERO, |slot| slot.interval)
    }

    /// Sections to start reading now.
    pub fn due(&self, now: Instant) -> Vec<Section> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.started.is_none() && slot.due <= now)
            .map(|(s, _)| *s)
            .collect()
    }

    /// When to ask again; `None` while everything is being read.
    pub fn next_due(&self) -> Option<Instant> {
        self.slots.values().filter(|slot| slot.started.is_none()).map(|slot| slot.due).min()
    }

    pub fn started(&mut self, section: Section, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&section) {
            slot.started = Some(now);
            slot.again = None;
        }
    }

    /// The next read counts from the start of this one, so that cadence does not drift; after a failure, from its end.
    pub fn finished(&mut self, section: Section, ended: Ended, now: Instant) {
        let Some(started) = self.slots.get_mut(&section).map(|slot| slot.started.take().unwrap_or(now))
        else {
            return;
        };
        let took = now.saturating_duration_since(started);
        let patience = if section.is_urgent() { 1 } else { self.patience(took, now) };
        let Some(slot) = self.slots.get_mut(&section) else { return };
        if std::mem::take(&mut slot.answers_hint) {
            slot.calm_at = now + CALM;
        }
        slot.last = Some(ended);
        slot.rest_until = now + took;
        (slot.due, slot.not_before) = match ended {
            Ended::Complete => {
                slot.failures = 0;
                let duty = took.saturating_mul(DUTY_DIVISOR).min(DAY);
                slot.interval = slot.base.saturating_mul(patience).min(slot.base.max(DAY)).max(duty);
                ((started + slot.interval).max(now), now + took)
            }
            Ended::Failed => {
                let factor = 1_u32.checked_shl(slot.failures.min(16)).unwrap_or(u32::MAX);
                slot.failures = slot.failures.saturating_add(1);
                let retry = now + RETRY_MIN.saturating_mul(factor).min(slot.interval.max(RETRY_MIN));
                (retry, retry)
            }
            Ended::NotForUs => (now + REPROBE, now + REPROBE),
        };
        if let Some(urgency) = slot.again.take() {
            slot.hint(urgency, now);
        }
    }

    /// By how much all that is not urgent is read less often: the NAS should not be busy with us for more than its share.
    fn patience(&mut self, took: Duration, now: Instant) -> u32 {
        self.reads.push_back((now, took));
        while self.reads.front().is_some_and(|(at, _)| now.duration_since(*at) >= BUSY_WINDOW) {
            self.reads.pop_front();
        }
        let busy: Duration = self.reads.iter().map(|(_, took)| *took).sum();
        let shares = busy.as_millis() / BUSY_SHARE.as_millis();
        u32::try_from(shares).unwrap_or(u32::MAX).clamp(1, PATIENCE_MAX)
    }

    /// Something may have changed there. An event says when to look, never what is true.
    pub fn hint(&mut self, section: Section, urgency: Urgency, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&section) {
            slot.hint(urgency, now);
        }
    }

    /// A session follows another one. What events may have told in between is read again; all else keeps its time, and so does
    /// what is not for us. A read that was cut short is not begun again at once: the NAS may still be at it.
    pub fn resume(&mut self, now: Instant) {
        let cut: Vec<Section> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.started.is_some())
            .map(|(section, _)| *section)
            .collect();
        for section in cut {
            self.finished(section, Ended::Failed, now);
        }
        for (section, slot) in &mut self.slots {
            slot.again = None;
            if slot.last == Some(Ended::NotForUs) || !is_told_by_events(*section) {
                continue;
            }
            let soonest = if section.is_urgent() { now } else { now.max(slot.not_before) };
            slot.due = slot.due.min(soonest);
        }
    }

    /// Read everything again, now; but what is rarely asked since asking is dear, only when it is not known. Tells what is read.
    pub fn refresh(&mut self, now: Instant) -> BTreeSet<Section> {
        let mut asked = BTreeSet::new();
        for (section, slot) in &mut self.slots {
            if slot.last == Some(Ended::Complete) && section.cadence() > REFRESHED_CADENCE_MAX {
                continue;
            }
            slot.failures = 0;
            slot.hint(Urgency::Now, now);
            asked.insert(*section);
        }
        asked
    }
}

impl Slot {
    /// Never so early that more than half of the time would go into reading, unless somebody waits.
    fn hint(&mut self, urgency: Urgency, now: Instant) {
        if self.started.is_some() {
            self.again = self.again.max(Some(urgency));
        } else if urgency == Urgency::Now {
            self.due = self.due.min(now.max(self.rest_until));
        } else {
            self.answers_hint = true;
            let delay = urgency.delay(now >= self.calm_at);
            self.due = self.due.min((now + delay).max(self.not_before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_read_at_once_then_by_cadence() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        assert_eq!(plan.due(t0), Section::ALL.to_vec());
        for section in Section::ALL {
            plan.started(section, t0);
        }
        assert_eq!(plan.next_due(), None);
        for section in Section::ALL {
            plan.finished(section, Ended::Complete, t0 + second(1));
        }
        assert!(plan.due(t0 + second(59)).is_empty());
        assert!(plan.due(t0 + MINUTE).contains(&Section::Pools), "cadence counts from the start");
        assert!(!plan.due(t0 + MINUTE).contains(&Section::Disks));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_session_reads_what_events_may_have_missed_and_keeps_the_time_of_all_else() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        for section in Section::ALL {
            plan.started(section, t0);
            let ended = if section == Section::Apps { Ended::NotForUs } else { Ended::Complete };
            let took = second(if section == Section::Datasets { 30 } else { 1 });
            plan.finished(section, ended, t0 + took);
        }
        let again = t0 + second(40);
        plan.resume(again);
        let due = plan.due(again);
        for section in [
            Section::System,
            Section::Pools,
            Section::Alerts,
            Section::Disks,
            Section::Services,
            Section::Ups,
        ] {
            assert!(due.contains(&section), "{section:?}");
        }
        for section in [
            Section::Update,
            Section::Snapshots,
            Section::Temperatures,
            Section::Certificates,
            Section::Scrubs,
            Section::Apps,
        ] {
            assert!(!due.contains(&section), "{section:?}");
        }
        assert!(!due.contains(&Section::Datasets), "half of the time belongs to the NAS");
        assert!(plan.due(t0 + MINUTE).contains(&Section::Datasets));
        assert_eq!(plan.interval(Section::Datasets), second(600), "stretched as before");
        assert!(plan.due(t0 + second(301)).contains(&Section::Temperatures), "at its own time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_was_cut_short_is_not_begun_with_every_new_session() {
        let mut now = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), now);
        for wait in [5, 10, 20] {
            plan.started(Section::Snapshots, now);
            plan.resume(now);
            assert!(!plan.due(now + second(wait - 1)).contains(&Section::Snapshots), "before {wait} s");
            now += second(wait);
            assert!(plan.due(now).contains(&Section::Snapshots), "after {wait} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_lets_the_nas_rest_as_long_as_it_worked() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        plan.started(Section::Datasets, t0);
        plan.finished(Section::Datasets, Ended::Complete, t0 + second(8));
        plan.refresh(t0 + second(9));
        assert!(!plan.due(t0 + second(15)).contains(&Section::Datasets));
        assert!(plan.due(t0 + second(16)).contains(&Section::Datasets));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_switched_off_is_never_due() {
        let t0 = Instant::now();
        let off = BTreeSet::from([Section::Datasets]);
        let mut plan = Schedule::new(MINUTE, &off, t0);
        assert!(!plan.due(t0).contains(&Section::Datasets) && plan.due(t0).contains(&Section::Pools));
        plan.hint(Section::Datasets, Urgency::Change, t0);
        assert!(!plan.refresh(t0).contains(&Section::Datasets));
        assert!(!plan.due(t0 + second(100_000)).contains(&Section::Datasets));
        assert!(!plan.sections().contains(&Section::Datasets));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_section_is_read_less_often() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        plan.started(Section::Datasets, t0);
        plan.finished(Section::Datasets, Ended::Complete, t0 + second(30));
        assert_eq!(plan.interval(Section::Datasets), second(600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nas_that_is_slow_all_over_is_read_less_often_but_for_what_is_urgent() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        let mut now = t0;
        for section in [Section::Datasets, Section::Disks, Section::Apps, Section::Vms] {
            plan.started(section, now);
            now += second(30);
            plan.finished(section, Ended::Complete, now);
        }
        assert_eq!(plan.interval(Section::Vms), second(600), "its own duty");
        plan.started(Section::Services, now);
        plan.finished(Section::Services, Ended::Complete, now + second(1));
        assert_eq!(plan.interval(Section::Services), second(600), "twice five minutes");
        plan.started(Section::Pools, now);
        plan.finished(Section::Pools, Ended::Complete, now + second(1));
        assert_eq!(plan.interval(Section::Pools), MINUTE);
        let later = now + second(3_600);
        plan.started(Section::Services, later);
        plan.finished(Section::Services, Ended::Complete, later + second(1));
        assert_eq!(plan.interval(Section::Services), second(300), "it recovers");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_during_a_read_causes_another_one() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        plan.started(Section::Pools, t0);
        plan.hint(Section::Pools, Urgency::Change, t0 + second(1));
        plan.finished(Section::Pools, Ended::Complete, t0 + second(2));
        assert!(!plan.due(t0 + second(3)).contains(&Section::Pools), "half of the time belongs to the NAS");
        assert!(plan.due(t0 + second(4)).contains(&Section::Pools));
        plan.started(Section::Pools, t0 + second(4));
        plan.finished(Section::Pools, Ended::Complete, t0 + second(5));
        assert!(!plan.due(t0 + second(30)).contains(&Section::Pools), "answered hints are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_waits_and_a_change_does_not() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        plan.started(Section::Pools, t0);
        plan.finished(Section::Pools, Ended::Complete, t0);
        for n in 1..9 {
            plan.hint(Section::Pools, Urgency::Progress, t0 + second(n));
        }
        assert!(!plan.due(t0 + second(10)).contains(&Section::Pools));
        assert!(plan.due(t0 + second(11)).contains(&Section::Pools), "counts from the first of them");
        plan.hint(Section::Pools, Urgency::Change, t0 + second(9));
        assert!(plan.due(t0 + second(10)).contains(&Section::Pools));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_event_is_answered_at_once_and_the_rest_of_its_burst_together() {
        let t0 = Instant::now();
        let ms = |n: u64| t0 + Duration::from_millis(n);
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        plan.started(Section::Pools, t0);
        plan.finished(Section::Pools, Ended::Complete, t0);
        plan.hint(Section::Pools, Urgency::Change, ms(5_000));
        assert!(plan.due(ms(5_010)).contains(&Section::Pools));
        plan.started(Section::Pools, ms(5_010));
        plan.finished(Section::Pools, Ended::Complete, ms(5_020));
        for n in 0..10 {
            plan.hint(Section::Pools, Urgency::Change, ms(5_030 + n));
        }
        assert!(!plan.due(ms(5_229)).contains(&Section::Pools));
        assert!(plan.due(ms(5_230)).contains(&Section::Pools));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_what_is_not_for_us_is_left_alone() {
        let t0 = Instant::now();
        let mut plan = Schedule::new(MINUTE, &BTreeSet::new(), t0);
        let mut now = t0;
        for expected in [5, 10, 20, 40, 60, 60] {
            plan.started(Section::Alerts, now);
            plan.finished(Section::Alerts, Ended::Failed, now);
            assert!(!plan.due(now + second(expected) - Duration::from_millis(1)).contains(&Section::Alerts));
            now += second(expected);
            assert!(plan.due(now).contains(&Section::Alerts), "after {expected} s");
        }
        plan.started(Section::Alerts, now);
        plan.finished(Section::Alerts, Ended::Failed, now + second(30));
        plan.hint(Section::Alerts, Urgency::Change, now + second(30));
        assert!(!plan.due(now + second(89)).contains(&Section::Alerts), "a hint is no way around the wait");
        plan.started(Section::Disks, now);
        plan.finished(Section::Disks, Ended::NotForUs, now);
        assert!(!plan.due(now + second(3_599)).contains(&Section::Disks));
        plan.refresh(now);
        assert!(plan.due(now).contains(&Section::Disks), "an operator's refresh asks again");
    }
}
