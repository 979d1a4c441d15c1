//! Who stops a service waits for longer than the service takes to end by itself.

use anyhow::{Context as _, ensure};

use crate::manifests::built;
use crate::text;

/// Calls, receivers, pages and the writer, one after the other; a collector has fewer.
const STAGES: u64 = 4;
/// `drain.timeout` where no file says otherwise.
const DEFAULT_SECONDS: u64 = 10;

/// Of the first line that begins so, without what it is quoted by.
fn seconds(text: &str, key: &str) -> anyhow::Result<u64> {
    let value =
        text.lines().find_map(|line| line.trim().strip_prefix(key)).with_context(|| key.to_owned())?;
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

#[test]
fn a_service_that_is_stopped_has_the_time_it_takes() -> anyhow::Result<()> {
    let (manifests, _) = built("base")?;
    for service in ["collector", "registry"] {
        let settings = text(&format!("kubernetes/base/{service}.toml"))?;
        let (_, drain) = settings.split_once("[drain]").context("no drain")?;
        let (takes, has) =
            (STAGES * seconds(drain, "timeout = ")?, seconds(&manifests, "terminationGracePeriodSeconds: ")?);
        ensure!(has > takes, "Kubernetes, {service}: {has} s for {takes}");
        let unit = text(&format!("systemd/pulse-{service}.service"))?;
        let has = seconds(&unit, "TimeoutStopSec=")?;
        ensure!(has > STAGES * DEFAULT_SECONDS, "systemd, {service}: {has} s");
    }
    let compose = text("compose/compose.yaml")?;
    ensure!(seconds(&compose, "stop_grace_period: ")? > STAGES * DEFAULT_SECONDS, "compose");
    Ok(())
}
