//! `docs/alerts.md`, written from the rules and tables themselves, so that
//! neither can change without the other. `cargo xtask docs` writes it anew.

use std::fmt::Write as _;

use super::condition::{AgeOf, Condition, Counter, Metric, long};
use super::cover;
use super::life::{CALM_AFTER, FLAP_CHANGES, FLAP_WINDOW, REOPEN_WITHIN};
use super::rule::{Rule, builtin};
use crate::query::filter::field::ALERT_FIELDS;

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from registry/src/alert. Do not edit. -->

# Alerts

An alert is a case: one for each rule, or class of native alert, and resource. Its life is **pending** (seen, not confirmed), **firing**, **resolved**.

- It is confirmed by distinct observations of its source, not by ticks of a clock: `raise_confirmations` to fire, `clear_confirmations` to resolve, and `for` at least. What the source says in its own words (the state of a pool, a native alert) fires at once. Ages, forecasts and growing counters are certain and need no second look.
- How bad it is, is confirmed like the case itself, both ways: `raise_confirmations` and `for` before it grows worse, `clear_confirmations` before it grows milder. A value that was critical is so until it has gone back from `critical` as far as `clear` lies from `trigger`.
- What is stale or missing neither fires a rule nor resolves it: an operand that is absent, or whose section was not read in time, makes a condition or a selector unknown, and what is unknown leaves a case as it is. One read of a section is one observation, however often it is looked at. Rules that ask for nothing but freshness (`reach`; an expression or selector with `freshness` or `observed_at` and no value that is read) are the exception: silence is their answer. An expression that asks for freshness and for values is about values.
- A resource that is gone ends its cases when what would hold it was read whole without it, `clear_confirmations` times; while that section fails or is stale, they stay. A rule that is switched off or no longer selects the resource ends a case at once.
- First seen never moves; labels, names and what stands above it are those of now while it is open. Each step is kept with its time, the revision of the resource and what was observed. Of a resolved case the evidence is what was observed when it resolved; `resolution` in it is `cleared`, `gone` or `not_asked`.
- A case is **quiet**, and notifies nobody, while it is acknowledged, silenced, told by another case already, or dismissed at its source. `pulse-registry alerts explain ID` says which and why.
- An acknowledgement holds for what was seen. When the case grows worse, its class brings a native alert with another id, or it names a further service, certificate or device, it is **withdrawn**: the alert is told again, and the timeline says why. A dismissal at the source holds for the alert that was dismissed, too.
";

const TRIAL: &str = "
## Trying a rule

`validate_only` of `CreateAlertRule` and `UpdateAlertRule` (`pulse-registry rules set FILE --dry-run`) keeps nothing. It says where the condition holds now, asked as the evaluation asks it: with what is remembered of
counters and fill levels, by the age of what is known, and from where a case of the rule stands (above `clear` it goes on). What holds fires when it is confirmed. It also says where it does not hold now and did within the
last week, as far as cases of this rule and counters that grew tell; what a resource was like at other times is not asked.

```
pulse-registry rules show pool-usage > rule.json
pulse-registry rules set rule.json --dry-run
```
";

const FIGURES: &str = "
## Figures

Under `/metrics` of `http.listen`, with the prefix `pulse_registry_`. No series is made for a resource, a case or a rule. Receivers have theirs: [delivery.md](delivery.md).

| figure | meaning |
|---|---|
| `alerts` by `state`, `severity` | cases held, resolved ones while they are kept |
| `alerts_quiet` by `reason` | firing ones that nobody is told of: `acknowledged`, `silenced`, `suppressed`, `dismissed`; one may have several reasons |
| `alert_transitions_total` by `step` | `pending`, `firing`, `resolved`, `dropped`, `severity`, `acknowledged`, `unacknowledged`, `withdrawn`, `flapping`, `calm` |
| `alert_evaluations_total` by `why` | resources that the rules were asked about: after a `change`, when a time was `due`, in a `pass` over everything |
| `alert_evaluation_seconds` by `why` | time of one step; the sum is what evaluation costs |
| `alert_pass_seconds` | how long the last pass took, with its commits; one is made at a start and after a rule was changed |
| `alert_lag_revisions` | revisions of resources that the rules were not asked about yet; grows while the store takes no writes |
| `alerts_left_out_total` | cases that were not begun since 100000 are open |
";

/// The whole document.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    let mut say = |text: std::fmt::Arguments<'_>| {
        let _infallible = out.write_fmt(text);
    };
    say(format_args!(
        "- A case that comes and goes {FLAP_CHANGES} times within {} is **flapping**: it keeps firing until nothing moved for {}. \
What fires again within {} of its end is the same case.\n",
        long(FLAP_WINDOW),
        long(CALM_AFTER),
        long(REOPEN_WITHIN),
    ));
    say(format_args!(
        "\n## Built-in rules\n\nEach can be changed, switched off, or given other values for some resources (`overrides`, by an AIP-160 selector such as \
`id = \"storage-0123456789abcdef\"` or `labels.site = lab`). Severity is that of the health reason ([health.md](health.md)) where the rule says so.\n\n\
| rule | selects | fires when | severity | for | seen |\n|---|---|---|---|---|---|\n"
    ));
    for rule in builtin::rules() {
        let off = if rule.enabled { "" } else { " (off)" };
        say(format_args!(
            "| `{}`{off} | `{}` | {} | {} | {} | {} |\n",
            rule.id,
            rule.selector_text,
            when(&rule),
            rule.severity.map_or("of the reason", |severity| severity.token()),
            if rule.hold.is_zero() { "-".to_owned() } else { long(rule.hold) },
            if rule.condition.is_certain() { 1 } else { rule.raise },
        ));
    }
    say(format_args!("\n| rule | about | what to do |\n|---|---|---|\n"));
    for rule in builtin::rules() {
        say(format_args!("| `{}` | {} | {} |\n", rule.id, rule.description, rule.remedy));
    }
    say(format_args!(
        "\n## Conditions\n\n`expression`: AIP-160 over the resource, as in [queries.md](queries.md).\n\n`metric`: `trigger`, `clear` on the way back, `critical`, `min_delta`. With `clear` above `trigger` it watches for too little.\n\n| metric | meaning |\n|---|---|\n"
    ));
    for metric in Metric::ALL {
        say(format_args!("| `{}` | {} |\n", metric.token(), metric.what()));
    }
    say(format_args!(
        "\n`reason`: one of the codes of [health.md](health.md), at least `min_severity`.\n\n`age`: older than `limit`, or ending within it.\n\n| of | meaning |\n|---|---|\n"
    ));
    for of in AgeOf::ALL {
        say(format_args!("| `{}` | {} |\n", of.token(), of.what()));
    }
    say(format_args!(
        "\n`growth`: a counter grew by at least `by`; it clears when it stood still for `calm_after`. What was believed last of each device is compared with what a read tells now, \
         however long ago that was, also over a restart; a read that is stale on arrival is believed once it is fresh again. A resource that comes with errors did not grow them here: its first read is the base, and so is \
         that of a device that joins a pool. Kept is what shows more than zeros; of the rest it is known up to which revision of the fleet it was looked at, so that zeros are its base where it came before that and nothing is \
         kept of it. A device that is not told ends nothing; one that two reads do not list is gone, and so is what is remembered of a resource that two reads of its section do not hold.\n\n| counter | meaning |\n|---|---|\n"
    ));
    for counter in Counter::ALL {
        say(format_args!("| `{}` | {} |\n", counter.token(), counter.what()));
    }
    say(format_args!(
        "\n`forecast`: full within `full_within`, by the least squares over the last week; nothing is said before a day is known. `reach`: the system is not reached.\n"
    ));
    out.push_str(TRIAL);
    let mut say = |text: std::fmt::Arguments<'_>| {
        let _infallible = out.write_fmt(text);
    };
    say(format_args!(
        "\n## Native alerts\n\nEvery native alert of TrueNAS is a case of its class on the resource it concerns (pool, disk, dataset, task, app, else the system), fires at once and \
resolves when two reads no longer hold it. Levels `info` and `notice` are monitor, `warning` is warning, `error` and above are critical. Node, arguments, one-shot and dismissed stay in the evidence.\n"
    ));
    say(format_args!(
        "\n## What keeps what quiet\n\nA firing case keeps others quiet that tell the same or follow from it; a milder one never keeps a worse one quiet, except that nothing is told of what lies below an unreachable system. \
One that is itself acknowledged, silenced or dismissed keeps quiet what it kept quiet until then: what comes or grows worse after that is told. One that nobody was ever told of keeps nothing quiet. Rules of operators are kept quiet by an unreachable system alone.\n\n| while this fires | of | quiet are |\n|---|---|---|\n"
    ));
    for (who, relation, what) in cover::table() {
        say(format_args!("| {who} | {relation} | {what} |\n"));
    }
    let fields: Vec<String> = ALERT_FIELDS.iter().map(|(name, _)| format!("`{name}`")).collect();
    say(format_args!(
        "\n## Filters\n\n`ListAlerts`, `WatchAlerts`, `SummarizeAlerts` and silences take AIP-160 over {} and `labels.<key>`.\n\n\
```\nstate = firing AND severity = critical AND acknowledged = false\nconnection_name = nas-1\nrule = \"pool-*\" AND labels.site = lab\n```\n",
        fields.join(", ")
    ));
    say(format_args!(
        "\n## Silences and maintenance\n\nA silence has a filter, a reason, an author and an end. Its filter cannot ask for `silenced`, `suppressed`, `acknowledged` or `revision`: silences decide those, or change with them. One that was kept by an earlier release and does is left out at the start, with a line in the log. With a `window` (days, start, duration, time zone) it is in force only then: a maintenance window that comes again. \
A system that is expected to be off is silenced by `connection_name = NAME`.\n\n```\npulse-registry silences add --filter 'connection_name = nas-1' --reason 'disks are replaced' --author ops --for 2h\n```\n"
    ));
    out.push_str(FIGURES);
    out
}

fn when(rule: &Rule) -> String {
    match &rule.condition {
        Condition::Expression(_, text) => format!("`{text}`"),
        Condition::Metric { metric, trigger, clear, critical, .. } => {
            let (sign, back) = if clear > trigger { ("≤", "≥") } else { ("≥", "≤") };
            let critical =
                critical.map(|critical| format!("; critical {sign} {critical}")).unwrap_or_default();
            format!("`{}` {sign} {trigger}, clears {back} {clear}{critical}", metric.token())
        }
        Condition::Reason { codes, min } => {
            let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
            format!("{} from {min} on", codes.join(", "))
        }
        Condition::Age { of, limit } => match of {
            AgeOf::Certificate => format!("`{}` within {}", of.token(), long(*limit)),
            AgeOf::Update => format!("`{}`", of.token()),
            AgeOf::Scrub | AgeOf::Snapshot | AgeOf::Success => {
                format!("`{}` longer ago than {}", of.token(), long(*limit))
            }
        },
        Condition::Forecast { full_within } => format!("full within {}", long(*full_within)),
        Condition::Growth { counter, by, calm_after } => {
            format!(
                "`{}` grew by {by} or more; clears after {} without growth",
                counter.token(),
                long(*calm_after)
            )
        }
        Condition::Reach => "nothing fresh is known, or it refuses the connection".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Set by `cargo xtask docs` to write the file instead of comparing it.
    const UPDATE: &str = "PULSE_UPDATE_DOCS";

    #[test]
    fn the_document_is_what_the_rules_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts.md");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, markdown()).expect("write docs/alerts.md");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == markdown(), "docs/alerts.md is out of date: run `cargo xtask docs`");
    }
}
