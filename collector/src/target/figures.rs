//! Figures of how busy the appliance is, which it pushes to whoever subscribes. Keeps the newest; knows no schedule.

use std::time::Duration;

use pulse_proto::model::{Metrics, UnixMillis};
use serde_json::json;
use serde_json::value::RawValue;

use super::subscribe::{self, Answer};
use crate::api::json::rows;
use crate::api::metrics::{REALTIME, decode};
use crate::api::section::Data;
use crate::api::{SectionFailure, SectionRead};
use crate::session::Session;

/// The appliance gathers them for every tick: no more of them than are told.
const INTERVAL_MIN: Duration = Duration::from_secs(2);
const INTERVAL_MAX: Duration = Duration::from_mins(1);
/// So long without figures means that there are none.
const SILENCE: Duration = Duration::from_mins(3);

/// What came, or why nothing will.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Why there are none at present.
    refused: Option<SectionFailure>,
    newest: Option<Metrics>,
    last_came: Option<UnixMillis>,
    told: bool,
}

/// The event source, with how often it is to tell.
pub(super) fn source(poll_interval: Duration) -> String {
    let seconds = poll_interval.clamp(INTERVAL_MIN, INTERVAL_MAX).as_secs();
    format!("{REALTIME}:{}", json!({ "interval": seconds }))
}

pub(super) fn is_source(collection: &str) -> bool {
    collection.split(':').next() == Some(REALTIME)
}

/// Whether they would be pushed: what a diagnosis can know of them.
pub(super) async fn offered(session: &Session, limit: Duration) -> Result<(), SectionFailure> {
    let mut figures = Figures::default();
    figures.answered(&subscribe::ask(session, &source(INTERVAL_MAX), limit).await);
    figures.refused.map_or(Ok(()), Err)
}

impl Figures {
    /// Where nothing is pushed.
    pub(super) fn none() -> Self {
        Self { refused: Some(SectionFailure::Unsupported), ..Self::default() }
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        self.refused = match answer {
            Answer::There => None,
            Answer::Refused(failure) => Some(failure.clone()),
            Answer::Later(why) => Some(SectionFailure::Failed(format!("no subscription to figures: {why}"))),
        };
    }

    pub(super) fn hear(&mut self, fields: &RawValue, now: UnixMillis) {
        let fields = rows::object(fields.get().as_bytes()).ok();
        if let Some(metrics) = fields.as_ref().and_then(decode) {
            self.newest = Some(Metrics { observed_at: Some(now), ..metrics });
            self.last_came = Some(now);
        }
    }

    /// The first are told when they come; later ones when it is time.
    pub(super) fn are_first(&self) -> bool {
        self.newest.is_some() && !self.told
    }

    /// `None` while there is nothing new, and silence is not long enough to mean something.
    pub(super) fn take(&mut self, now: UnixMillis) -> Option<Result<SectionRead, SectionFailure>> {
        if let Some(failure) = &self.refused {
            return Some(Err(failure.clone()));
        }
        if let Some(metrics) = self.newest.take() {
            self.told = true;
            let data = Data::Metrics(Box::new(metrics));
            return Some(Ok(SectionRead { data, skipped: Vec::new(), notes: Vec::new() }));
        }
        let silent = now.since(self.last_came?);
        (silent > SILENCE).then(|| Err(SectionFailure::Failed("no more figures come".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_figures_are_told_once_and_silence_is_a_failure_only_after_them() {
        let mut figures = Figures::default();
        assert_eq!(figures.take(UnixMillis::new(9_000_000)), None, "they may still come");
        let cpu = |usage: u32| {
            let fields = json!({"cpu": {"cpu": {"usage": usage}}}).to_string();
            RawValue::from_string(fields).expect("JSON")
        };
        figures.hear(&cpu(1), UnixMillis::new(1));
        assert!(figures.are_first());
        figures.hear(&cpu(2), UnixMillis::new(2));
        let Some(Ok(SectionRead { data: Data::Metrics(metrics), .. })) = figures.take(UnixMillis::new(3))
        else {
            panic!("figures came")
        };
        assert_eq!((metrics.cpu_percent, metrics.observed_at), (Some(2.0), Some(UnixMillis::new(2))));
        assert_eq!(figures.take(UnixMillis::new(4)), None, "nothing new");
        assert!(matches!(figures.take(UnixMillis::new(9_000_000)), Some(Err(SectionFailure::Failed(_)))));
        assert_eq!(Figures::none().take(UnixMillis::new(1)), Some(Err(SectionFailure::Unsupported)));
    }

    #[test]
    fn a_subscription_that_comes_late_is_no_loss() {
        let mut figures = Figures::default();
        assert_eq!(figures.take(UnixMillis::new(1)), None, "not answered yet");
        figures.answered(&Answer::Later("busy".to_owned()));
        let told = figures.take(UnixMillis::new(1));
        assert!(matches!(&told, Some(Err(SectionFailure::Failed(why))) if why.contains("busy")), "{told:?}");
        figures.answered(&Answer::There);
        assert_eq!(figures.take(UnixMillis::new(2)), None);
    }

    #[test]
    fn nobody_is_asked_more_often_than_the_appliance_allows() {
        for (poll, expected) in [(1, 2), (10, 10), (600, 60)] {
            let source = source(Duration::from_secs(poll));
            assert_eq!(source, format!(r#"reporting.realtime:{{"interval":{expected}}}"#));
            assert!(is_source(&source));
        }
    }
}
