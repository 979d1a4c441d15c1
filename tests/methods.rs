//! `docs/methods.md` is what the code does: which method serves which section on which line. `cargo xtask docs` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use pulse_collector::api::alert::mark;
use pulse_collector::api::plan::{Call, requests};
use pulse_collector::api::{Dialect, Line, Section, Transport, event};
use pulse_collector::connection::order::Action;
use pulse_tests::task::root;

const HEAD: &str = "\
# Which method serves which section

Written from the code by `cargo xtask docs`. A line is a release of TrueNAS; newer lines than those named are read like the newest, with what they
still answer. What a line lacks is reported as `SECTION_OUTCOME_UNSUPPORTED`, what the login may not read as `SECTION_OUTCOME_FORBIDDEN`; neither
harms the rest. A method in parentheses only adds to its section. `→` is the way taken when the first method is not there.

";

const WRITE_BACK: &str = "\
## Write-back

Off unless `alerts.write_back` is on: nothing else ever changes an appliance. Role: ALERT_LIST_WRITE.
";

/// How each line is spoken to, the usual way first.
const WAYS: [(Line, Transport, &str); 9] = [
    (Line::Core, Transport::LegacyRest, "CORE 13, REST"),
    (Line::V24_04, Transport::LegacyWebsocket, "24.04, websocket"),
    (Line::V24_04, Transport::LegacyRest, "24.04, REST"),
    (Line::V24_10, Transport::LegacyWebsocket, "24.10, websocket"),
    (Line::V24_10, Transport::LegacyRest, "24.10, REST"),
    (Line::V25_04, Transport::JsonRpc, "25.04"),
    (Line::V25_10, Transport::JsonRpc, "25.10"),
    (Line::V26_0, Transport::JsonRpc, "26.0"),
    (Line::V27_0, Transport::JsonRpc, "27.0"),
];

fn methods(section: Section, line: Line, transport: Transport) -> String {
    if section == Section::Metrics && transport != Transport::LegacyRest {
        return "`reporting.realtime` (pushed)".to_owned();
    }
    let dialect = Dialect { line, transport };
    let plan = requests(section, dialect, &BTreeSet::new());
    let named = |request: &pulse_collector::api::Request| match &request.call {
        Call::Rpc { method, .. } => (*method).to_owned(),
        Call::Rest { path, .. } => format!("GET {path}"),
        Call::RestPost { path, .. } => format!("POST {path}"),
    };
    let mut cells = Vec::new();
    for request in &plan {
        let name = named(request);
        if !request.required {
            cells.push(format!("(`{name}`)"));
            continue;
        }
        let lacking = BTreeSet::from([request.method.to_owned()]);
        let other = requests(section, dialect, &lacking).into_iter().find(|other| other.required);
        match other.map(|other| named(&other)).filter(|other| *other != name) {
            Some(other) => cells.push(format!("`{name}` → `{other}`")),
            None => cells.push(format!("`{name}`")),
        }
    }
    if cells.is_empty() { "–".to_owned() } else { cells.join(", ") }
}

/// Lines that do alike share a row.
fn push<'a>(rows: &mut Vec<(String, Vec<&'a str>)>, cell: String, name: &'a str) {
    match rows.iter_mut().find(|(known, _)| *known == cell) {
        Some((_, names)) => names.push(name),
        None => rows.push((cell, vec![name])),
    }
}

fn write_rows(text: &mut String, rows: Vec<(String, Vec<&str>)>) {
    for (cell, names) in rows {
        let _infallible = writeln!(text, "| {} | {cell} |", names.join("; "));
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for section in Section::ALL {
        let spec = section.spec();
        let _infallible = writeln!(text, "## {}\n", spec.token);
        let often = match spec.cadence {
            1 => "at every poll".to_owned(),
            2 => "at every second poll".to_owned(),
            n => format!("at every {n}th poll"),
        };
        let _infallible = writeln!(text, "Role: {}. Read {often}, and at least once a day.", spec.role);
        let told: Vec<String> = spec.collections.iter().map(|name| format!("`{name}`")).collect();
        if !told.is_empty() {
            let _infallible = writeln!(text, "Read again when an event of {} comes.", told.join(", "));
        }
        text.push_str("\n| line | methods |\n|---|---|\n");
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for (line, transport, name) in WAYS {
            push(&mut rows, methods(section, line, transport), name);
        }
        write_rows(&mut text, rows);
        text.push('\n');
    }
    text.push_str(WRITE_BACK);
    text.push_str("\n| line | methods |\n|---|---|\n");
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for (_, transport, name) in WAYS {
        let named = |action| match mark(action, "", transport) {
            Call::Rpc { method, .. } => format!("`{method}`"),
            Call::Rest { path, .. } => format!("`GET {path}`"),
            Call::RestPost { path, .. } => format!("`POST {path}`"),
        };
        push(&mut rows, [Action::Dismiss, Action::Restore].map(named).join(", "), name);
    }
    write_rows(&mut text, rows);
    text.push('\n');
    text.push_str("## Events\n\n| line | subscriptions |\n|---|---|\n");
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for (line, _, name) in WAYS.into_iter().filter(|(_, transport, _)| transport.is_rpc()) {
        let told: Vec<String> = event::collections(line).map(|name| format!("`{name}`")).collect();
        push(&mut rows, told.join(", "), name);
    }
    write_rows(&mut text, rows);
    text
}

#[test]
fn the_table_of_methods_is_the_one_in_the_code() {
    let path = root().join("docs/methods.md");
    let wanted = document();
    if std::env::var_os("PULSE_UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).expect("written");
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), wanted, "run `cargo xtask docs`");
    }
}
