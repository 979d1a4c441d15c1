//! Who may look, who may act, and that no other page acts for them.

use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_tests::harness::browser::Browser;
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::pki::Authority;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Bed {
    folder: TempDir,
}

impl Bed {
    async fn command(&self, line: &str) -> anyhow::Result<String> {
        let data = self.folder.path().join("data").display().to_string();
        let mut args = vec!["--data-dir", &data];
        args.extend(line.split(' '));
        let ran = run("pulse-registry", &args, &[], "").await?;
        anyhow::ensure!(ran.code == 0, "{line}: {}", ran.stderr);
        Ok(ran.stdout.trim().to_owned())
    }

    async fn token(&self, more: &str) -> anyhow::Result<String> {
        self.command(&format!("tokens create --name test {more}")).await
    }
}

/// Status and text of a form sent by hand.
async fn post(registry: &Service, path: &str, headers: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let addr = registry.http();
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok((status, answer))
}

#[tokio::test]
async fn a_token_opens_a_session_that_can_do_what_the_token_can() -> anyhow::Result<()> {
    let bed = Bed { folder: tempfile::tempdir()? };
    let viewer = bed.token("--role viewer").await?;
    let operator = bed.token("--role operator").await?;
    let ingest = bed.token("--role ingest").await?;
    let registry = Service::start("pulse-registry", bed.folder.path(), "").await?;
    let mut feeder = Feeder::open_as(registry.grpc(), Some(&ingest), "c1", &["nas"]).await?;
    feeder.send(Message::Batch(batch("nas", 1, 1, vec![pool("nas", "tank", "FAULTED")]))).await?;
    feeder.next().await?;
    let mut browser = Browser::start(registry.http()).await?;

    browser.go("/console/storage?q=tank").await?;
    assert!(browser.address().await?.starts_with("/console/sign-in?back="), "whoever is unknown signs in");
    browser.is_sound("the door").await?;
    browser.shot("sign-in").await?;
    browser.fill("input[name=token]", "pulse_00000000_nonsense").await?;
    browser.click("text=Sign in >> visible=true").await?;
    browser.sees("[role=alert]").await?;
    browser.is_usable("the door, closed").await?;
    browser.fill("input[name=token]", &ingest).await?;
    browser.press("Enter").await?;
    browser.sees("text=needs the role viewer").await?;
    browser.fill("input[name=token]", &viewer).await?;
    browser.press("Enter").await?;
    browser.sees("tr.pool >> text=tank").await?;
    assert_eq!(browser.address().await?, "/console/storage?q=tank", "where it was going");
    let cookies = browser.cookies().await?;
    let session = &cookies.as_array().expect("cookies")[0];
    assert_eq!((session["name"].as_str(), session["secure"].as_bool()), (Some("pulse_session"), Some(false)));
    assert_eq!((session["httpOnly"].as_bool(), session["sameSite"].as_str()), (Some(true), Some("Strict")));
    let value = session["value"].as_str().unwrap_or_default().to_owned();
    assert!(!viewer.contains(&value), "the token itself stays where it came from");
    let pair = format!("Cookie: {}={value}\r\n", session["name"].as_str().unwrap_or_default());

    browser.go("/console/alerts?state=firing").await?;
    browser.sees(".case").await?;
    assert_eq!(browser.count("text=Acknowledge").await?, 0, "who looks is not offered to act");
    let csrf = browser.value("document.querySelector('[name=csrf]').value").await?;
    let csrf = csrf.as_str().unwrap_or_default().to_owned();
    let link = browser.value("document.querySelector('.case .what').getAttribute('href')").await?;
    let act = format!("{}/acknowledge", link.as_str().unwrap_or_default());
    let (status, text) = post(&registry, &act, &pair, &format!("csrf={csrf}")).await?;
    assert!(status == 403 && text.contains("needs the role operator"), "{text}");
    let (status, _) = post(&registry, "/console/preferences", &pair, "units=tb").await?;
    assert_eq!(status, 403, "without what only a page of ours knows");
    let cross = format!("{pair}Origin: https://evil.example\r\n");
    let (status, _) =
        post(&registry, "/console/preferences", &cross, &format!("csrf={csrf}&units=tb")).await?;
    assert_eq!(status, 403, "from a page elsewhere");
    let (status, _) =
        post(&registry, "/console/preferences", &pair, &format!("csrf={csrf}&units=tb")).await?;
    assert_eq!(status, 303);
    let (status, _) = post(&registry, &act, "", &format!("csrf={csrf}")).await?;
    assert_eq!(status, 303, "nobody is asked to sign in");

    browser.click("text=Sign out").await?;
    browser.sees("input[name=token]").await?;
    let (status, text) = post(&registry, "/console/preferences", &pair, &format!("csrf={csrf}")).await?;
    assert!(status == 303 && text.contains("/console/sign-in"), "the session is over: {text}");

    browser.fill("input[name=token]", &operator).await?;
    browser.press("Enter").await?;
    browser.sees("text=Sign out").await?;
    browser.go("/console/alerts?state=firing").await?;
    browser.click("text=Acknowledge").await?;
    browser.sees("text=seen by token").await?;
    let id = operator.get("pulse_".len().."pulse_".len() + 8).unwrap_or_default().to_owned();
    bed.command(&format!("tokens revoke {id}")).await?;
    browser.sees("input[name=token]").await?;
    // Who came in, who was not let in, who did what: written down.
    let lines = bed.command("audit --output json").await?;
    let lines: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told = |action: &str, result: &str| {
        let fits = |line: &&serde_json::Value| {
            line["result"] == result && line["action"].as_str().is_some_and(|told| told.ends_with(action))
        };
        lines.iter().filter(fits).collect::<Vec<_>>()
    };
    assert_eq!(told("/console/sign-in", "401").len(), 2, "{lines:?}");
    let came: Vec<&str> =
        told("/console/sign-in", "done").iter().filter_map(|line| line["subject"].as_str()).collect();
    assert!(came.len() == 2 && came[1].contains(&id), "{came:?}");
    assert_eq!(told("/acknowledge", "ROLE_MISSING").len(), 1, "{lines:?}");
    let done = told("/acknowledge", "done");
    assert!(
        done.len() == 1 && done[0]["requested_by"].as_str().is_some_and(|who| who.contains(&id)),
        "{done:?}"
    );
    let log = registry.process().log();
    assert!(![&viewer, &operator, &ingest, &value].iter().any(|secret| log.contains(secret.as_str())));
    Ok(())
}

#[tokio::test]
async fn a_customer_sees_his_own_and_no_sign_of_others() -> anyhow::Result<()> {
    let bed = Bed { folder: tempfile::tempdir()? };
    let acme = bed.token("--role operator --label customer=acme").await?;
    let ingest = bed.token("--role ingest").await?;
    let registry = Service::start("pulse-registry", bed.folder.path(), "").await?;
    let mut feeder = Feeder::open_as(registry.grpc(), Some(&ingest), "c1", &["one", "two"]).await?;
    for (connection, customer, name) in [("one", "acme", "acme-tank"), ("two", "other", "secret-tank")] {
        let mut told = batch(connection, 1, 1, vec![pool(connection, name, "FAULTED")]);
        if let Some(status) = &mut told.status {
            status.labels.insert("customer".to_owned(), customer.to_owned());
        }
        feeder.send(Message::Batch(told)).await?;
        feeder.next().await?;
    }
    let mut browser = Browser::start(registry.http()).await?;
    browser.go("/console").await?;
    browser.fill("input[name=token]", &acme).await?;
    browser.press("Enter").await?;
    browser.sees("text=customer=acme").await?;
    browser.go("/console/alerts?state=firing").await?;
    browser.sees(".case >> text=acme-tank").await?;
    for page in [
        "/console",
        "/console/infrastructure",
        "/console/storage",
        "/console/alerts?state=firing",
        "/console/connections",
    ] {
        let (status, _) = browser.go(page).await?;
        let text = browser.text("body").await?;
        assert!(status == 200 && !text.contains("secret") && !text.contains("two"), "{page}: {text}");
        browser.is_sound(page).await?;
    }
    Ok(())
}

#[tokio::test]
async fn over_tls_every_cookie_goes_over_tls_alone() -> anyhow::Result<()> {
    let bed = Bed { folder: tempfile::tempdir()? };
    let viewer = bed.token("--role viewer").await?;
    let (cert, key) = Authority::new(bed.folder.path(), "ours")?.issue_server("server")?;
    let settings = format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", cert.display(), key.display());
    let registry = Service::start("pulse-registry", bed.folder.path(), &settings).await?;
    let mut browser = Browser::start_tls(registry.http()).await?;
    browser.go("/console/storage").await?;
    browser.fill("input[name=token]", &viewer).await?;
    browser.press("Enter").await?;
    browser.sees("#pulse >> text=Live").await?;
    browser.click("button[name=units]").await?;
    browser.sees("text=Show TiB").await?;
    let cookies = browser.cookies().await?;
    let cookies = cookies.as_array().expect("cookies");
    let mut names: Vec<&str> = cookies.iter().filter_map(|cookie| cookie["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["__Host-pulse_session", "pulse_units"]);
    for cookie in cookies {
        for flag in ["secure", "httpOnly"] {
            assert_eq!(cookie[flag].as_bool(), Some(true), "{flag} of {cookie}");
        }
        assert_eq!(cookie["sameSite"].as_str(), Some("Strict"), "{cookie}");
    }
    browser.click("text=Sign out").await?;
    browser.sees("input[name=token]").await?;
    let left = browser.cookies().await?;
    assert!(!left.to_string().contains("session"), "{left}");
    Ok(())
}
