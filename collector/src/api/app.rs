//! Apps and their containers, as `app.query` words them; `chart.release.query` on 24.04.

use pulse_proto::model::{App, AppContainer, AppPort, AppVolume};
use serde_json::{Value, json};

use super::item::{ENTRIES_MAX, Item, id, words};
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded, Line};

pub const SPEC: Spec = Spec {
    token: "apps",
    role: "APPS_READ",
    cadence: 5,
    large: true,
    collections: &["app.query", "docker.state"],
    plan,
    assemble: |replies| Ok(Data::Apps(replies.rows(Tag::Apps, decode)?)),
};

/// Left out: notes, metadata of the catalogue and the configuration, which can hold secrets.
const SELECT: [&str; 14] = [
    "id",
    "name",
    "state",
    "error_reason",
    "upgrade_available",
    "latest_version",
    "image_updates_available",
    "custom_app",
    "human_version",
    "version",
    "metadata.title",
    "metadata.train",
    "active_workloads",
    "portals",
];

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    match ask.dialect.line {
        Line::Core => Vec::new(),
        Line::V24_04 => {
            let select = [
                "id",
                "name",
                "status",
                "chart_metadata",
                "update_available",
                "human_version",
                "human_latest_version",
                "container_images_update_available",
                "catalog_train",
                "used_ports",
                "portals",
                "resources.container_images",
            ];
            let params = json!([[], {"select": select, "extra": {"retrieve_resources": true}}]);
            vec![required(Tag::Apps, "chart.release.query", "/chart/release", params)]
        }
        _ => vec![required(Tag::Apps, "app.query", "/app", json!([[], {"select": SELECT}]))],
    }
}

fn decode(reply: &[u8]) -> Result<Decoded<Item<App>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let name = fields.name("name").unwrap_or_else(|| id.clone());
        let empty = Value::Null;
        let workloads = fields.object("active_workloads").unwrap_or(Fields::of(&empty));
        let metadata = fields.object("metadata").or_else(|| fields.object("chart_metadata"));
        let told = |key: &str| metadata.map(|metadata| metadata.line(key)).filter(|word| !word.is_empty());
        let first =
            |keys: [&str; 2]| keys.map(|key| fields.line(key)).into_iter().find(|word| !word.is_empty());
        let upgrade = fields.bool("upgrade_available").or_else(|| fields.bool("update_available"));
        let newest = first(["latest_version", "human_latest_version"]).filter(|_| upgrade != Some(false));
        let facet = App {
            state: first(["state", "status"]).unwrap_or_default().to_uppercase(),
            title: told("title").or_else(|| told("name")).unwrap_or_default(),
            train: told("train").or_else(|| first(["catalog_train", "train"])).unwrap_or_default(),
            version: first(["version", "chart_version"]).or_else(|| told("version")).unwrap_or_default(),
            human_version: fields.line("human_version"),
            latest_version: newest.unwrap_or_default(),
            upgrade_available: upgrade,
            image_updates_available: fields
                .bool("image_updates_available")
                .or_else(|| fields.bool("container_images_update_available")),
            custom: fields.bool("custom_app"),
            error: fields.line("error_reason"),
            container_count: workloads.u32("containers"),
            containers: workloads.list("container_details").iter().take(ENTRIES_MAX).map(container).collect(),
            ports: ports(workloads, fields),
            volumes: workloads.list("volumes").iter().take(ENTRIES_MAX).map(volume).collect(),
            images: images(workloads, fields),
            networks: networks(workloads),
            host_addresses: words(workloads, "used_host_ips"),
            portals: portals(fields),
            id: super::json::text::line(&id),
        };
        Ok(Item { id, name, facet })
    })
}

fn container(value: &Value) -> AppContainer {
    let fields = Fields::of(value);
    AppContainer {
        id: fields.line("id"),
        service_name: fields.line("service_name"),
        image: fields.line("image"),
        state: fields.line("state"),
    }
}

/// Each binding of a port on the host; a port that is bound nowhere counts once. 24.04 tells host ports alone.
fn ports(workloads: Fields<'_>, app: Fields<'_>) -> Vec<AppPort> {
    let modern = workloads.list("used_ports").iter().flat_map(|port| {
        let fields = Fields::of(port);
        let of = |host: Fields<'_>| AppPort {
            container_port: fields.u32("container_port"),
            protocol: fields.line("protocol"),
            host_port: host.u32("host_port"),
            host_address: host.line("host_ip"),
        };
        let empty = Value::Null;
        let bound: Vec<AppPort> = fields.list("host_ports").iter().map(|host| of(Fields::of(host))).collect();
        if bound.is_empty() { vec![of(Fields::of(&empty))] } else { bound }
    });
    let old = app.list("used_ports").iter().map(|port| {
        let fields = Fields::of(port);
        AppPort {
            container_port: None,
            protocol: fields.line("protocol").to_lowercase(),
            host_port: fields.u32("port"),
            host_address: String::new(),
        }
    });
    modern.chain(old).take(ENTRIES_MAX).collect()
}

fn volume(value: &Value) -> AppVolume {
    let fields = Fields::of(value);
    AppVolume {
        source: fields.line("source"),
        destination: fields.line("destination"),
        mode: fields.line("mode"),
        kind: fields.line("type"),
    }
}

/// 24.04 tells them as the keys of a map.
fn images(workloads: Fields<'_>, app: Fields<'_>) -> Vec<String> {
    let mut found = words(workloads, "images");
    let old = app.object("resources").and_then(|resources| resources.object("container_images"));
    found.extend(
        old.iter().flat_map(|images| images.entries()).map(|(name, _)| super::json::text::line(name)),
    );
    found.retain(|image| !image.is_empty());
    found.truncate(ENTRIES_MAX);
    found
}

fn networks(workloads: Fields<'_>) -> Vec<String> {
    let names = workloads.list("networks").iter().map(|network| match network {
        Value::String(name) => super::json::text::line(name),
        other => Fields::of(other).line("name"),
    });
    names.filter(|name| !name.is_empty()).take(ENTRIES_MAX).collect()
}

/// `{"Web UI": "http://…"}`, or lists of addresses on 24.04.
fn portals(fields: Fields<'_>) -> Vec<String> {
    let Some(portals) = fields.object("portals") else { return Vec::new() };
    let mut found: Vec<String> = portals.entries().flat_map(|(name, _)| words(portals, name)).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(ENTRIES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_leaves_out_is_not_told() {
        let reply = br#"[{"name":"a","state":"CRASHED","portals":null,"active_workloads":null},
            {"id":"b","upgrade_available":false,"latest_version":"2","active_workloads":{"used_ports":[
            {"container_port":80,"protocol":"tcp","host_ports":[]},{"container_port":81,"host_ports":[
            {"host_port":1,"host_ip":"::"},{"host_port":1,"host_ip":"0.0.0.0"}]}],"networks":[{"name":"n"},"m",{}]}},{}]"#;
        let decoded = decode(reply).expect("a list");
        assert_eq!(decoded.skipped.len(), 1);
        let [a, b] = decoded.rows.as_slice() else { panic!("two rows") };
        assert_eq!((a.id.as_str(), a.facet.state.as_str(), a.facet.container_count), ("a", "CRASHED", None));
        assert_eq!((b.facet.latest_version.as_str(), b.facet.ports.len()), ("", 3));
        assert_eq!(b.facet.networks, ["n", "m"]);
    }

    #[test]
    fn charts_of_24_04() {
        let reply = br#"[{"id":"plex","name":"plex","status":"ACTIVE","update_available":true,"human_version":"1.40_2.0",
            "human_latest_version":"1.41_2.1","container_images_update_available":false,"catalog_train":"community",
            "used_ports":[{"port":32400,"protocol":"TCP"}],"portals":{"web_portal":["http://192.0.2.1:32400/"]},
            "resources":{"container_images":{"plexinc/pms-docker:1.40":{"id":"sha256:1","update_available":false}}},
            "chart_metadata":{"name":"plex","version":"2.0"}}]"#;
        let app = decode(reply).expect("a list").rows.remove(0).facet;
        assert_eq!(
            (app.state.as_str(), app.version.as_str(), app.train.as_str()),
            ("ACTIVE", "2.0", "community")
        );
        assert_eq!((app.latest_version.as_str(), app.ports[0].host_port), ("1.41_2.1", Some(32_400)));
        assert_eq!(app.portals, ["http://192.0.2.1:32400/"]);
        assert_eq!(app.images, ["plexinc/pms-docker:1.40"]);
    }
}
