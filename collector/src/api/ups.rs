//! The power supply: how it is configured, and how its battery is as far as the appliance has recorded it. What it is
//! doing (on battery, lost) comes as native alerts.

use pulse_proto::model::Ups;
use serde_json::{Value, json};

use super::DecodeError;
use super::dialect::Line;
use super::item::percent;
use super::json::{Fields, float, rows};
use super::plan::{Ask, Planned, Tag, optional_with, required};
use super::section::{Data, Part, Replies, SectionFailure, Spec};

pub const SPEC: Spec = Spec {
    token: "ups",
    role: "SYSTEM_GENERAL_READ",
    cadence: 2,
    large: false,
    collections: &["ups.config"],
    plan,
    assemble,
};

/// Graphs of the battery, which the appliance draws anyway.
const CHARGE: &str = "upscharge";
const RUNTIME: &str = "upsruntime";
const LOAD: &str = "upsload";
/// What was drawn longer before the newest point than this is no figure of now.
const AGE_SECONDS_MAX: f64 = 120.0;

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    let config = required(Tag::Ups, "ups.config", "/ups", json!([]));
    // Its graphs are others.
    if ask.dialect.line == Line::Core {
        return vec![config];
    }
    let graphs = json!([{ "name": CHARGE }, { "name": RUNTIME }, { "name": LOAD }]);
    let query = json!({ "unit": "HOUR" });
    let method = "reporting.netdata_get_data";
    let battery = optional_with(Tag::UpsBattery, method, "", json!([graphs, query]))
        .posted("/reporting/netdata_get_data", json!({ "graphs": graphs, "query": query }));
    vec![config, battery]
}

fn assemble(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    let Some(ups) = decode(replies.required(Tag::Ups)?)? else { return Ok(Data::Ups(None)) };
    let Part::Read(battery) = replies.optional(Tag::UpsBattery, decode_battery) else {
        return Ok(Data::Ups(Some(ups)));
    };
    let Ups { charge_percent, load_percent, runtime_seconds, .. } = battery;
    Ok(Data::Ups(Some(Ups { charge_percent, load_percent, runtime_seconds, ..ups })))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and it saturates")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// The newest figures among `[{name, data: [[time, value]], end, legend}]`.
fn decode_battery(reply: &[u8]) -> Result<Ups, DecodeError> {
    let mut found = Ups::default();
    rows::each(reply, |_, row| {
        let Ok(row) = row else { return };
        let graph = Fields::of(&row);
        match graph.line("name").as_str() {
            CHARGE => found.charge_percent = percent(newest(graph)),
            LOAD => found.load_percent = percent(newest(graph)),
            RUNTIME => {
                found.runtime_seconds = newest(graph).filter(|seconds| *seconds >= 0.0).map(whole);
            }
            _ => {}
        }
    })?;
    Ok(found)
}

/// A power supply that does not answer leaves gaps: a value from before one is none.
fn newest(graph: Fields<'_>) -> Option<f64> {
    let point = |row: &Value| {
        let [at, value, ..] = row.as_array()?.as_slice() else { return None };
        Some((float(at)?, float(value)))
    };
    let points: Vec<(f64, Option<f64>)> = graph.list("data").iter().filter_map(point).collect();
    let end = points.iter().map(|(at, _)| *at).chain(graph.f64("end")).fold(f64::MIN, f64::max);
    let told = points.into_iter().filter_map(|(at, value)| Some((at, value?)));
    let (at, value) = told.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (end - at <= AGE_SECONDS_MAX).then_some(value)
}

/// `None` without a driver or a remote host: there is always a configuration, also where there is no UPS.
fn decode(reply: &[u8]) -> Result<Option<Ups>, DecodeError> {
    // Some releases tell null where nothing was ever configured.
    if reply.trim_ascii() == b"null" {
        return Ok(None);
    }
    let value = rows::object(reply)?;
    let fields = Fields::of(&value);
    let ups = Ups {
        identifier: fields.line("identifier"),
        mode: fields.line("mode").to_uppercase(),
        driver: fields.line("driver"),
        description: fields.line("description"),
        ..Ups::default()
    };
    let remote = ups.mode == "SLAVE" && !fields.line("remotehost").is_empty();
    Ok((remote || !ups.driver.is_empty()).then_some(ups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_ups_is_no_ups() {
        let read = |reply: &str| decode(reply.as_bytes()).expect("an object").map(|ups| ups.identifier);
        assert_eq!(read(r#"{"identifier":"ups","mode":"MASTER","driver":""}"#), None);
        assert_eq!(read(" null\n"), None);
        assert!(decode(b"7").is_err());
        assert_eq!(
            read(r#"{"identifier":"ups","mode":"MASTER","driver":"usbhid-ups$x"}"#).as_deref(),
            Some("ups")
        );
        assert_eq!(
            read(r#"{"identifier":"u","mode":"SLAVE","remotehost":"192.0.2.1"}"#).as_deref(),
            Some("u")
        );
    }

    #[test]
    fn the_battery_is_as_its_newest_points_say() {
        let graph = |name: &str, data: &str| {
            format!(r#"{{"name":"{name}","data":{data},"end":1000,"legend":["time","x"]}}"#)
        };
        let read = |rows: &[String]| {
            let told = decode_battery(format!("[{}]", rows.join(",")).as_bytes()).expect("a list");
            (told.charge_percent, told.runtime_seconds, told.load_percent)
        };
        let charge = graph("upscharge", "[[990,97],[1000,41.5],[980,99]]");
        let all = [charge, graph("upsruntime", "[[999,820]]"), graph("upsload", "[[999,17]]")];
        assert_eq!(read(&all), (Some(41.5), Some(820), Some(17.0)));
        // Just not drawn yet, and a gap that is longer.
        assert_eq!(read(&[graph("upscharge", "[[950,40],[1000,null]]")]).0, Some(40.0));
        assert_eq!(read(&[graph("upscharge", "[[800,40],[1000,null]]")]).0, None);
        assert_eq!(read(&[graph("upscharge", "[]"), graph("cpu", "[[1000,3]]")]), (None, None, None));
        assert!(decode_battery(b"{}").is_err());
    }
}
