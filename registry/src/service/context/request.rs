//! What a request for a context asks for, checked.

use std::time::Duration;

use pulse_proto::convert::timestamp_from_wire;
use pulse_proto::model::UnixMillis;
use pulse_proto::pb::registry::v1::{ContextTopic, RedactionPolicy};
use pulse_shell::access;
use tonic::Status;

use super::{Options, forbidden};
use crate::context::fleet::{Topic, Topics};
use crate::context::pack::{TOKENS_DEFAULT, TOKENS_MAX, TOKENS_MIN};
use crate::context::redact::Policy;
use crate::error;

/// Longest name of a resource that is looked for, in bytes.
const REFERENCE_BYTES_MAX: usize = 1_024;

/// How an answer is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub now: UnixMillis,
    pub max_tokens: usize,
    pub policy: Policy,
    /// What is hidden from this client whatever it asks for. It may ask with names that are not.
    pub floor: Policy,
    pub reveal: bool,
}

/// What a request says of how the answer is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub max_tokens: i32,
    pub redaction: i32,
    pub reveal: bool,
}

impl Terms {
    pub(super) fn check(
        options: &Options,
        now: UnixMillis,
        wish: Wish,
        asker: &access::Caller,
    ) -> Result<Self, Status> {
        let Wish { max_tokens, redaction, reveal } = wish;
        let max_tokens = match usize::try_from(max_tokens) {
            Ok(0) => TOKENS_DEFAULT,
            Ok(tokens @ TOKENS_MIN..=TOKENS_MAX) => tokens,
            _ => {
                let problem = format!("must be {TOKENS_MIN} to {TOKENS_MAX}, or 0 for {TOKENS_DEFAULT}");
                return Err(error::invalid("max_tokens", "INVALID_MAX_TOKENS", &problem));
            }
        };
        let policy = match RedactionPolicy::try_from(redaction) {
            Ok(RedactionPolicy::Unspecified) => options.redaction,
            Ok(RedactionPolicy::None) => Policy::None,
            Ok(RedactionPolicy::Names) => Policy::Names,
            Ok(RedactionPolicy::Strict) => Policy::Strict,
            Err(_unknown) => {
                let problem = "must be one of the values of RedactionPolicy";
                return Err(error::invalid("redaction", "INVALID_REDACTION", problem));
            }
        };
        if policy < options.redaction {
            let wanted = options.redaction.token();
            let message = format!("this deployment hides at least \"{wanted}\" (setting context.redaction)");
            return Err(forbidden("REDACTION_REQUIRED", &message));
        }
        if reveal && !options.reveal {
            let message =
                "this deployment tells nobody what pseudonyms stand for (setting context.reveal_pseudonyms)";
            return Err(forbidden("PSEUDONYMS_NOT_REVEALED", message));
        }
        // What pseudonyms stand for is for those who may act on it, not for everybody who may look.
        let may_act = asker.grant.as_ref().is_none_or(|grant| grant.role.allows(access::Role::Operator));
        if reveal && !may_act {
            let message = "what pseudonyms stand for is told to operators only";
            return Err(forbidden("PSEUDONYMS_NOT_REVEALED", message));
        }
        let floor = if options.reveal && may_act { Policy::None } else { options.redaction };
        Ok(Self { now, max_tokens, policy, floor, reveal })
    }
}

/// `recent` ago when nothing is asked for.
pub(super) fn since(
    asked: Option<prost_types::Timestamp>,
    now: UnixMillis,
    recent: Duration,
) -> Result<UnixMillis, Status> {
    let Some(asked) = asked else {
        let recent = u64::try_from(recent.as_millis()).unwrap_or(u64::MAX);
        return Ok(UnixMillis::new(now.get().saturating_sub(recent)));
    };
    timestamp_from_wire(&asked)
        .map_err(|problem| error::invalid("since", "INVALID_SINCE", &problem.to_string()))
}

pub(super) fn topics(asked: &[i32]) -> Result<Topics, Status> {
    let topic = |number: &i32| {
        Ok(match ContextTopic::try_from(*number) {
            Ok(ContextTopic::WrongNow) => Topic::WrongNow,
            Ok(ContextTopic::GettingWorse) => Topic::GettingWorse,
            Ok(ContextTopic::Alerts) => Topic::Alerts,
            Ok(ContextTopic::BlindSpots) => Topic::BlindSpots,
            Ok(ContextTopic::Systems) => Topic::Systems,
            Ok(ContextTopic::Pools) => Topic::Pools,
            Ok(ContextTopic::ProtectionTasks) => Topic::ProtectionTasks,
            Ok(ContextTopic::TopConsumers) => Topic::TopConsumers,
            Ok(ContextTopic::RecentChanges) => Topic::RecentChanges,
            Ok(ContextTopic::Inventory) => Topic::Inventory,
            Ok(ContextTopic::Resources) => Topic::Resources,
            Ok(ContextTopic::Unspecified) | Err(_) => {
                let problem = format!("{number} is no topic; see ContextTopic");
                return Err(error::invalid("topics", "INVALID_TOPIC", &problem));
            }
        })
    };
    let asked = asked.iter().map(topic).collect::<Result<Vec<Topic>, Status>>()?;
    Ok(Topics::of(&asked))
}

pub(super) fn reference(text: String) -> Result<String, Status> {
    if text.is_empty() || text.len() > REFERENCE_BYTES_MAX {
        let problem = "must be an id, or \"<system>/<name>\", or \"<system>\"";
        return Err(error::invalid("resource_id", "INVALID_ID", problem));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::redact::Pseudonyms;
    use tonic_types::StatusExt as _;

    fn check(redaction: Policy, reveal: bool, asked: (i32, i32, bool)) -> Result<(usize, Policy), String> {
        let options = Options { redaction, reveal, pseudonyms: Pseudonyms::new([0; 32]) };
        let (max_tokens, redaction, reveal) = asked;
        let wish = Wish { max_tokens, redaction, reveal };
        let terms = Terms::check(&options, UnixMillis::new(0), wish, &access::Caller::anyone());
        terms
            .map(|terms| (terms.max_tokens, terms.policy))
            .map_err(|status| status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
    }

    #[test]
    fn a_request_may_hide_more_and_never_less() {
        use Policy::{Names, None, Strict};
        for (deployment, reveal, asked, expected) in [
            (None, false, (0, 0, false), Ok((4_000, None))),
            (Names, false, (0, 0, false), Ok((4_000, Names))),
            (Names, false, (256, 3, false), Ok((256, Strict))),
            (Names, false, (0, 1, false), Err("REDACTION_REQUIRED".to_owned())),
            (None, false, (0, 9, false), Err("INVALID_REDACTION".to_owned())),
            (None, false, (255, 0, false), Err("INVALID_MAX_TOKENS".to_owned())),
            (None, false, (-1, 0, false), Err("INVALID_MAX_TOKENS".to_owned())),
            (None, false, (100_001, 0, false), Err("INVALID_MAX_TOKENS".to_owned())),
            (None, false, (0, 3, true), Err("PSEUDONYMS_NOT_REVEALED".to_owned())),
            (None, true, (100_000, 3, true), Ok((100_000, Strict))),
        ] {
            assert_eq!(check(deployment, reveal, asked), expected, "{asked:?}");
        }
    }
}
