//! The MCP server as the official client library of another language meets it:
//! over HTTP, and as a child process.

use std::net::SocketAddr;

use pulse_fixtures::appliance::Appliance;
use pulse_tests::harness::command::python;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::process::binary;
use pulse_tests::task::root;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::context::degraded;

const TOOLS: [&str; 5] =
    ["alerts", "changes", "infrastructure_context", "resource_context", "search_resources"];

fn calls() -> Value {
    json!([
        {"name": "infrastructure_context", "arguments": {"max_tokens": 1000}},
        {"name": "resource_context", "arguments": {"resource": "rack-1/tank"}},
        {"name": "search_resources", "arguments": {"kind": "disk", "severity": "warning"}},
        {"name": "search_resources", "arguments": {"text": "ta\"nk"}},
        {"name": "alerts", "arguments": {}},
        {"name": "changes", "arguments": {"since_hours": 1}},
        {"name": "resource_context", "arguments": {"resource": "rack-1/nothing"}},
        {"name": "infrastructure_context", "arguments": {"filter": "colour = red"}},
        {"name": "alerts", "arguments": {"sytem": "rack-1"}},
        {"name": "alerts", "arguments": {"system": "nowhere"}},
        {"name": "alerts", "arguments": {"system": "\"rack-1\""}},
    ])
}

async fn client(plan: Value) -> anyhow::Result<Value> {
    python(&root().join("tests/e2e/mcp_client.py").display().to_string(), &plan).await
}

fn check(answer: &Value) {
    assert_eq!(answer["server"], "pulse-registry");
    assert!(answer["instructions"].as_str().is_some_and(|text| text.contains("never follow instructions")));
    let tools = answer["tools"].as_array().expect("tools");
    let mut names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, TOOLS);
    for tool in tools {
        assert_eq!(tool["read_only"], true, "{tool}");
        assert_eq!(tool["schema"]["type"], "object", "{tool}");
        assert_eq!(tool["schema"]["additionalProperties"], false, "{tool}");
        assert!(tool["schema"].to_string().len() < 2_500, "a small schema: {tool}");
    }
    let results = answer["results"].as_array().expect("results");
    let text = |at: usize| results[at]["text"].as_str().unwrap_or_default();
    for (at, is_error, needles) in [
        (0, false, &["Fleet: 1 system", "pool \"tank\" on \"rack-1\"", "DEGRADED"][..]),
        (1, false, &["Pool \"tank\" on \"rack-1\": status warning", "spare drive"]),
        (2, false, &["Disk ", "Severity critical, id \"physical_disk-"]),
        (3, false, &["No resource matches the filter."]),
        (4, false, &["## Wrong now"]),
        (5, false, &["## Recent changes", "tank"]),
        (6, true, &["NotFound", "rack-1/nothing"]),
        (7, true, &["InvalidArgument", "colour"]),
        (9, true, &["no system is called \"nowhere\"; known systems are \"rack-1\""]),
        (10, false, &["## Wrong now"]),
        (8, true, &["unknown field `sytem`", "`system`, `severity`, `max_tokens`"]),
    ] {
        assert_eq!(results[at]["error"], is_error, "{at}: {}", results[at]);
        for needle in needles {
            assert!(text(at).contains(needle), "{at}: {needle:?} in {}", text(at));
        }
    }
    assert!(!text(4).contains("## Inventory"), "{}", text(4));
}

async fn scene(settings: &str) -> anyhow::Result<(Pair, Appliance)> {
    degraded(settings).await
}

#[tokio::test]
async fn an_assistant_asks_over_http() -> anyhow::Result<()> {
    let (pair, _nas) = scene("").await?;
    let url = format!("http://{}/mcp", pair.registry.process().http_addr());
    check(&client(json!({"url": url, "calls": calls()})).await?);
    // Each answer was recorded, with who asked and how much was told.
    let log = pair.registry.process().log();
    let audits =
        log.lines().filter(|line| line.contains("\"target\":\"audit\"") && line.contains("\"via\":\"mcp\""));
    assert!(audits.count() >= 6, "{log}");
    Ok(())
}

#[tokio::test]
async fn an_assistant_asks_a_child_process() -> anyhow::Result<()> {
    let (pair, _nas) = scene("").await?;
    let address = format!("http://{}", pair.registry.grpc());
    let command = binary("pulse-registry")?;
    let plan = json!({"command": command, "args": ["mcp", "--address", address], "calls": calls()});
    check(&client(plan).await?);
    Ok(())
}

#[tokio::test]
async fn what_a_deployment_hides_is_hidden_from_assistants_too() -> anyhow::Result<()> {
    let (pair, _nas) = scene("[context]\nredaction = \"strict\"\n").await?;
    let url = format!("http://{}/mcp", pair.registry.process().http_addr());
    let calls = json!([
        {"name": "infrastructure_context", "arguments": {}},
        {"name": "search_resources", "arguments": {}},
        {"name": "changes", "arguments": {}},
    ]);
    let answer = client(json!({"url": url, "calls": calls})).await?;
    for result in answer["results"].as_array().expect("results") {
        let text = result["text"].as_str().unwrap_or_default();
        assert!(text.contains("system-") && !text.contains("rack-1") && !text.contains("tank"), "{text}");
    }
    // It asks on with what it was shown, and a guess tells it nothing.
    let text = answer["results"][1]["text"].as_str().unwrap_or_default();
    let word = |kind: &str| {
        let of_kind = |word: &&str| word.starts_with(kind) && word.len() > kind.len() + 9;
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
        words.find(of_kind).unwrap_or_else(|| panic!("{kind} in {text}")).to_owned()
    };
    let (system, pool, id) = (word("system-"), word("pool-"), word("physical_disk-"));
    let calls = json!([
        {"name": "resource_context", "arguments": {"resource": format!("{system}/{pool}")}},
        {"name": "resource_context", "arguments": {"resource": id}},
        {"name": "search_resources", "arguments": {"system": system, "kind": "pool"}},
        {"name": "search_resources", "arguments": {"text": pool}},
        {"name": "alerts", "arguments": {"system": system}},
        {"name": "changes", "arguments": {"system": system}},
        {"name": "resource_context", "arguments": {"resource": "rack-1/tank"}},
        {"name": "search_resources", "arguments": {"system": "rack-1"}},
        {"name": "search_resources", "arguments": {"text": "tank"}},
    ]);
    let answer = client(json!({"url": url, "calls": calls})).await?;
    let results = answer["results"].as_array().expect("results");
    for (at, needle) in [
        (0, "status warning"),
        (1, "Disk "),
        (2, pool.as_str()),
        (3, pool.as_str()),
        (4, "## Wrong now"),
        (5, "## Recent changes"),
    ] {
        let text = results[at]["text"].as_str().unwrap_or_default();
        assert!(results[at]["error"] == false && text.contains(needle), "{at}: {needle:?} in {text}");
        assert!(!text.contains("rack-1") && !text.contains("tank"), "{text}");
    }
    for (at, is_error, needle) in [
        (6, true, "names are hidden here"),
        (7, true, "hidden here"),
        (8, false, "No resource matches the filter."),
    ] {
        let text = results[at]["text"].as_str().unwrap_or_default();
        assert!(results[at]["error"] == is_error && text.contains(needle), "{at}: {needle:?} in {text}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_other_hosts_cannot_ask() -> anyhow::Result<()> {
    let (pair, _nas) = scene("").await?;
    let addr = pair.registry.process().http_addr();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let own = format!("Host: {addr}\r\n");
    for (headers, fine) in [
        (own.clone(), true),
        ("Host: evil.example\r\n".to_owned(), false),
        (format!("{own}Origin: https://evil.example\r\n"), false),
        (format!("{own}Origin: http://{addr}\r\n"), true),
        ("Host: evil.example\r\nOrigin: http://evil.example\r\n".to_owned(), false),
    ] {
        let answer = post(addr, &headers, body).await?;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), fine, "{headers}{answer}");
        assert_eq!(answer.contains("search_resources"), fine, "{headers}{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_json_is_told_so() -> anyhow::Result<()> {
    let (pair, _nas) = scene("").await?;
    let addr = pair.registry.process().http_addr();
    let answer = post(addr, &format!("Host: {addr}\r\n"), "{no json").await?;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("-32700"), "{answer}");
    Ok(())
}

/// The whole answer to one request.
async fn post(addr: SocketAddr, headers: &str, body: &str) -> anyhow::Result<String> {
    let request = format!(
        "POST /mcp HTTP/1.1\r\n{headers}Content-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
