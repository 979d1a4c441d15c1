//! The rules of Prometheus against series: promtool runs the cases that lie beside them, and is then shown rules that are wrong in one way
//! each, which a case of every rule must notice.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Context as _;
use pulse_tests::task::root;
use pulse_tests::task::tools::promtool;
use serde_json::{Value, json};

use crate::manifests::yaml;
use crate::{deployed, text, tool};

/// Groups of rules as they are shipped.
pub(crate) fn groups() -> anyhow::Result<Value> {
    let mut documents = yaml(&text("prometheus/rules.yml")?)?;
    Ok(documents.pop().context("a document")?["groups"].take())
}

pub(crate) fn each(groups: &Value) -> impl Iterator<Item = &Value> {
    groups.as_array().into_iter().flatten().filter_map(|group| group["rules"].as_array()).flatten()
}

/// What an expression compares, which is there in good times, too.
pub(crate) fn compared(expression: &str) -> String {
    let sides = [" == ", " > ", " >= ", " < "].iter().find_map(|sign| expression.split_once(sign));
    let compared = sides.map_or(expression, |(what, _)| what);
    // Of such there are none where all is well, or where no such disk is.
    [r#"{state!="ONLINE"}"#, r#"{bus!~"nvme|scsi"}"#]
        .iter()
        .fold(compared.to_owned(), |all, few| all.replace(few, ""))
}

/// All that an expression looks at, whatever it is joined by.
pub(crate) fn looked_at(expression: &str) -> Vec<String> {
    let joined = expression.split(" or ").flat_map(|part| part.split(" and "));
    let bare = joined.map(|part| {
        let part = part.strip_prefix("ignoring (outcome) ").unwrap_or(part);
        part.strip_prefix("absent(").and_then(|part| part.strip_suffix(')')).unwrap_or(part)
    });
    bare.map(compared).collect()
}

fn names<'a>(rules: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    rules.filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect()
}

/// Rules of which the shipped cases expect something else.
fn noticed(groups: &Value, wrong: impl Fn(&mut Value)) -> anyhow::Result<BTreeSet<String>> {
    let mut groups = groups.clone();
    let lists = groups.as_array_mut().into_iter().flatten();
    lists.filter_map(|group| group["rules"].as_array_mut()).flatten().for_each(wrong);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("rules.yml"), json!({ "groups": groups }).to_string())?;
    let cases = folder.path().join("rules.test.yml");
    std::fs::copy(deployed("prometheus/rules.test.yml"), &cases)?;
    let (output, said) = tool(Command::new(promtool()?).args(["test", "rules"]).arg(cases))?;
    let of_a_rule =
        |line: &str| line.trim().strip_prefix("alertname: ")?.split(',').next().map(str::to_owned);
    let found: BTreeSet<String> = said.lines().filter_map(of_a_rule).collect();
    anyhow::ensure!(output.status.success() == found.is_empty(), "{said}");
    Ok(found)
}

#[test]
fn every_rule_is_seen_to_hold_back_to_fire_and_to_leave_alone_what_is_good() -> anyhow::Result<()> {
    let groups = groups()?;
    let all = names(each(&groups));
    assert_eq!(each(&groups).count(), all.len(), "a name is there twice");
    assert_eq!(noticed(&groups, |_| {})?, BTreeSet::new(), "as shipped");
    let never = |rule: &mut Value| rule["expr"] = json!("vector(1) > 2");
    assert_eq!(noticed(&groups, never)?, all, "which never fire");
    let always = |rule: &mut Value| rule["expr"] = json!(compared(rule["expr"].as_str().unwrap_or_default()));
    assert_eq!(noticed(&groups, always)?, all, "which fire for what is good");
    let waits = names(each(&groups).filter(|rule| rule["for"] != "0m"));
    assert_eq!(noticed(&groups, |rule| rule["for"] = json!("0m"))?, waits, "which do not wait");
    Ok(())
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules_that_it_names() -> anyhow::Result<()> {
    let rules = each(&groups()?).count();
    let shipped = deployed("prometheus/prometheus.yml");
    let (output, said) = tool(Command::new(promtool()?).args(["check", "config"]).arg(shipped))?;
    assert!(output.status.success() && said.contains(&format!("SUCCESS: {rules} rules found")), "{said}");
    Ok(())
}

/// As the built-in rules of the registry, by how a disk is attached.
#[test]
fn a_disk_is_hot_for_prometheus_from_where_the_registry_warns() -> anyhow::Result<()> {
    let alerts = std::fs::read_to_string(root().join("docs/alerts.md"))?;
    let groups = groups()?;
    let rule = each(&groups).find(|rule| rule["alert"] == "PulseDiskHot").context("a rule")?;
    let limits: Vec<&str> = rule["expr"].as_str().unwrap_or_default().split(" or ").collect();
    let of_disks = |line: &&str| line.starts_with("| `disk-temperature") && line.contains(" ≥ ");
    let built_in: Vec<&str> = alerts.lines().filter(of_disks).collect();
    assert_eq!((limits.len(), built_in.len()), (3, 3));
    for row in built_in {
        let warns = row.split_once(" ≥ ").and_then(|(_, rest)| rest.split([',', ' ']).next());
        let bus = match () {
            () if row.contains(" NOT (bus = NVME OR bus = SCSI)`") => "bus!~\"nvme|scsi\"",
            () if row.contains(" AND bus = NVME`") => "bus=\"nvme\"",
            () if row.contains(" AND bus = SCSI`") => "bus=\"scsi\"",
            () => "another bus",
        };
        let expected =
            format!("pulse_registry_disk_temperature_celsius{{{bus}}} >= {}", warns.context("a limit")?);
        assert!(limits.contains(&expected.as_str()), "{expected} is not among {limits:?}");
    }
    Ok(())
}
