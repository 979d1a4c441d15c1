//! What people without stubs see: every method answers through reflection, and
//! every grpcurl line in the documentation works as printed.

use std::fs;

use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::grpcurl;
use pulse_tests::task::root;

/// grpcurl lines of a text: in shell blocks of Markdown, or in comments of a contract.
fn lines_of(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim_start_matches(['/', ' ']))
        .filter(|line| line.starts_with("grpcurl "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_line_of_the_readme_works_as_printed() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let lines = lines_of(&fs::read_to_string(root().join("README.md"))?);
    assert!(lines.len() >= 5, "the README shows grpcurl: {lines:?}");
    for line in lines {
        let answer = grpcurl::line(&line, pair.registry.grpc(), pair.collector.grpc()).await?;
        // A watch goes on until its -max-time.
        let fine = answer.success || (line.contains("Watch") && answer.code() == "DeadlineExceeded");
        assert!(fine, "{line}\n{}", answer.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn every_method_says_how_to_call_it_and_answers_as_it_says() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let contracts = [
        ("registry/v1/ingest_service.proto", 1),
        ("registry/v1/resource_service.proto", 9),
        ("registry/v1/alert_service.proto", 19),
        ("registry/v1/context_service.proto", 2),
        ("collector/v1/connection_service.proto", 11),
        ("admin/v1/log_service.proto", 2),
    ];
    for (file, methods) in contracts {
        let text = fs::read_to_string(root().join("proto/pulse").join(file))?;
        let lines = lines_of(&text);
        assert_eq!(lines.len(), methods, "{file}: one grpcurl line per method");
        assert_eq!(text.matches("\n  rpc ").count(), methods, "{file}");
        for line in lines {
            let timed = line.replacen("grpcurl", "grpcurl -max-time 2", 1);
            let answer = grpcurl::line(&timed, pair.registry.grpc(), pair.collector.grpc()).await?;
            // The ids in the examples do not exist here; streams go on until the time is up.
            let allowed: &[&str] = match file {
                _ if line.contains("/Watch") => &["DeadlineExceeded"],
                _ if line.contains("CreateConnection") => &["OK", "InvalidArgument"],
                _ if line.contains("NativeAlert")
                    || line.contains("DismissAlert")
                    || line.contains("RestoreAlert") =>
                {
                    &["FailedPrecondition"]
                }
                _ if line.contains("RotateEncryptionKey") => &["OK", "FailedPrecondition"],
                _ => &["OK", "NotFound", "DeadlineExceeded"],
            };
            assert!(allowed.contains(&answer.code()), "{line}\n{} {}", answer.code(), answer.stderr);
            let unknown = answer.stderr.contains("unknown service")
                || answer.stderr.contains("does not include a method");
            assert!(!unknown, "{line}\n{}", answer.stderr);
            if answer.code() == "Unimplemented" {
                assert!(answer.stderr.contains("release"), "says so clearly: {}", answer.stderr);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn both_servers_describe_themselves_and_their_health() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let services = [
        ("127.0.0.1:7660", "pulse.registry.v1.IngestService"),
        ("127.0.0.1:7660", "pulse.registry.v1.ResourceService"),
        ("127.0.0.1:7660", "pulse.registry.v1.AlertService"),
        ("127.0.0.1:7660", "pulse.registry.v1.ContextService"),
        ("127.0.0.1:7660", "pulse.admin.v1.LogService"),
        ("127.0.0.1:7670", "pulse.collector.v1.ConnectionService"),
        ("127.0.0.1:7670", "pulse.admin.v1.LogService"),
    ];
    for (addr, service) in services {
        let list = format!("grpcurl -plaintext {addr} list");
        let answer = grpcurl::line(&list, pair.registry.grpc(), pair.collector.grpc()).await?;
        assert!(answer.stdout.lines().any(|line| line == service), "{service} in {}", answer.stdout);
        assert_eq!(
            answer.stdout.lines().filter(|line| line.starts_with("pulse.")).count(),
            if addr.ends_with("7660") { 5 } else { 2 }
        );
        let check = format!(
            "grpcurl -plaintext -d '{{\"service\":\"{service}\"}}' {addr} grpc.health.v1.Health/Check"
        );
        let answer = grpcurl::line(&check, pair.registry.grpc(), pair.collector.grpc()).await?;
        assert_eq!(answer.json()?["status"], "SERVING", "{service}");
    }
    Ok(())
}
