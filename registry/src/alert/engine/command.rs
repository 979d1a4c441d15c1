//! What operators say: acknowledged, silenced, ruled. Checked against what is
//! held now, so that two who do not know of each other cannot undo each other unseen.

use std::sync::Arc;

use pulse_proto::model::UnixMillis;
use pulse_proto::pb::registry::v1 as pb;

use super::Engine;
use crate::alert::case::{Acknowledgement, Case, CaseId, Step};
use crate::alert::rule::wire::Invalid;
use crate::alert::rule::{RULES_MAX, Rule, RuleId, builtin, wire};
use crate::alert::silence::{self, SILENCES_MAX, Silence, SilenceId};
use crate::alert::text;

#[derive(Debug)]
pub enum Command {
    Acknowledge {
        id: CaseId,
        who: String,
        comment: String,
        etag: String,
    },
    Unacknowledge {
        id: CaseId,
        who: String,
        etag: String,
    },
    /// The id is new.
    CreateSilence {
        id: SilenceId,
        silence: pb::Silence,
    },
    UpdateSilence {
        silence: pb::Silence,
        paths: Vec<String>,
    },
    DeleteSilence {
        id: SilenceId,
        etag: String,
    },
    CreateRule(pb::AlertRule),
    UpdateRule {
        rule: pb::AlertRule,
        paths: Vec<String>,
    },
    DeleteRule {
        id: String,
        etag: String,
    },
}

/// What came of a command.
#[derive(Debug, PartialEq)]
pub enum Done {
    Case(Arc<Case>),
    Silence(Arc<Silence>),
    Rule(Arc<Rule>),
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} does not exist")]
    NotFound(&'static str),
    #[error("it was changed meanwhile; read it again and decide anew")]
    Etag,
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("a rule named {0} exists; choose another id, or update that one")]
    Exists(RuleId),
    #[error("there are {0} already, which is all that is taken; delete some")]
    Full(usize),
    #[error("the rule came with the registry and cannot be deleted; set enabled to false instead")]
    BuiltIn,
    #[error("the alert is resolved: there is nothing to acknowledge")]
    Resolved,
    #[error("nobody acknowledged the alert")]
    NotAcknowledged,
}

impl Engine {
    /// Changes what is held; what came of it is durable after the next flush was kept.
    pub fn command(&mut self, command: Command, now: UnixMillis) -> Result<Said, Refusal> {
        match command {
            Command::Acknowledge { id, who, comment, etag } => {
                self.acknowledge(id, &who, comment, &etag, now)
            }
            Command::Unacknowledge { id, who, etag } => self.unacknowledge(id, &who, &etag, now),
            Command::CreateSilence { id, silence } => {
                if self.silences.len() >= SILENCES_MAX {
                    return Err(Refusal::Full(SILENCES_MAX));
                }
                silence::check_texts(&silence)?;
                let silence = silence::parse(silence, id, now, 1, now)?;
                Ok(self.put_silence(silence, now))
            }
            Command::UpdateSilence { silence, paths } => {
                let known = self
                    .silences
                    .get(&SilenceId::new(&silence.id))
                    .ok_or(Refusal::NotFound("the silence"))?;
                check_etag(&silence.etag, &known.etag())?;
                let (id, created_at, version) = (known.id.clone(), known.created_at, known.version + 1);
                let merged = merge_silence(silence::show(known), &silence, &paths)?;
                silence::check_texts(&merged)?;
                let silence = silence::parse(merged, id, created_at, version, now)?;
                Ok(self.put_silence(silence, now))
            }
            Command::DeleteSilence { id, etag } => {
                let known = self.silences.get(&id).ok_or(Refusal::NotFound("the silence"))?;
                check_etag(&etag, &known.etag())?;
                self.silences.remove(&id);
                self.news.silences.insert(id);
                self.news.all_stirred = true;
                self.turn_silences(now);
                Ok(Said::Gone)
            }
            Command::CreateRule(rule) => {
                let mut rule = wire::parse(pb::AlertRule { built_in: false, modified: false, ..rule })?;
                if self.rules.contains_key(&rule.id) {
                    return Err(Refusal::Exists(rule.id));
                }
                if self.rules.values().filter(|rule| !rule.built_in).count() >= RULES_MAX {
                    return Err(Refusal::Full(RULES_MAX));
                }
                rule.version = 1;
                Ok(self.put_rule(rule))
            }
            Command::UpdateRule { rule, paths } => {
                let id = RuleId::parse(&rule.id).map_err(|_| Refusal::NotFound("the rule"))?;
                let known = self.rules.get(&id).ok_or(Refusal::NotFound("the rule"))?;
                let rule = changed_rule(known, rule, &paths)?;
                Ok(self.put_rule(rule))
            }
            Command::DeleteRule { id, etag } => {
                let id = RuleId::parse(&id).map_err(|_| Refusal::NotFound("the rule"))?;
                let known = self.rules.get(&id).ok_or(Refusal::NotFound("the rule"))?;
                check_etag(&etag, &known.etag())?;
                if known.built_in {
                    return Err(Refusal::BuiltIn);
                }
                self.rules.remove(&id);
                self.news.rules.insert(id);
                self.activate();
                Ok(Said::Gone)
            }
        }
    }

    /// What a command led to, as it is after a flush.
    pub fn done(&self, said: &Said) -> Option<Done> {
        match said {
            Said::Case(id) => {
                let (subject, origin) = self.places.get(id)?;
                let case = self.cases.get(subject)?.get(origin).filter(|case| case.id == *id)?;
                Some(Done::Case(Arc::new(case.clone())))
            }
            Said::Silence(id) => self.silences.get(id).cloned().map(Done::Silence),
            Said::Rule(id) => self.rules.get(id).cloned().map(Done::Rule),
            Said::Gone => Some(Done::Gone),
        }
    }

    fn acknowledge(
        &mut self,
        id: CaseId,
        who: &str,
        comment: String,
        etag: &str,
        now: UnixMillis,
    ) -> Result<Said, Refusal> {
        text::check_line("who", who)?;
        text::check_line("comment", &comment)?;
        let case = self.open_case(id, etag)?;
        case.acknowledged = Some(Acknowledgement {
            who: who.to_owned(),
            at: now,
            comment: comment.clone(),
            severity: case.severity,
            native: case.native.clone(),
            named: case.progress.named.clone(),
        });
        let text = if comment.is_empty() { "Seen.".to_owned() } else { comment };
        case.note(Step::Acknowledged, now, text, who);
        let subject = case.subject.id;
        self.news.stirred.insert(subject);
        self.news.cases.insert(id);
        Ok(Said::Case(id))
    }

    fn unacknowledge(&mut self, id: CaseId, who: &str, etag: &str, now: UnixMillis) -> Result<Said, Refusal> {
        text::check_line("who", who)?;
        let case = self.open_case(id, etag)?;
        if case.acknowledged.take().is_none() {
            return Err(Refusal::NotAcknowledged);
        }
        case.note(Step::Unacknowledged, now, "No longer seen by anybody.".to_owned(), who);
        let subject = case.subject.id;
        self.news.stirred.insert(subject);
        self.news.cases.insert(id);
        Ok(Said::Case(id))
    }

    fn open_case(&mut self, id: CaseId, etag: &str) -> Result<&mut Case, Refusal> {
        if !self.places.contains_key(&id) {
            return Err(Refusal::NotFound("the alert"));
        }
        // One whose place was taken by a newer one is over.
        let case = self.case_mut(id).ok_or(Refusal::Resolved)?;
        check_etag(etag, &case.etag())?;
        if !case.is_open() {
            return Err(Refusal::Resolved);
        }
        Ok(case)
    }

    fn put_silence(&mut self, silence: Silence, now: UnixMillis) -> Said {
        let id = silence.id.clone();
        self.silences.insert(id.clone(), Arc::new(silence));
        self.news.silences.insert(id.clone());
        self.news.all_stirred = true;
        self.turn_silences(now);
        Said::Silence(id)
    }

    fn put_rule(&mut self, rule: Rule) -> Said {
        let id = rule.id.clone();
        self.rules.insert(id.clone(), Arc::new(rule));
        self.news.rules.insert(id.clone());
        self.activate();
        Said::Rule(id)
    }
}

/// What a command changed, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Case(CaseId),
    Silence(SilenceId),
    Rule(RuleId),
    Gone,
}

fn check_etag(told: &str, held: &str) -> Result<(), Refusal> {
    if told.is_empty() || told == held { Ok(()) } else { Err(Refusal::Etag) }
}

/// The rule after a change of the fields in `paths`, or of those that are set; of the one that the client has seen.
pub fn changed_rule(known: &Rule, change: pb::AlertRule, paths: &[String]) -> Result<Rule, Refusal> {
    check_etag(&change.etag, &known.etag())?;
    let mut merged = wire::show(known);
    let set = fields_of_rule(&change);
    let chosen = chosen(paths, &set, &RULE_FIELDS, "update_mask")?;
    let other = change;
    for field in chosen {
        match field {
            "name" => merged.name.clone_from(&other.name),
            "description" => merged.description.clone_from(&other.description),
            "remedy" => merged.remedy.clone_from(&other.remedy),
            "enabled" => merged.enabled = other.enabled,
            "selector" => merged.selector.clone_from(&other.selector),
            "severity" => merged.severity = other.severity,
            "for" => merged.r#for = other.r#for,
            "raise_confirmations" => merged.raise_confirmations = other.raise_confirmations,
            "clear_confirmations" => merged.clear_confirmations = other.clear_confirmations,
            "overrides" => merged.overrides.clone_from(&other.overrides),
            _ => merged.condition.clone_from(&other.condition),
        }
    }
    let mut rule = wire::parse(merged)?;
    rule.built_in = known.built_in;
    rule.version = known.version + 1;
    let as_it_came = builtin::rules().into_iter().find(|row| row.id == rule.id);
    let same = |row: &Rule| Rule { version: rule.version, modified: rule.modified, ..row.clone() } == rule;
    rule.modified = known.built_in && !as_it_came.as_ref().is_some_and(same);
    Ok(rule)
}

const RULE_FIELDS: [&str; 18] = [
    "name",
    "description",
    "remedy",
    "enabled",
    "selector",
    "severity",
    "for",
    "raise_confirmations",
    "clear_confirmations",
    "overrides",
    "expression",
    "metric",
    "reason",
    "age",
    "forecast",
    "growth",
    "reach",
    "condition",
];

fn fields_of_rule(rule: &pb::AlertRule) -> Vec<&'static str> {
    [
        ("name", !rule.name.is_empty()),
        ("description", !rule.description.is_empty()),
        ("remedy", !rule.remedy.is_empty()),
        ("enabled", rule.enabled.is_some()),
        ("selector", !rule.selector.is_empty()),
        ("severity", rule.severity != 0),
        ("for", rule.r#for.is_some()),
        ("raise_confirmations", rule.raise_confirmations != 0),
        ("clear_confirmations", rule.clear_confirmations != 0),
        ("overrides", !rule.overrides.is_empty()),
        ("metric", rule.condition.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, set)| set.then_some(field))
    .collect()
}

fn merge_silence(
    mut known: pb::Silence,
    change: &pb::Silence,
    paths: &[String],
) -> Result<pb::Silence, Refusal> {
    let set: Vec<&'static str> = [
        ("filter", !change.filter.is_empty()),
        ("reason", !change.reason.is_empty()),
        ("author", !change.author.is_empty()),
        ("starts_at", change.starts_at.is_some()),
        ("expires_at", change.expires_at.is_some()),
        ("window", change.window.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, set)| set.then_some(field))
    .collect();
    for field in chosen(paths, &set, &SILENCE_FIELDS, "update_mask")? {
        match field {
            "filter" => known.filter.clone_from(&change.filter),
            "reason" => known.reason.clone_from(&change.reason),
            "author" => known.author.clone_from(&change.author),
            "starts_at" => known.starts_at = change.starts_at,
            "expires_at" => known.expires_at = change.expires_at,
            _ => known.window.clone_from(&change.window),
        }
    }
    Ok(known)
}

const SILENCE_FIELDS: [&str; 6] = ["filter", "reason", "author", "starts_at", "expires_at", "window"];

/// The fields that are meant.
fn chosen<'a>(
    paths: &'a [String],
    set: &[&'static str],
    known: &'static [&'static str],
    field: &str,
) -> Result<Vec<&'a str>, Refusal> {
    if paths.is_empty() {
        return Ok(set.to_vec());
    }
    paths
        .iter()
        .map(|path| {
            known.iter().find(|name| *name == path).copied().ok_or_else(|| {
                let problem = format!("{path:?} cannot be changed; these can: {}", known.join(", "));
                Refusal::Invalid(Invalid::new(field, problem))
            })
        })
        .collect()
}

/// A rule that is not kept yet.
pub fn new_rule(rule: pb::AlertRule) -> Result<Rule, Refusal> {
    Ok(wire::parse(pb::AlertRule { built_in: false, modified: false, ..rule })?)
}
