//! The core against tables and random histories.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn start() -> (Core, Instant) {
    let now = Instant::now();
    (Core::new(now, Options { queue_max: 4, ..Options::default() }, Framing::JsonRpc), now)
}

fn call(core: &mut Core, now: Instant) -> Result<CallId, CallError> {
    core.handle_call(now, "core.ping", &json!([]), LIMIT)
}

fn sent(core: &mut Core) -> usize {
    std::iter::from_fn(|| core.poll_transmit()).filter(|it| matches!(it, Transmit::Text(_))).count()
}

fn answer(core: &mut Core, now: Instant, id: CallId) {
    core.handle_text(now, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{id}}}"#));
}

#[test]
fn window_and_queue_are_bounded() {
    let (mut core, now) = start();
    let ids: Vec<_> = (0..9).map(|_| call(&mut core, now).unwrap()).collect();
    assert!(matches!(call(&mut core, now), Err(CallError::QueueFull { limit: 4 })));
    assert_eq!(sent(&mut core), 5);
    answer(&mut core, now, ids[3]);
    assert_eq!(sent(&mut core), 1);
    assert!(matches!(core.poll_output(), Some(Output::Completed { id, outcome: Ok(_) }) if id == ids[3]));
}

#[test]
fn where_there_is_a_greeting_calls_wait_for_its_answer() {
    let now = Instant::now();
    let mut core = Core::new(now, Options::default(), Framing::Legacy);
    let id = call(&mut core, now).unwrap();
    assert!(matches!(core.poll_transmit(), Some(Transmit::Text(text)) if text.contains("connect")));
    assert!(core.poll_transmit().is_none());
    core.handle_text(now, r#"{"msg":"connected","session":"x"}"#);
    assert_eq!(sent(&mut core), 1);
    core.handle_text(now, &format!(r#"{{"msg":"result","id":"{id}","result":7}}"#));
    assert!(matches!(core.poll_output(), Some(Output::Completed { outcome: Ok(_), .. })));

    let mut core = Core::new(now, Options::default(), Framing::Legacy);
    call(&mut core, now).unwrap();
    core.handle_timeout(now + LIMIT);
    assert!(matches!(
        core.poll_output(),
        Some(Output::Completed { outcome: Err(CallError::Deadline { .. }), .. })
    ));
    call(&mut core, now).unwrap();
    core.handle_text(now, r#"{"msg":"failed","version":"2"}"#);
    assert!(matches!(core.poll_output(), Some(Output::Completed { outcome: Err(CallError::Closed(_)), .. })));
    assert!(matches!(core.poll_output(), Some(Output::Dead(CloseReason::Unwelcome))));
}

#[test]
fn deadlines_cover_the_queue() {
    let (mut core, now) = start();
    for _ in 0..6 {
        call(&mut core, now).unwrap();
    }
    core.handle_alive(now + Duration::from_secs(20));
    assert_eq!(core.poll_timeout(), (now + LIMIT, "deadline of a call"));
    core.handle_timeout(now + LIMIT);
    let late = std::iter::from_fn(|| core.poll_output())
        .filter(|it| matches!(it, Output::Completed { outcome: Err(CallError::Deadline { .. }), .. }))
        .count();
    assert_eq!(late, 6);
}

#[test]
fn late_answers_are_ignored() {
    let (mut core, now) = start();
    let id = call(&mut core, now).unwrap();
    core.handle_timeout(now + LIMIT);
    while core.poll_output().is_some() {}
    answer(&mut core, now + LIMIT, id);
    answer(&mut core, now + LIMIT, 99);
    assert!(core.poll_output().is_none());
}

#[test]
fn a_server_that_never_answers_is_left() {
    let (mut core, mut now) = start();
    for _ in 0..UNANSWERED_MAX {
        call(&mut core, now).unwrap();
        now += LIMIT;
        core.handle_alive(now);
        core.handle_timeout(now);
    }
    let last = std::iter::from_fn(|| core.poll_output()).last();
    assert!(matches!(last, Some(Output::Dead(CloseReason::Stalled { count: UNANSWERED_MAX }))), "{last:?}");
}

#[test]
fn an_idle_session_pings_and_ends_when_nothing_comes_back() {
    let (mut core, start) = start();
    let beat = Options::default().heartbeat;
    assert_eq!(core.poll_timeout(), (start + beat, "heartbeat"));
    core.handle_timeout(start + beat);
    assert!(matches!(core.poll_transmit(), Some(Transmit::Ping)));
    core.handle_alive(start + beat);
    core.handle_timeout(start + beat * 2);
    core.handle_timeout(start + beat * 3);
    assert!(core.poll_output().is_none());
    core.handle_timeout(start + beat * 4);
    assert!(matches!(core.poll_output(), Some(Output::Dead(CloseReason::HeartbeatLost { missed: 2 }))));
}

#[test]
fn closing_completes_everything_once() {
    let (mut core, now) = start();
    for _ in 0..7 {
        call(&mut core, now).unwrap();
    }
    core.handle_closed(CloseReason::Ours);
    core.handle_closed(CloseReason::HeartbeatLost { missed: 1 });
    let outputs: Vec<_> = std::iter::from_fn(|| core.poll_output()).collect();
    assert_eq!(outputs.len(), 8);
    assert!(matches!(outputs.last(), Some(Output::Dead(CloseReason::Ours))));
    assert!(core.poll_transmit().is_none());
    assert!(call(&mut core, now).is_err());
}

#[test]
fn garbage_is_blamed_then_fatal() {
    let (mut core, now) = start();
    call(&mut core, now).unwrap();
    core.handle_text(now, "<html>");
    assert!(matches!(
        core.poll_output(),
        Some(Output::Completed { outcome: Err(CallError::Malformed { .. }), .. })
    ));
    core.handle_text(now, "{");
    core.handle_text(now, "{");
    assert!(matches!(core.poll_output(), Some(Output::Dead(CloseReason::Garbage(_)))));
}

#[test]
fn long_requests_never_leave() {
    let (mut core, now) = start();
    let params = json!(["x".repeat(REQUEST_CHARS_MAX)]);
    assert!(matches!(core.handle_call(now, "m", &params, LIMIT), Err(CallError::TooLong { .. })));
    assert!(core.poll_transmit().is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Call,
    Answer(u64),
    Advance(u64),
    Text(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        4 => (1..40_u64).prop_map(Step::Answer),
        2 => (0..40_u64).prop_map(Step::Advance),
        1 => any::<String>().prop_map(Step::Text),
    ]
}

proptest! {
    /// Whatever the order of answers, timeouts and nonsense: every accepted call completes exactly once,
    /// and the window is never exceeded.
    #[test]
    fn every_call_completes_once(steps in proptest::collection::vec(step(), 0..80)) {
        let (mut core, mut now) = start();
        let mut open = BTreeSet::new();
        for step in steps {
            match step {
                Step::Call => {
                    if let Ok(id) = call(&mut core, now) {
                        prop_assert!(open.insert(id));
                    }
                }
                Step::Answer(id) => answer(&mut core, now, id),
                Step::Advance(seconds) => {
                    now += Duration::from_secs(seconds);
                    core.handle_timeout(now);
                }
                Step::Text(text) => core.handle_text(now, &text),
            }
            prop_assert!(core.running.len() <= core.options.window);
            while let Some(output) = core.poll_output() {
                if let Output::Completed { id, .. } = output {
                    prop_assert!(open.remove(&id));
                }
            }
        }
        core.handle_closed(CloseReason::Ours);
        while let Some(output) = core.poll_output() {
            if let Output::Completed { id, .. } = output {
                prop_assert!(open.remove(&id));
            }
        }
        prop_assert!(open.is_empty());
    }
}
