//! A time of the week that comes again, in the time zone of whoever works then.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};
use pulse_proto::model::UnixMillis;
use pulse_proto::pb::registry::v1 as pb;

use crate::alert::rule::wire::{Invalid, duration, wire};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// Days around now on which a window that matters may begin.
const DAYS_BACK: i64 = 8;
const DAYS_AHEAD: i64 = 8;

#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Empty: every day.
    days: Vec<Weekday>,
    start: Time,
    duration: Duration,
    zone: TimeZone,
    zone_name: String,
}

impl Window {
    pub(super) fn parse(window: pb::MaintenanceWindow) -> Result<Self, Invalid> {
        let pb::MaintenanceWindow { days, start_time, duration: length, time_zone } = window;
        let days = days.iter().map(|word| {
            let known = DAYS.iter().find(|(day, _)| day.eq_ignore_ascii_case(word));
            let words = DAYS.map(|(day, _)| day).join(", ");
            known.map(|(_, day)| *day).ok_or_else(|| {
                Invalid::new("silence.window.days", format!("unknown day {word:?}; one of {words}"))
            })
        });
        let days = days.collect::<Result<_, _>>()?;
        let start = Time::strptime("%H:%M", &start_time).map_err(|_| {
            Invalid::new(
                "silence.window.start_time",
                format!("expected a time such as \"22:30\", not {start_time:?}"),
            )
        })?;
        let duration = duration("silence.window.duration", length)?
            .filter(|length| !length.is_zero() && *length <= LONGEST);
        let duration = duration
            .ok_or_else(|| Invalid::new("silence.window.duration", "more than 0 and at most 7 days"))?;
        let zone = if time_zone.is_empty() { Ok(TimeZone::UTC) } else { TimeZone::get(&time_zone) };
        let zone = zone.map_err(|_| {
            Invalid::new(
                "silence.window.time_zone",
                format!("unknown time zone {time_zone:?}; e.g. Europe/Berlin, or empty for UTC"),
            )
        })?;
        Ok(Self { days, start, duration, zone, zone_name: time_zone })
    }

    pub(super) fn show(&self) -> pb::MaintenanceWindow {
        let word =
            |day: &Weekday| DAYS.iter().find(|(_, known)| known == day).map(|(word, _)| (*word).to_owned());
        pb::MaintenanceWindow {
            days: self.days.iter().filter_map(word).collect(),
            start_time: self.start.strftime("%H:%M").to_string(),
            duration: Some(wire(self.duration)),
            time_zone: self.zone_name.clone(),
        }
    }

    pub(super) fn holds(&self, now: UnixMillis) -> bool {
        self.around(now).into_iter().any(|(begin, end)| begin <= now && now < end)
    }

    pub(super) fn next_turn(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.around(now).into_iter().flat_map(|(begin, end)| [begin, end]).filter(|at| *at > now).min()
    }

    /// Beginnings and ends near `now`.
    fn around(&self, now: UnixMillis) -> Vec<(UnixMillis, UnixMillis)> {
        let Some(today) = self.date(now) else { return Vec::new() };
        let dates = (-DAYS_BACK..=DAYS_AHEAD).filter_map(|days| {
            let span: Span = days.days();
            today.checked_add(span).ok()
        });
        let fits = |date: &Date| self.days.is_empty() || self.days.contains(&date.weekday());
        let begins = dates.filter(fits).filter_map(|date| {
            let local = date.to_datetime(self.start);
            let begin = self.zone.to_ambiguous_zoned_datetime(local).compatible().ok()?.timestamp();
            let begin = UnixMillis::new(u64::try_from(begin.as_millisecond()).ok()?);
            Some((begin, begin + self.duration))
        });
        begins.collect()
    }

    fn date(&self, now: UnixMillis) -> Option<Date> {
        let now = Timestamp::from_millisecond(i64::try_from(now.get()).ok()?).ok()?;
        Some(now.to_zoned_datetime(self.zone.clone()).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        let at: Timestamp = text.parse().expect("a time");
        UnixMillis::new(u64::try_from(at.as_millisecond()).expect("after 1970"))
    }

    fn window(days: &[&str], start: &str, hours: i64) -> Window {
        Window::parse(pb::MaintenanceWindow {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            start_time: start.to_owned(),
            duration: Some(prost_types::Duration { seconds: hours * 3_600, nanos: 0 }),
            time_zone: String::new(),
        })
        .expect("a window")
    }

    #[test]
    fn a_window_holds_over_midnight_and_only_on_its_days() {
        // 2026-11-28 is a Saturday.
        let weekend = window(&["sat"], "22:00", 4);
        for (time, expected) in [
            ("2026-11-28T21:59:59Z", false),
            ("2026-11-28T22:00:00Z", true),
            ("2026-11-29T01:59:59Z", true),
            ("2026-11-29T02:00:00Z", false),
            ("2026-11-29T22:30:00Z", false),
        ] {
            assert_eq!(weekend.holds(at(time)), expected, "{time}");
        }
        assert_eq!(weekend.next_turn(at("2026-11-28T12:00:00Z")), Some(at("2026-11-28T22:00:00Z")));
        assert_eq!(weekend.next_turn(at("2026-11-28T23:00:00Z")), Some(at("2026-11-29T02:00:00Z")));
        assert_eq!(weekend.next_turn(at("2026-11-29T02:00:00Z")), Some(at("2026-12-05T22:00:00Z")));
        let daily = window(&[], "03:00", 1);
        assert!(daily.holds(at("2026-11-25T03:30:00Z")) && !daily.holds(at("2026-11-25T04:00:00Z")));
    }

    #[test]
    fn mistakes_are_named_with_their_field() {
        let good = pb::MaintenanceWindow {
            days: vec!["mon".to_owned()],
            start_time: "22:30".to_owned(),
            duration: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            time_zone: String::new(),
        };
        assert_eq!(Window::parse(good.clone()).map(|window| window.show()), Ok(good.clone()));
        let field = |change: &dyn Fn(&mut pb::MaintenanceWindow)| {
            let mut window = good.clone();
            change(&mut window);
            Window::parse(window).expect_err("a mistake").field
        };
        assert_eq!(field(&|w| w.days = vec!["monday?".to_owned()]), "silence.window.days");
        assert_eq!(field(&|w| w.start_time = "25:00".to_owned()), "silence.window.start_time");
        assert_eq!(field(&|w| w.duration = None), "silence.window.duration");
        assert_eq!(field(&|w| w.time_zone = "Mars/Olympus".to_owned()), "silence.window.time_zone");
    }
}
