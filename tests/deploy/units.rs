//! systemd units and the compose file.

use std::collections::BTreeSet;
use std::process::Command;

use pulse_tests::harness::process::binary;
use pulse_tests::task::tools::kubernetes::systemd_analyze;

use crate::{deployed, text, tool};

const SERVICES: [&str; 2] = ["pulse-registry", "pulse-collector"];
/// systemd's own measure, 0 to 10: below 2 is "OK".
const EXPOSURE_MAX: f64 = 2.0;

/// What stands beside a unit for whoever wants it.
const DROP_INS: [(&str, &str); 3] =
    [("pulse-registry", "tls.conf"), ("pulse-collector", "tls.conf"), ("pulse-collector", "token.conf")];

fn drop_ins(service: &str) -> anyhow::Result<String> {
    let of_it = DROP_INS.iter().filter(|(of, _)| *of == service);
    of_it.map(|(of, file)| text(&format!("systemd/{of}.service.d/{file}"))).collect()
}

/// The file of settings with the lines that are for a network.
fn for_a_network(name: &str) -> anyhow::Result<String> {
    let is_setting = |rest: &str| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    let line = |line: &str| match line.strip_prefix('#').filter(|rest| is_setting(rest)) {
        Some(setting) => format!("{setting}\n"),
        None => format!("{line}\n"),
    };
    Ok(text(&format!("systemd/{}.toml", name.trim_start_matches("pulse-")))?.lines().map(line).collect())
}

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
        let beside = folder.path().join(format!("{name}.service.d"));
        std::fs::create_dir(&beside)?;
        std::fs::write(beside.join("all.conf"), drop_ins(name)?)?;
        let verify = || tool(Command::new(&analyze).args(["verify", "--man=no"]).arg(&path));
        let (output, said) = verify()?;
        assert!(output.status.success() && said.trim().is_empty(), "{name}: {said}");
        let (_, said) =
            tool(Command::new(&analyze).args(["security", "--offline=true", "--no-pager"]).arg(&path))?;
        let level = said.split("Overall exposure level for").nth(1).and_then(|rest| rest.split(": ").nth(1));
        let level: Option<f64> = level.and_then(|rest| rest.split(' ').next()?.parse().ok());
        assert!(level.is_some_and(|level| level < EXPOSURE_MAX), "{name}: {said}");
        // It looks at what stands beside the unit, too.
        std::fs::write(beside.join("wrong.conf"), "[Service]\nLoadCredentials=x:/y\n")?;
        assert!(verify()?.1.contains("LoadCredentials"), "{name}");
    }
    Ok(())
}

#[test]
fn each_service_has_a_user_that_stays_and_owns_its_folder() -> anyhow::Result<()> {
    systemd_analyze()?;
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("etc"))?;
    let mut make = Command::new("systemd-sysusers");
    make.arg(format!("--root={}", root.path().display())).arg(deployed("systemd/pulse.sysusers"));
    let (output, said) = tool(&mut make)?;
    assert!(output.status.success(), "{said}");
    let users = std::fs::read_to_string(root.path().join("etc/passwd"))?;
    for name in SERVICES {
        let user: Vec<&str> =
            users.lines().find(|line| line.starts_with(name)).expect("a user").split(':').collect();
        assert_eq!((user[0], user[5]), (name, &*format!("/var/lib/{name}")), "{users}");
        let unit = text(&format!("systemd/{name}.service"))?;
        for line in [format!("User={name}"), format!("Group={name}"), format!("StateDirectory={name}")] {
            assert!(unit.lines().any(|found| found == line), "{name}: {line}");
        }
        let settings: toml::Table = text(&format!("systemd/{}.toml", &name["pulse-".len()..]))?.parse()?;
        assert_eq!(settings["data_dir"].as_str(), Some(user[5]));
    }
    Ok(())
}

#[test]
fn unit_and_commands_read_one_file_and_every_credential_is_loaded() -> anyhow::Result<()> {
    for name in SERVICES {
        let file = format!("{}.toml", &name["pulse-".len()..]);
        let unit = text(&format!("systemd/{name}.service"))?;
        assert!(
            unit.contains(&format!("\nExecStart=/usr/bin/{name} --config /etc/pulse/{file}\n")),
            "{name}"
        );
        assert!(!unit.contains("\nEnvironment="), "{name}: commands would not know of it");
        let loaded = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix("LoadCredential="));
            lines.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
        };
        let always = (text(&format!("systemd/{file}"))?, loaded(&unit));
        let network = (for_a_network(name)?, loaded(&format!("{unit}\n{}", drop_ins(name)?)));
        assert!(network.1.len() > always.1.len(), "{name}");
        for (settings, credentials) in [always, network] {
            let folder = tempfile::tempdir()?;
            let config = folder.path().join(&file);
            std::fs::write(&config, &settings)?;
            let mut check = Command::new(binary(name)?);
            check.env_clear().args(["config", "check", "--config"]).arg(&config);
            let (output, said) = tool(&mut check)?;
            assert!(output.status.success(), "{name}: {said}");
            let place = format!("/run/credentials/{name}.service/");
            let named: BTreeSet<String> = said
                .split_whitespace()
                .filter_map(|word| Some(word.trim_matches('"').strip_prefix(&place)?.to_owned()))
                .collect();
            assert_eq!(named, credentials, "{name}: {said}");
        }
    }
    Ok(())
}

/// Root as inside a container: it may do everything, and owns only what its user owns.
fn as_root(name: &str, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(binary(name)?).args(arguments).env_clear();
    let (output, said) = tool(&mut command)?;
    Ok((output.status.success(), said))
}

#[test]
fn root_writes_nothing_that_the_service_could_not_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("own").display().to_string();
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign)?;
    // Who is not root may give nothing away, and finds what is not his everywhere.
    let given = std::os::unix::fs::chown(&foreign, Some(65_532), Some(65_532));
    let foreign = if given.is_ok() { foreign } else { "/usr".into() }.display().to_string();
    let token = ["tokens", "create", "--name", "x", "--role", "viewer", "--data-dir"];
    for name in SERVICES {
        let (done, said) = as_root(name, &[&token[..], &[&own]].concat())?;
        assert!(done, "{said}");
        let restore = ["restore", "--from", "/dev/null", "--data-dir"];
        for line in [&token[..], &["tokens", "revoke", "x", "--data-dir"], &restore] {
            let (done, said) = as_root(name, &[line, &[&foreign]].concat())?;
            assert!(!done && said.contains("run this as that user"), "{name} {line:?}: {said}");
        }
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
