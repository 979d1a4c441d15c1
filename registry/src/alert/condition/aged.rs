//! Ages and times left: what time alone decides.

use std::time::Duration;

use pulse_proto::model::{Severity, UnixMillis};

use super::{AgeOf, Question, evidence, finding, long, millis, shown};
use crate::alert::life::{Contrary, Said};
use crate::alert::measure::Since;

pub(super) fn aged(
    of: AgeOf,
    limit: Duration,
    severity: Severity,
    question: &Question<'_>,
) -> (Said, Option<UnixMillis>) {
    let now = question.now;
    let name = question.lens.resource.display_name();
    let facts = |what: &str, at: Option<UnixMillis>| {
        let at = at.map(shown).unwrap_or_default();
        evidence([("of", what.to_owned()), ("at", at), ("limit", long(limit))])
    };
    let told = |summary: String, what: &str, at: Option<UnixMillis>| {
        let mut found = finding(severity, summary);
        found.evidence = facts(what, at);
        found.named = of.named(question.lens, now + limit);
        Said::Holds(found)
    };
    let clear = |what: &str, at: UnixMillis| {
        question.clear(|| Contrary {
            text: format!("{name}: {what}, {}.", shown(at)),
            evidence: facts(what, Some(at)),
        })
    };
    match of.of(question.lens) {
        None => (Said::Unknown, None),
        Some(Since::Nothing(why)) => {
            let seen = || Contrary { text: format!("{name}: {why}."), evidence: facts(why, None) };
            (question.clear(seen), None)
        }
        Some(Since::Now(what)) => (told(format!("{name}: {what}."), &what, None), None),
        Some(Since::Then(at, what)) => {
            let due = at + limit;
            if now < due {
                return (clear(&what, at), Some(due));
            }
            (told(format!("{name}: {what} is older than {}.", long(limit)), &what, Some(at)), None)
        }
        Some(Since::Before(at, what)) => {
            let due = at + limit;
            if now < due {
                return (Said::Unknown, Some(due));
            }
            (told(format!("{name}: {what} is older than {}.", long(limit)), &what, Some(at)), None)
        }
        Some(Since::Until(at, what)) => {
            let due = UnixMillis::new(at.get().saturating_sub(millis(limit)));
            if now < due {
                return (clear(&what, at), Some(due));
            }
            let (summary, look) = if now >= at {
                (format!("{name}: {what} has expired."), None)
            } else {
                (format!("{name}: {what} expires within {}.", long(limit)), Some(at))
            };
            (told(summary, &what, Some(at)), look)
        }
    }
}
