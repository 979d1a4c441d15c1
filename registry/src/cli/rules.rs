//! `pulse-registry rules`: what is an alert, changed, tried and written by operators.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use pulse_proto::pb::registry::v1::{
    AlertRule, CreateAlertRuleRequest, DeleteAlertRuleRequest, GetAlertRuleRequest, ListAlertRulesRequest,
    UpdateAlertRuleRequest,
};
use pulse_shell::answer;
use pulse_shell::table::{lines, print};

use super::alerts::{client, show};
use super::resources::{Target, explained, word};

const PAGE_SIZE: i32 = 1_000;
const RULE: &str = "pulse.registry.v1.AlertRule";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List rules, built-in ones first.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Print one rule as JSON, which `set` takes back.
    Show {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Switch a rule on.
    Enable {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Switch a rule off: what it raised ends.
    Disable {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Make a rule, or change the fields of one that the file has.
    Set {
        /// JSON as `show` prints it; - is standard input.
        file: PathBuf,
        /// Keep nothing; say which resources it would raise an alert for now, and would have lately.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a rule of your own.
    Delete {
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => {
            let rules = list(&target).await?;
            show(&target, RULE, &rules, table)
        }
        Command::Show { id, target } => {
            let answer =
                client(&target).await?.get_alert_rule(GetAlertRuleRequest { id }).await.map_err(explained)?;
            let rule = answer.into_inner().rule.context("the registry sent no rule")?;
            let json = answer::json(RULE, &rule)?;
            Ok(print(&[serde_json::to_string_pretty(&json)?])?)
        }
        Command::Enable { id, target } => switch(&target, id, true).await,
        Command::Disable { id, target } => switch(&target, id, false).await,
        Command::Set { file, dry_run, target } => set(&target, &file, dry_run).await,
        Command::Delete { id, target } => {
            let request = DeleteAlertRuleRequest { id, etag: String::new() };
            client(&target).await?.delete_alert_rule(request).await.map_err(explained)?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> anyhow::Result<Vec<AlertRule>> {
    let mut client = client(target).await?;
    let mut rules = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAlertRulesRequest { page_size: PAGE_SIZE, page_token };
        let page = client.list_alert_rules(request).await.map_err(explained)?.into_inner();
        rules.extend(page.rules);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rules);
        }
    }
}

async fn switch(target: &Target, id: String, enabled: bool) -> anyhow::Result<()> {
    let rule = AlertRule { id, enabled: Some(enabled), ..AlertRule::default() };
    let request = UpdateAlertRuleRequest { rule: Some(rule), update_mask: None, validate_only: false };
    let answer = client(target).await?.update_alert_rule(request).await.map_err(explained)?;
    show(target, RULE, &[answer.into_inner().rule.context("the registry sent no rule")?], table)
}

async fn set(target: &Target, file: &PathBuf, validate_only: bool) -> anyhow::Result<()> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?
    };
    let rule: AlertRule =
        answer::message(RULE, &text).with_context(|| format!("{} is no rule", file.display()))?;
    let mut client = client(target).await?;
    let known = match client.get_alert_rule(GetAlertRuleRequest { id: rule.id.clone() }).await {
        Ok(_) => true,
        Err(status) if status.code() == tonic::Code::NotFound => false,
        Err(status) => return Err(explained(status)),
    };
    let rule = Some(rule);
    let (rule, now, lately) = if known {
        let request = UpdateAlertRuleRequest { rule, update_mask: None, validate_only };
        let answer = client.update_alert_rule(request).await.map_err(explained)?.into_inner();
        let now = (answer.would_fire_count, answer.would_fire_resource_ids);
        (answer.rule, now, (answer.fired_lately_count, answer.fired_lately_resource_ids))
    } else {
        let answer = client.create_alert_rule(CreateAlertRuleRequest { rule, validate_only }).await;
        let answer = answer.map_err(explained)?.into_inner();
        let now = (answer.would_fire_count, answer.would_fire_resource_ids);
        (answer.rule, now, (answer.fired_lately_count, answer.fired_lately_resource_ids))
    };
    show(target, RULE, &[rule.context("the registry sent no rule")?], table)?;
    if validate_only {
        let mut told = vec![format!("Nothing was kept. It would raise {} now:", now.0)];
        told.extend(now.1);
        if lately.0 > 0 {
            told.push(format!("And it would have raised {} within the last week:", lately.0));
            told.extend(lately.1);
        }
        print(&told)?;
    }
    Ok(())
}

fn table(rules: &[AlertRule]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            let from = match (rule.built_in, rule.modified) {
                (true, false) => "built in",
                (true, true) => "built in, changed",
                (false, _) => "own",
            };
            let severity = word(rule.severity().as_str_name(), "SEVERITY_");
            vec![
                rule.id.clone(),
                if rule.enabled == Some(false) { "off" } else { "on" }.to_owned(),
                if severity == "unspecified" { "of the reason".to_owned() } else { severity },
                rule.selector.clone(),
                from.to_owned(),
                rule.name.clone(),
            ]
        })
        .collect();
    lines(&["RULE", "IS", "SEVERITY", "SELECTS", "FROM", "NAME"], &rows)
}
