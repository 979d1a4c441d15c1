//! Rules that are refused, with the field; and one that is shown as it was told.

use super::*;

fn metric(trigger: f64, clear: f64, critical: Option<f64>) -> Told {
    let metric = "capacity.used_percent".to_owned();
    Told::Metric(pb::MetricCondition { metric, trigger, clear, critical, min_delta: 0.0 })
}

fn rule(condition: impl Into<Option<Told>>, other: Option<pb::AlertRuleOverride>) -> pb::AlertRule {
    pb::AlertRule {
        name: "mine".to_owned(),
        severity: Severity::Warning.to_wire(),
        condition: condition.into(),
        overrides: other.into_iter().collect(),
        ..pb::AlertRule::default()
    }
}

fn reason(code: &str) -> Told {
    Told::Reason(pb::ReasonCondition { codes: vec![code.to_owned()], min_severity: 0 })
}

#[test]
fn an_unknown_reason_is_refused_with_those_that_there_are() {
    let refused = parse(rule(reason("zfs_pool_sate"), None)).expect_err("no such code");
    for part in ["zfs_pool_sate", "zfs_pool_state", "service_stopped"] {
        assert!(refused.problem.contains(part), "{refused}");
    }
    assert!(parse(rule(reason("zfs_pool_state"), None)).is_ok());
    assert!(parse_kept(rule(reason("of_an_earlier_release"), None)).is_ok(), "it was taken once");
}

#[test]
fn an_age_says_of_how_long_and_texts_print() {
    let age = |of: &str| rule(Told::Age(pb::AgeCondition { of: of.to_owned(), limit: None }), None);
    let field = |told: pb::AlertRule| parse(told).expect_err("refused").field;
    assert_eq!(field(age("scrub")), "rule.age.limit");
    assert!(parse(age("update_available")).is_ok(), "its age is the rule's `for`");
    assert!(parse_kept(age("scrub")).is_ok(), "it was taken once");
    let base = || rule(metric(80.0, 70.0, Some(90.0)), None);
    let raw = || "tank\u{1b}[2J".to_owned();
    assert_eq!(field(pb::AlertRule { name: raw(), ..base() }), "rule.name");
    assert_eq!(field(pb::AlertRule { description: raw(), ..base() }), "rule.description");
    assert_eq!(field(pb::AlertRule { selector: format!("name = \"{}\"", raw()), ..base() }), "rule.selector");
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_its_field() {
    let base = || rule(metric(80.0, 70.0, Some(90.0)), None);
    let age = |of: &str| Some(Told::Age(pb::AgeCondition { of: of.to_owned(), limit: Some(wire_days(1)) }));
    let other = |change: fn(&mut pb::AlertRuleOverride)| {
        let mut other = pb::AlertRuleOverride {
            selector: "type = storage".to_owned(),
            ..pb::AlertRuleOverride::default()
        };
        change(&mut other);
        Some(other)
    };
    assert!(parse(base()).is_ok());
    for (told, field) in [
        (pb::AlertRule { name: " ".to_owned(), ..base() }, "rule.name"),
        (pb::AlertRule { id: "My Rule".to_owned(), ..base() }, "rule.id"),
        (pb::AlertRule { severity: 0, ..base() }, "rule.severity"),
        (pb::AlertRule { severity: Severity::Healthy.to_wire(), ..base() }, "rule.severity"),
        (pb::AlertRule { selector: "typo = pool".to_owned(), ..base() }, "rule.selector"),
        (pb::AlertRule { raise_confirmations: 99, ..base() }, "rule.raise_confirmations"),
        (pb::AlertRule { clear_confirmations: -1, ..base() }, "rule.clear_confirmations"),
        (
            pb::AlertRule { r#for: Some(prost_types::Duration { seconds: -1, nanos: 0 }), ..base() },
            "rule.for",
        ),
        (rule(None, None), "rule.condition"),
        (rule(Some(Told::Expression(String::new())), None), "rule.expression"),
        (rule(metric(f64::NAN, 70.0, None), None), "rule.metric.trigger"),
        (rule(metric(80.0, 70.0, Some(75.0)), None), "rule.metric.critical"),
        (rule(metric(20.0, 30.0, Some(25.0)), None), "rule.metric.critical"),
        (rule(Some(Told::Reason(pb::ReasonCondition::default())), None), "rule.reason.codes"),
        (rule(reason("zfs_pool_sate"), None), "rule.reason.codes"),
        // At one value it would come and go.
        (rule(metric(80.0, 80.0, None), None), "rule.metric.clear"),
        (rule(metric(80.0, 70.0, None), other(|o| o.clear = Some(80.0))), "rule.overrides[0].clear"),
        (rule(metric(80.0, 70.0, None), other(|o| o.trigger = Some(70.0))), "rule.overrides[0].clear"),
        (rule(age("birthday"), None), "rule.age.of"),
        (rule(Some(Told::Forecast(pb::ForecastCondition::default())), None), "rule.forecast.full_within"),
        (rule(Some(Told::Growth(pb::GrowthCondition::default())), None), "rule.growth.counter"),
        (rule(metric(80.0, 70.0, None), other(|o| o.selector.clear())), "rule.overrides[0].selector"),
        (
            rule(metric(80.0, 70.0, Some(90.0)), other(|o| o.trigger = Some(95.0))),
            "rule.overrides[0].critical",
        ),
        (rule(metric(80.0, 70.0, None), other(|o| o.limit = Some(wire_days(1)))), "rule.overrides[0].limit"),
        // Below what the rule calls well again: it would fire where all is well.
        (rule(metric(40.0, 30.0, None), other(|o| o.trigger = Some(20.0))), "rule.overrides[0].trigger"),
        (rule(metric(40.0, 30.0, None), other(|o| o.clear = Some(50.0))), "rule.overrides[0].clear"),
        (rule(age("scrub"), other(|o| o.trigger = Some(1.0))), "rule.overrides[0].trigger"),
        (
            rule(Some(Told::Expression("state = X".to_owned())), other(|o| o.clear = Some(1.0))),
            "rule.overrides[0].clear",
        ),
    ] {
        let refused = parse(told).expect_err(field);
        assert_eq!(refused.field, field, "{refused}");
        assert!(!refused.problem.is_empty());
    }
}

#[test]
fn a_rule_is_shown_as_it_was_told() {
    let told = parse(rule(metric(80.0, 70.0, Some(90.0)), None)).expect("a rule");
    assert_eq!(parse(show(&told)), Ok(told));
}

fn wire_days(days: u32) -> prost_types::Duration {
    wire(DAY * days)
}
