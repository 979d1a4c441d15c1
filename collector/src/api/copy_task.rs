//! Tasks that copy paths elsewhere and run as jobs: cloud sync, rsync, cloud backup. Credentials are never looked at.

use pulse_proto::model::Task;
use serde_json::{Value, json};

use super::item::{Item, cron, id, run};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded, Line};

pub const CLOUD_SYNC: Spec = Spec {
    token: "cloud_syncs",
    role: "CLOUD_SYNC_READ",
    cadence: 5,
    large: false,
    collections: &["cloudsync.query"],
    plan: |_| vec![required(Tag::CloudSyncs, "cloudsync.query", "/cloudsync", json!([[], {}]))],
    assemble: |replies| {
        let rows = replies.rows(Tag::CloudSyncs, |reply| decode(reply, "cloud-sync"))?;
        Ok(Data::CloudSyncs(rows))
    },
};

pub const RSYNC: Spec = Spec {
    token: "rsync_tasks",
    role: "READONLY_ADMIN",
    cadence: 5,
    large: false,
    collections: &["rsynctask.query"],
    plan: |_| vec![required(Tag::RsyncTasks, "rsynctask.query", "/rsynctask", json!([[], {}]))],
    assemble: |replies| Ok(Data::RsyncTasks(replies.rows(Tag::RsyncTasks, |reply| decode(reply, "rsync"))?)),
};

pub const CLOUD_BACKUP: Spec = Spec {
    token: "cloud_backups",
    role: "CLOUD_BACKUP_READ",
    cadence: 5,
    large: false,
    collections: &["cloud_backup.query"],
    plan: cloud_backups,
    assemble: |replies| {
        let rows = replies.rows(Tag::CloudBackups, |reply| decode(reply, "cloud-backup"))?;
        Ok(Data::CloudBackups(rows))
    },
};

fn cloud_backups(ask: &Ask<'_>) -> Vec<Planned> {
    if ask.dialect.line < Line::V24_10 {
        return Vec::new();
    }
    vec![required(Tag::CloudBackups, "cloud_backup.query", "/cloud_backup", json!([[], {}]))]
}

fn decode(reply: &[u8], kind: &str) -> Result<Decoded<Item<Task>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let description =
            ["description", "desc"].map(|key| fields.line(key)).into_iter().find(|text| !text.is_empty());
        let path = fields.line("path");
        let name = description.clone().or_else(|| Some(path.clone()).filter(|path| !path.is_empty()));
        let run = run(fields);
        let credentials = fields.object("credentials");
        let provider = credentials.map(provider).unwrap_or_default();
        let bucket = fields.object("attributes").map(bucket).unwrap_or_default();
        let remote = ["remotehost", "remotemodule"].map(|key| fields.line(key));
        let remote_path = ["remotepath", "remotemodule"].map(|key| fields.line(key));
        let first = |texts: [String; 2]| texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        // 26.0 tells the dataset; before, it is in the path.
        let dataset = fields.line("dataset");
        let source =
            if dataset.is_empty() { path.strip_prefix("/mnt/").map(str::to_owned) } else { Some(dataset) };
        let facet = Task {
            kind: kind.to_owned(),
            id: text::line(&id),
            description: description.unwrap_or_default(),
            enabled: fields.bool("enabled"),
            automatic: Some(fields.object("schedule").is_some()),
            schedule: cron(fields),
            state: run.state,
            state_since: run.since,
            message: run.message,
            progress_percent: run.progress_percent,
            direction: fields.line("direction").to_ascii_uppercase(),
            transport: if provider.is_empty() { fields.line("mode") } else { provider },
            source_datasets: source.into_iter().filter(|path| !path.is_empty()).collect(),
            target: if bucket.is_empty() { first(remote_path) } else { bucket },
            remote: first(remote),
            recursive: fields.bool("recursive"),
            locked: fields.bool("locked"),
            ..Task::default()
        };
        Ok(Item { name: name.unwrap_or_else(|| id.clone()), id, facet })
    })
}

/// Its type; a name that an operator gave says less.
fn provider(credentials: Fields<'_>) -> String {
    let modern = credentials.object("provider").map(|provider| provider.line("type"));
    modern
        .or_else(|| credentials.get("provider").and_then(Value::as_str).map(text::line))
        .filter(|word| !word.is_empty())
        .unwrap_or_else(|| credentials.line("name"))
}

fn bucket(attributes: Fields<'_>) -> String {
    let folder = attributes.line("folder");
    let bucket = attributes.line("bucket");
    match (bucket.is_empty(), folder.is_empty()) {
        (true, _) => folder,
        (_, true) => bucket,
        _ => text::line(&format!("{bucket}/{}", folder.trim_start_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_every_kind() {
        let reply = br#"[{"id":1,"description":"photos","path":"/mnt/tank/photos","direction":"PUSH","enabled":true,
            "credentials":{"id":1,"name":"b2","provider":{"type":"B2","key":"********"}},"attributes":{"bucket":"b","folder":"/f"},
            "schedule":{"minute":"0","hour":"1","dom":"*","month":"*","dow":"*"},"locked":false,
            "job":{"state":"FAILED","error":"quota","time_finished":{"$date":9000}}},
            {"id":2,"desc":"","path":"/mnt/tank/a","remotehost":"192.0.2.7","remotepath":"/in","mode":"SSH","job":null}]"#;
        let rows = decode(reply, "x").expect("a list").rows;
        let (cloud, rsync) = (&rows[0].facet, &rows[1].facet);
        assert_eq!(
            (cloud.transport.as_str(), cloud.target.as_str(), cloud.state.as_str()),
            ("B2", "b/f", "FAILED")
        );
        assert_eq!((cloud.message.as_str(), cloud.source_datasets[0].as_str()), ("quota", "tank/photos"));
        assert_eq!(
            (rsync.remote.as_str(), rsync.target.as_str(), rsync.transport.as_str()),
            ("192.0.2.7", "/in", "SSH")
        );
        assert_eq!((rows[1].name.as_str(), rsync.automatic), ("/mnt/tank/a", Some(false)));
        assert!(!format!("{rows:?}").contains("***"), "credentials stay where they are");
    }
}
