//! What the reading of sections says of a connection: is it live, and what is missing. Pure.

use std::collections::BTreeMap;

use pulse_proto::model::ConnectionState;

use crate::api::{Section, SectionFailure};

/// Sections named in one text.
const NAMED_MAX: usize = 5;
/// Without these nothing can be said of the health of what is stored.
const VITAL: [Section; 2] = [Section::Pools, Section::Alerts];
/// Suffices for all that is read here.
const READONLY: &str = "give the user a privilege with the role READONLY_ADMIN";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) state: ConnectionState,
    pub(super) reason: String,
    pub(super) remedy: String,
}

/// From how the last read of each section ended; those never read are not in it. `expected` sections are to be read.
pub(super) fn of(sections: &BTreeMap<Section, Option<SectionFailure>>, expected: usize) -> Judgement {
    let failing: Vec<(Section, &str)> = sections
        .iter()
        .filter_map(|(section, failure)| match failure {
            Some(SectionFailure::Failed(why)) => Some((*section, why.as_str())),
            Some(SectionFailure::Forbidden | SectionFailure::Unsupported) | None => None,
        })
        .collect();
    let forbidden: Vec<Section> = sections
        .iter()
        .filter(|(_, failure)| **failure == Some(SectionFailure::Forbidden))
        .map(|(section, _)| *section)
        .collect();
    let readable = sections.values().any(Option::is_none);
    let nothing = !readable && failing.is_empty() && sections.len() == expected;

    let mut reasons = Vec::new();
    let mut remedies = Vec::new();
    if let Some((first, why)) = failing.first() {
        let names = named(failing.iter().map(|(section, _)| *section));
        reasons.push(format!("cannot read {names}; {}: {why}", first.token()));
        remedies.push("look at the NAS's load and its middleware log; it is tried again".to_owned());
    }
    if nothing {
        reasons.push("the login may not read anything".to_owned());
        remedies.push(READONLY.to_owned());
    } else if !forbidden.is_empty() {
        reasons.push(format!("the login may not read {}", named(forbidden.iter().copied())));
        remedies.push(match forbidden.as_slice() {
            [only] => format!("give the user the role {} or READONLY_ADMIN", only.role()),
            _ => READONLY.to_owned(),
        });
    }
    let blind = VITAL.iter().any(|section| forbidden.contains(section));
    let degraded = !failing.is_empty() || nothing || blind;
    Judgement {
        state: if degraded { ConnectionState::Degraded } else { ConnectionState::Live },
        reason: reasons.join("; "),
        remedy: remedies.join("; "),
    }
}

fn named(sections: impl ExactSizeIterator<Item = Section>) -> String {
    let more = sections.len().saturating_sub(NAMED_MAX);
    let names: Vec<&str> = sections.take(NAMED_MAX).map(Section::token).collect();
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(failures: &[(Section, SectionFailure)]) -> Judgement {
        let mut sections: BTreeMap<_, _> = Section::ALL.into_iter().map(|section| (section, None)).collect();
        sections.extend(failures.iter().map(|(section, failure)| (*section, Some(failure.clone()))));
        of(&sections, Section::ALL.len())
    }

    #[test]
    fn what_the_login_may_not_read_is_named_with_what_to_do() {
        let forbidden = |section| (section, SectionFailure::Forbidden);
        let live = judged(&[forbidden(Section::Disks)]);
        assert_eq!(live.state, ConnectionState::Live);
        assert_eq!(live.reason, "the login may not read disks");
        assert!(live.remedy.contains(Section::Disks.role()) && live.remedy.contains("READONLY_ADMIN"));

        let most: Vec<_> =
            Section::ALL.into_iter().filter(|section| !VITAL.contains(section)).map(forbidden).collect();
        let told = judged(&most);
        assert_eq!(told.state, ConnectionState::Live);
        assert!(told.reason.starts_with("the login may not read system, datasets"), "{}", told.reason);
        assert!(told.reason.ends_with(&format!("and {} more", most.len() - NAMED_MAX)), "{}", told.reason);
        assert_eq!(told.remedy, READONLY);
    }

    #[test]
    fn a_login_that_may_not_read_pools_or_alerts_is_degraded() {
        for section in VITAL {
            let told = judged(&[(section, SectionFailure::Forbidden)]);
            assert_eq!(told.state, ConnectionState::Degraded);
            assert!(
                told.reason.contains(section.token()) && told.remedy.contains(section.role()),
                "{told:?}"
            );
        }
        let told = judged(&[(Section::Pools, SectionFailure::Unsupported)]);
        assert_eq!((told.state, told.reason.as_str()), (ConnectionState::Live, ""));
    }

    #[test]
    fn failures_and_refusals_are_told_together() {
        let told = judged(&[
            (Section::Pools, SectionFailure::Failed("late".to_owned())),
            (Section::Apps, SectionFailure::Forbidden),
        ]);
        assert_eq!(told.state, ConnectionState::Degraded);
        assert_eq!(told.reason, "cannot read pools; pools: late; the login may not read apps");
        let all = Section::ALL.map(|section| (section, SectionFailure::Forbidden));
        let told = judged(&all);
        assert_eq!(told.reason, "the login may not read anything");
        assert_eq!((told.state, told.remedy.as_str()), (ConnectionState::Degraded, READONLY));
        let told = of(&BTreeMap::new(), Section::ALL.len());
        assert_eq!((told.state, told.reason.as_str()), (ConnectionState::Live, ""));
    }
}
