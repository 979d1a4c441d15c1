//! The language as a whole: what it refuses and where, that printing loses
//! nothing, and that it agrees with a reading of the wire message.

use proptest::prelude::*;
use pulse_proto::model::{Freshness, ResourceType, Severity, Status, UnixMillis};

use super::syntax::{Comparison, Expression, Literal, Operator};
use super::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX, Filter, parse};
use crate::query::fixture::{Seed, capacity};
use crate::query::show;
use crate::state::resource::Resource;

fn pool(number: u64) -> Seed {
    Seed { name: format!("tank{number}"), ..Seed::new(ResourceType::Storage, number, "nas-1") }
}

fn matches(filter: &str, seed: &Seed) -> bool {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    filter.matches(&seed.build(), Some(UnixMillis::new(1_700_000_000_000)))
}

#[test]
fn comparisons_read_what_the_contract_says() {
    let seed = Seed {
        severity: Severity::Warning,
        status: Status::Warning,
        freshness: Freshness::Stale,
        capacity: Some(capacity(100 << 30, 80 << 30)),
        revision: 7,
        ..pool(2)
    };
    let yes = [
        "",
        "  \n ",
        "type = storage",
        "type = \"RESOURCE_TYPE_STORAGE\"",
        "type=Storage",
        "topology = pool",
        "id = storage-0000000000000002",
        "id:*",
        "name = tank2",
        "name = \"tank*\"",
        "name = tank*",
        "name:an",
        "-name = other",
        "NOT name = other",
        "name != other",
        "severity >= warning",
        "severity > healthy",
        "severity < CRITICAL",
        "severity:warning",
        "freshness >= stale",
        "status = STATUS_WARNING",
        "source = truenas",
        "source = data_source_truenas",
        "source_id = system:nas-1/x:2",
        "connection = nas-1",
        "connection_name = 'NAS nas-1'",
        "parent_id = agent-0000000000000000",
        "parent_id:*",
        "pool = tank2",
        "tags:even",
        "tags = prod",
        "tags:ev*",
        "tags != odd",
        "labels:site",
        "labels.site = dc-2",
        "labels.site:dc",
        "labels.rack.row = 7",
        "labels.\"rack.row\" = 7",
        "labels.none != x",
        "incidents.klass = VolumeStatus",
        "incidents.level >= warning",
        "reasons.code:zfs_pool*",
        "capacity.total_bytes = 107374182400",
        "capacity.total_bytes = 100GiB",
        "capacity.used_bytes > \"79 GiB\"",
        "capacity.used_ratio >= 0.8",
        "capacity.used_ratio:*",
        "observed_at = 2023-11-14T22:13:20Z",
        "observed_at < \"2023-11-14T23:13:21+00:00\"",
        "created_at > 2020-01-01T00:00:00Z",
        "revision = 7",
        "revision >= 7 revision <= 7",
        "name = x OR name = tank2",
        "name = x OR (name = tank2 AND NOT tags:odd)",
    ];
    for filter in yes {
        assert!(matches(filter, &seed), "{filter}");
    }
    let no = [
        "type = vm",
        "name = Tank2",
        "name = tank",
        "name = \"tank\\*\"",
        "-name = tank2",
        "severity > warning",
        "freshness = fresh",
        "tags = eve",
        "labels.none = x",
        "labels.none:*",
        "labels:rack",
        "revision > 7",
        // OR binds tighter than AND: (b OR c) must hold as well as a.
        "name = x name = tank2 OR name = tank2",
        "name = tank2 OR name = y AND name = x",
    ];
    for filter in no {
        assert!(!matches(filter, &seed), "{filter}");
    }
}

#[test]
fn what_is_absent_satisfies_no_comparison() {
    let seed = pool(1);
    for filter in ["capacity.used_bytes >= 0", "capacity.used_ratio < 1", "capacity.total_bytes:*", "tags:*"]
    {
        assert!(!matches(filter, &seed), "{filter}");
    }
    for filter in ["capacity.used_bytes != 0", "NOT capacity.used_ratio < 1"] {
        assert!(matches(filter, &seed), "{filter}");
    }
    let unread = Filter::parse("observed_at < 2030-01-01T00:00:00Z").expect("a filter");
    assert!(!unread.matches(&seed.build(), None));
}

#[test]
fn mistakes_are_refused_where_they_stand_with_a_remedy() {
    let table = [
        ("tank", 1, "name:\"tank\""),
        ("type = storage and name = x", 16, "write AND"),
        ("type = storage && name = x", 16, "expected a field name"),
        ("nme = tank", 1, "display_name"),
        ("type = stroage", 8, "physical_disk"),
        ("severity = sever", 12, "healthy, monitor, warning, critical"),
        ("name > a", 6, "= != :"),
        ("labels = x", 8, "takes :"),
        ("name =", 7, "expected a value"),
        ("name = \"tank", 8, "never closed"),
        ("(name = tank", 1, "add ')'"),
        ("name = tank)", 12, "remove it"),
        ("name = a AND", 13, "ends where"),
        ("OR name = a", 1, "before OR"),
        ("name == a", 6, "write '='"),
        ("name = a=b", 9, "quotes"),
        ("name = *nk", 8, "only at the end"),
        ("name = \"a\\q\"", 10, "unknown escape"),
        ("type = stor*", 8, "no '*'"),
        ("revision = -1", 12, "whole number"),
        ("revision = 99999999999999999999", 12, "whole number"),
        ("capacity.used_ratio > NaN", 23, "from 0 to 1"),
        ("observed_at > yesterday", 15, "2026-01-31T12:00:00Z"),
        ("name = \u{fc} AND \u{e4} = 1", 14, "unknown field"),
        ("name = AND", 8, "quote it"),
        ("()", 2, "expected a comparison"),
    ];
    for (filter, position, remedy) in table {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.position, position, "{filter}: {error}");
        assert!(error.problem.contains(remedy), "{filter}: {error}");
    }
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("{}name = a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX)).is_ok());
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX + 1)).is_err());
    let wide = |terms: usize| vec!["id:x"; terms].join(" ");
    assert!(Filter::parse(&wide(FILTER_TERMS_MAX)).is_ok());
    assert!(Filter::parse(&wide(FILTER_TERMS_MAX + 1)).is_err());
    assert!(Filter::parse(&format!("name = \"{}\"", "x".repeat(5_000))).is_err());
}

fn comparison() -> impl Strategy<Value = Expression> {
    let segment = prop_oneof!["[a-z_]{1,8}", ".{0,6}", Just("AND".to_owned()), Just("-x".to_owned())];
    let operator = prop::sample::select(Operator::ALL.to_vec());
    (prop::collection::vec(segment, 1..3), operator, ".{0,12}", any::<bool>()).prop_map(
        |(path, operator, text, wild)| {
            Expression::Compare(Comparison {
                path,
                path_position: 0,
                operator,
                operator_position: 0,
                literal: Literal { text, wild, position: 0 },
            })
        },
    )
}

fn expression() -> impl Strategy<Value = Expression> {
    comparison().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn without_positions(expression: Expression) -> Expression {
    let all = |parts: Vec<Expression>| parts.into_iter().map(without_positions).collect();
    match expression {
        Expression::All(parts) => Expression::All(all(parts)),
        Expression::Any(parts) => Expression::Any(all(parts)),
        Expression::Not(inner) => Expression::Not(Box::new(without_positions(*inner))),
        Expression::Compare(mut comparison) => {
            comparison.path_position = 0;
            comparison.operator_position = 0;
            comparison.literal.position = 0;
            Expression::Compare(comparison)
        }
    }
}

/// Comparisons that are well typed, each with a plain reading of the wire message.
fn typed() -> impl Strategy<Value = Expression> {
    let order = ["=", "!=", "<", "<=", ">", ">="];
    let leaf = prop_oneof![
        (
            prop::sample::select(vec!["name", "pool", "state", "connection"]),
            prop::sample::select(vec!["=", "!=", ":"]),
            prop::sample::select(vec!["tank1", "tank2", "tank", "ONLINE", "nas-1", "", "a"]),
            any::<bool>()
        )
            .prop_map(|(field, operator, value, wild)| (field, operator, value.to_owned(), wild)),
        (
            Just("severity"),
            prop::sample::select(order.to_vec()),
            prop::sample::select(vec!["healthy", "monitor", "SEVERITY_WARNING", "Critical"])
        )
            .prop_map(|(field, operator, value)| (field, operator, value.to_owned(), false)),
        (
            prop::sample::select(vec!["capacity.used_bytes", "revision"]),
            prop::sample::select(order.to_vec()),
            0_u64..6
        )
            .prop_map(|(field, operator, value)| (field, operator, value.to_string(), false)),
        (
            Just("tags"),
            prop::sample::select(vec!["=", "!=", ":"]),
            prop::sample::select(vec!["even", "prod", "p"]),
            any::<bool>()
        )
            .prop_map(|(field, operator, value, wild)| (field, operator, value.to_owned(), wild)),
    ]
    .prop_map(|(field, operator, text, wild)| {
        let operator = Operator::ALL.into_iter().find(|known| known.sign() == operator).expect("an operator");
        Expression::Compare(Comparison {
            path: field.split('.').map(str::to_owned).collect(),
            path_position: 0,
            operator,
            operator_position: 0,
            literal: Literal { text, wild, position: 0 },
        })
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

/// The reference: slow, stringly, on the message a client sees.
fn naive(expression: &Expression, resource: &Resource) -> bool {
    let comparison = match expression {
        Expression::All(parts) => return parts.iter().all(|part| naive(part, resource)),
        Expression::Any(parts) => return parts.iter().any(|part| naive(part, resource)),
        Expression::Not(inner) => return !naive(inner, resource),
        Expression::Compare(comparison) => comparison,
    };
    let wire = show::decoded(resource, None);
    let Literal { text, wild, .. } = &comparison.literal;
    let pool = wire.storage.map(|storage| storage.pool).unwrap_or_default();
    let severities = ["healthy", "monitor", "warning", "critical"];
    let rank = |word: &str| {
        let word = word.to_lowercase();
        severities.iter().position(|known| word.ends_with(known)).map(|rank| rank as u64 + 1)
    };
    let text_test = |value: &str, list: bool| match comparison.operator {
        _ if *wild && text.is_empty() => !value.is_empty(),
        _ if *wild => value.starts_with(text.as_str()),
        Operator::Has if !list => value.contains(text.as_str()),
        _ => value == text,
    };
    let number_test = |value: Option<u64>, wanted: Option<u64>| {
        let (Some(value), Some(wanted)) = (value, wanted) else { return false };
        match comparison.operator {
            Operator::Less => value < wanted,
            Operator::LessEqual => value <= wanted,
            Operator::Greater => value > wanted,
            Operator::GreaterEqual => value >= wanted,
            Operator::Equal | Operator::NotEqual | Operator::Has => value == wanted,
        }
    };
    let holds = match comparison.path.join(".").as_str() {
        "name" => text_test(&wire.name, false),
        "pool" => text_test(&pool, false),
        "state" => text_test(&wire.state, false),
        "connection" => text_test(&wire.connection, false),
        "tags" => wire.tags.iter().any(|tag| text_test(tag, true)),
        "severity" => number_test(u64::try_from(wire.severity).ok(), rank(text)),
        "revision" => number_test(Some(wire.revision), text.parse().ok()),
        "capacity.used_bytes" => {
            number_test(wire.capacity.and_then(|capacity| capacity.used_bytes), text.parse().ok())
        }
        other => panic!("the reference does not know {other}"),
    };
    if comparison.operator == Operator::NotEqual { !holds } else { holds }
}

fn seed() -> impl Strategy<Value = Seed> {
    (0_u64..4, 0_usize..4, prop::option::of(0_u64..6), 0_u64..6).prop_map(
        |(number, severity, used, revision)| Seed {
            severity: Severity::ALL[severity],
            capacity: used.map(|used| capacity(6, used)),
            revision,
            ..pool(number)
        },
    )
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn nothing_near_the_language_makes_it_panic(text in "([a-z.]{1,4}|=|!=|<|>=|:|\"|'|\\*|\\\\|\\(|\\)|AND|OR|NOT|-| |,){0,24}") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn printing_loses_nothing(expression in expression()) {
        let printed = expression.to_string();
        let parsed = parse::parse(&printed).map_err(|e| TestCaseError::fail(format!("{printed}: {e}")))?;
        prop_assert_eq!(parsed.map(without_positions), Some(expression), "{}", printed);
    }

    #[test]
    fn matching_agrees_with_the_reference(expression in typed(), seed in seed()) {
        let filter = Filter::parse(&expression.to_string()).expect("typed expressions are filters");
        let resource = seed.build();
        prop_assert_eq!(filter.matches(&resource, None), naive(&expression, &resource), "{}", expression);
    }
}
