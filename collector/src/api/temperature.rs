//! Temperatures of disks. Only what the appliance has measured already: no disk is asked, none wakes.

use serde_json::{Value, json};

use super::item::Row;
use super::json::{Fields, float, rows};
use super::plan::{Ask, Planned, Tag, optional_with, required};
use super::section::{Data, Part, Replies, SectionFailure, Spec};
use super::{DecodeError, Line};

pub const SPEC: Spec = Spec {
    token: "temperatures",
    role: "REPORTING_READ",
    cadence: 5,
    large: true,
    collections: &[],
    plan,
    assemble,
};

/// Of one disk, in degrees Celsius.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Temperature {
    /// Kernel name.
    pub disk: String,
    pub now: Option<f64>,
    pub critical: Option<f64>,
    /// Over seven days.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub average: Option<f64>,
}

impl Row for Temperature {
    fn key(&self) -> &str {
        &self.disk
    }
}

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    let days = optional_with(Tag::TemperatureDays, "disk.temperature_agg", "", json!([[], 7]))
        .posted("/disk/temperature_agg", json!({"names": [], "days": 7}));
    // Until 25.04 it would run smartctl; what others caused to be measured is there for ten minutes.
    let (params, body) = match ask.dialect.line {
        // It has no such cache: asking would be asking the disks.
        Line::Core => return Vec::new(),
        Line::V24_04 | Line::V24_10 | Line::V25_04 => {
            (json!([[], {"only_cached": true}]), json!({"names": [], "options": {"only_cached": true}}))
        }
        _ => (json!([[], true]), json!({"names": [], "include_thresholds": true})),
    };
    let now = required(Tag::Temperatures, "disk.temperatures", "", params).posted("/disk/temperatures", body);
    vec![now, days]
}

fn assemble(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    let mut found = decode(replies.required(Tag::Temperatures)?)?;
    if let Part::Read(days) = replies.optional(Tag::TemperatureDays, decode_days) {
        for day in days {
            match found.iter_mut().find(|known| known.disk == day.disk) {
                Some(known) => (known.min, known.max, known.average) = (day.min, day.max, day.average),
                None => found.push(day),
            }
        }
    }
    found.sort_by(|a, b| a.disk.cmp(&b.disk));
    Ok(Data::Temperatures(found))
}

/// `{sda: 34.0}`, `{sda: [34.0, 85.0]}` with what is critical, null for a disk that did not tell.
fn decode(reply: &[u8]) -> Result<Vec<Temperature>, DecodeError> {
    let value = rows::object(reply)?;
    let of = |(disk, told): (&String, &Value)| {
        let at = |i: usize| told.get(i).and_then(celsius);
        let (now, critical) = if told.is_array() { (at(0), at(1)) } else { (celsius(told), None) };
        Temperature { disk: disk.clone(), now, critical, ..Temperature::default() }
    };
    Ok(Fields::of(&value).entries().map(of).collect())
}

fn decode_days(reply: &[u8]) -> Result<Vec<Temperature>, DecodeError> {
    let value = rows::object(reply)?;
    let of = |(disk, told): (&String, &Value)| {
        let fields = Fields::of(told);
        let at = |key: &str| fields.get(key).and_then(celsius);
        Temperature {
            disk: disk.clone(),
            min: at("min"),
            max: at("max"),
            average: at("avg"),
            ..Temperature::default()
        }
    };
    Ok(Fields::of(&value).entries().map(of).collect())
}

/// A disk is neither at absolute zero nor molten: sensors tell such things when they tell nothing. To a tenth.
fn celsius(value: &Value) -> Option<f64> {
    float(value)
        .filter(|degrees| (-40.0..150.0).contains(degrees) && *degrees != 0.0)
        .map(|d| (d * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_and_sensors_that_tell_nothing() {
        let read = decode(br#"{"sda":34.04,"sdb":[41,85.0],"sdc":null,"sdd":0,"sde":65535,"sdf":"33"}"#)
            .expect("an object");
        let now: Vec<_> = read.iter().map(|told| (told.disk.as_str(), told.now, told.critical)).collect();
        assert_eq!(
            now,
            [
                ("sda", Some(34.0), None),
                ("sdb", Some(41.0), Some(85.0)),
                ("sdc", None, None),
                ("sdd", None, None),
                ("sde", None, None),
                ("sdf", Some(33.0), None),
            ]
        );
    }
}
