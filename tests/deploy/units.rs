//! systemd units and the compose file.

use std::process::Command;

use pulse_tests::harness::process::binary;
use pulse_tests::task::tools::kubernetes::systemd_analyze;

use crate::{deployed, text, tool};

const SERVICES: [&str; 2] = ["pulse-registry", "pulse-collector"];
/// systemd's own measure, 0 to 10: below 2 is "OK".
const EXPOSURE_MAX: f64 = 2.0;

#[test]
fn systemd_understands_the_units_and_finds_them_closed() -> anyhow::Result<()> {
    let analyze = systemd_analyze()?;
    for name in SERVICES {
        let folder = tempfile::tempdir()?;
        let unit = text(&format!("systemd/{name}.service"))?;
        // Where the program is on this machine, or systemd finds nothing to start.
        let here = unit.replace(&format!("/usr/bin/{name}"), &binary(name)?.display().to_string());
        let path = folder.path().join(format!("{name}.service"));
        std::fs::write(&path, here)?;
        let (output, said) = tool(Command::new(&analyze).args(["verify", "--man=no"]).arg(&path))?;
        assert!(output.status.success() && said.trim().is_empty(), "{name}: {said}");
        let (_, said) =
            tool(Command::new(&analyze).args(["security", "--offline=true", "--no-pager"]).arg(&path))?;
        let level = said.split("Overall exposure level for").nth(1).and_then(|rest| rest.split(": ").nth(1));
        let level: Option<f64> = level.and_then(|rest| rest.split(' ').next()?.parse().ok());
        assert!(level.is_some_and(|level| level < EXPOSURE_MAX), "{name}: {said}");
    }
    Ok(())
}

#[test]
fn a_unit_starts_with_the_settings_that_its_file_names() -> anyhow::Result<()> {
    for name in SERVICES {
        let unit = text(&format!("systemd/{name}.service"))?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.toml");
        std::fs::write(&config, "")?;
        let mut check = Command::new(binary(name)?);
        check.env_clear().args(["config", "check", "--config"]).arg(&config);
        for line in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
            let (variable, value) = line.split_once('=').expect("a variable");
            check.env(variable, value.replace("%S", "/var/lib").replace("%d", "/run/credentials"));
        }
        let (output, said) = tool(&mut check)?;
        assert!(output.status.success(), "{name}: {said}");
        let data = said.lines().find(|line| line.starts_with("data_dir")).unwrap_or_default();
        assert!(data.contains(&format!("/var/lib/{name}")), "{data}");
    }
    Ok(())
}

#[test]
fn compose_starts_what_kubernetes_starts() -> anyhow::Result<()> {
    let compose =
        crate::manifests::yaml(&std::fs::read_to_string(deployed("compose/compose.yaml"))?)?.remove(0);
    for (name, service) in compose["services"].as_object().expect("services") {
        let says = |field: &str| service[field].clone();
        assert_eq!((says("read_only"), says("user")), (true.into(), "65532:65532".into()), "{name}");
        assert_eq!(says("cap_drop"), serde_json::json!(["ALL"]), "{name}");
        let ports = says("ports");
        let ports = ports.as_array().expect("ports");
        assert!(
            ports.iter().all(|port| port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:"))),
            "{name}"
        );
        let folder = tempfile::tempdir()?;
        let mut check = Command::new(binary(&format!("pulse-{name}"))?);
        check.env_clear().args(["config", "check"]).current_dir(folder.path());
        for (variable, value) in service["environment"].as_object().expect("variables") {
            check.env(variable, value.as_str().expect("a text"));
        }
        let (output, said) = tool(&mut check)?;
        assert!(output.status.success() && said.contains("/run/secrets/tls.crt"), "{name}: {said}");
        for secret in service["secrets"].as_array().expect("secrets") {
            let file = compose["secrets"][secret.as_str().expect("a name")]["file"].as_str();
            assert!(file.is_some_and(|file| file.starts_with("secrets/")), "{name}: {secret}");
        }
    }
    Ok(())
}
