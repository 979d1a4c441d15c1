//! Conditions that look back: a counter that grew, a capacity that fills up.

use std::time::Duration;

use pulse_proto::model::{Severity, UnixMillis};

use super::{Counted, Counter, Grown, Memory, Question, evidence, finding, long, shown};
use crate::alert::life::{Contrary, Said};
use crate::alert::measure::{DeviceErrors, percent};
use crate::alert::outlook::{Filling, Growth, Outlook};

/// Samples lie at least this far apart.
const SAMPLE_INTERVAL: Duration = Duration::from_hours(3);
/// A week of them, and the newest.
const SAMPLES_MAX: usize = 57;
const WEEK: Duration = Duration::from_hours(7 * 24);
/// A forecast of less than a day's samples would be a guess.
const SPAN_MIN: Duration = Duration::from_hours(24);

/// Used bytes over the last week, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::alert) struct Fill {
    pub(in crate::alert) samples: Vec<(UnixMillis, u64)>,
    /// What there was to fill when the newest was taken; 0: not known.
    pub(in crate::alert) total: u64,
}

impl Fill {
    /// Whether anything was learnt.
    pub(in crate::alert) fn learn(&mut self, used: u64, total: u64, now: UnixMillis) -> bool {
        if self.samples.last().is_some_and(|(at, _)| now.since(*at) < SAMPLE_INTERVAL) {
            return false;
        }
        self.samples.push((now, used));
        self.samples.retain(|(at, _)| now.since(*at) <= WEEK);
        if self.samples.len() > SAMPLES_MAX {
            self.samples.remove(0);
        }
        self.total = total;
        true
    }

    /// Bytes a second up to now; `None` while too little is known.
    fn slope(&self, used: u64, now: UnixMillis) -> Option<f64> {
        slope(self.samples.iter().copied().chain([(now, used)]))
    }

    /// When it is full, as of the newest sample; `None` when it does not grow, or nobody knows.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a forecast needs no more than 52 bits"
    )]
    fn outlook(&self) -> Option<Filling> {
        let (at, used) = *self.samples.last()?;
        let slope = slope(self.samples.iter().copied()).filter(|slope| *slope > 0.0)?;
        let left = self.total.checked_sub(used)? as f64;
        let full_at = UnixMillis::new(at.get().saturating_add((left / slope * 1_000.0) as u64));
        Some(Filling { full_at, bytes_per_day: (slope * 86_400.0) as u64 })
    }
}

/// Bytes a second, as the least squares have it; `None` while too little is known.
#[allow(clippy::cast_precision_loss, reason = "a slope of byte counts needs no more than 52 bits")]
fn slope(points: impl Iterator<Item = (UnixMillis, u64)> + Clone) -> Option<f64> {
    let (first, _) = points.clone().next()?;
    let points: Vec<(f64, f64)> =
        points.map(|(at, used)| (at.since(first).as_secs_f64(), used as f64)).collect();
    if points.last()?.0 < SPAN_MIN.as_secs_f64() {
        return None;
    }
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        let from = point.0 - x;
        (from.mul_add(point.1 - y, above), from.mul_add(from, below))
    });
    (below > 0.0).then(|| above / below)
}

impl Memory {
    /// What it says to those who ask how things will be.
    pub(in crate::alert) fn outlook(&self) -> Outlook {
        // All errors count more than those of one kind among them.
        let growth = Counter::ALL.iter().find_map(|counter| {
            let Grown { from, to, at } = self.counted.grown(*counter, |_| true)?;
            Some(Growth { counter: *counter, from, to, at })
        });
        Outlook { fill: self.fill.outlook(), growth }
    }
}

pub(super) fn growth(
    counter: Counter,
    by: u64,
    calm_after: Duration,
    severity: Severity,
    question: &Question<'_>,
) -> (Said, Option<UnixMillis>) {
    let devices = question.lens.devices();
    let told = devices.iter().filter_map(|device| counter.of(device.errors)).reduce(u64::saturating_add);
    let Some(told) = told else { return (Said::Unknown, None) };
    let name = question.lens.resource.display_name();
    let counted = question.memory.map(|memory| &memory.counted);
    let value = counted.and_then(|counted| counted.value(counter)).unwrap_or(told);
    let clear = || {
        question.clear(|| Contrary {
            text: format!("{name}: {} stands still at {value}.", counter.token()),
            evidence: evidence([("counter", counter.token().to_owned()), ("value", value.to_string())]),
        })
    };
    let is_young = |at: UnixMillis| question.now < at + calm_after;
    let grown = counted.and_then(|counted| counted.grown(counter, is_young));
    let Some(Grown { from, to, at }) = grown.filter(|grown| grown.to.saturating_sub(grown.from) >= by) else {
        let silent = |counted: &Counted| counted.grew_and_is_silent(counter, &devices);
        // One that grew and is not told may grow on.
        return (if counted.is_some_and(silent) { Said::Unknown } else { clear() }, None);
    };
    let those: Vec<(&str, UnixMillis)> =
        counted.into_iter().flat_map(|counted| counted.growing(counter, is_young)).collect();
    let mut found = finding(severity, format!("{name}: {} grew from {from} to {to}.", counter.token()));
    let names: Vec<&str> = those.iter().map(|(key, _)| name_of(&devices, key)).collect();
    found.evidence = evidence([
        ("counter", counter.token().to_owned()),
        ("from", from.to_string()),
        ("to", to.to_string()),
        ("at", shown(at)),
        ("devices", names.join(", ")),
    ]);
    found.named = names.iter().map(|name| (*name).to_owned()).collect();
    let calm_at = those.iter().map(|(_, at)| *at + calm_after).min();
    (Said::Holds(found), calm_at)
}

/// As people know it; what is not listed any more has nothing but its key.
fn name_of<'a>(devices: &'a [DeviceErrors<'_>], key: &'a str) -> &'a str {
    devices.iter().find(|device| device.key == key).map_or(key, |device| &device.name)
}

#[allow(clippy::cast_precision_loss, reason = "a slope of byte counts needs no more than 52 bits")]
pub(super) fn forecast(
    full_within: Duration,
    severity: Severity,
    question: &Question<'_>,
) -> (Said, Option<UnixMillis>) {
    let Some((used, total)) = question.lens.capacity() else { return (Said::Unknown, None) };
    let look = Some(question.now + SAMPLE_INTERVAL);
    let Some(slope) = question.memory.and_then(|memory| memory.fill.slope(used, question.now)) else {
        return (Said::Unknown, look);
    };
    let left = total.saturating_sub(used) as f64;
    // A tenth more time than asked for before it clears.
    let limit = full_within.as_secs_f64() * if question.fires() { 1.1 } else { 1.0 };
    let days = left / slope / 86_400.0;
    let name = question.lens.resource.display_name();
    if slope <= 0.0 || left / slope > limit {
        let clear = question.clear(|| Contrary {
            text: if slope <= 0.0 {
                format!("{name} does not fill up any more.")
            } else {
                format!("{name} is full in {days:.1} days if it goes on like the last week.")
            },
            evidence: evidence([
                ("days_left", if slope <= 0.0 { String::new() } else { format!("{days:.1}") }),
                ("bytes_per_day", format!("{:.0}", slope * 86_400.0)),
                ("used_percent", format!("{:.1}", percent(used, total))),
                ("limit", long(full_within)),
            ]),
        });
        return (clear, look);
    }
    let mut found =
        finding(severity, format!("{name} is full in {days:.1} days if it goes on like the last week."));
    found.evidence = evidence([
        ("days_left", format!("{days:.1}")),
        ("bytes_per_day", format!("{:.0}", slope * 86_400.0)),
        ("used_percent", format!("{:.1}", percent(used, total))),
        ("limit", long(full_within)),
    ]);
    found.weight = Some(days);
    found.min_delta = 1.0;
    (Said::Holds(found), look)
}
