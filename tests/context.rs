//! Contexts hold what operators ask for: the questions, asked of fleets from one
//! system to a thousand.
#![allow(clippy::print_stdout, reason = "the coverage is worth reading")]

use pulse_tests::context::coverage::{BUDGETS, ask, count_tokens, percent, questions, table};
use pulse_tests::context::fleets::fleets;

#[tokio::test]
async fn a_context_has_what_an_answer_needs() -> anyhow::Result<()> {
    let questions = questions()?;
    assert!(questions.len() >= 30);
    let fleets = fleets(jiff::Timestamp::now().as_second());
    for question in &questions {
        for fleet in question.needs.keys() {
            assert!(fleets.iter().any(|known| known.name == *fleet), "{}: no fleet {fleet}", question.ask);
        }
    }
    let (mut answers, mut texts) = (Vec::new(), Vec::new());
    for fleet in &fleets {
        let asked = ask(fleet, &questions).await?;
        answers.extend(asked.answers);
        texts.extend(asked.texts);
    }
    let counted = count_tokens(&texts.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>()).await?;
    for ((text, tokens), counted) in texts.iter().zip(counted) {
        assert!(counted > 0 && counted == *tokens, "{counted} tokens, said to be {tokens}:\n{text}");
    }
    for line in table(&answers) {
        println!("{line}");
    }
    let must = |answer: &&_| {
        let answer: &pulse_tests::context::coverage::Answer = answer;
        answer.budget >= 4_000 && (answer.fleet != "thousand" || answer.wrong)
    };
    let missing: Vec<String> = answers
        .iter()
        .filter(must)
        .filter(|answer| !answer.missing.is_empty())
        .map(|answer| {
            format!(
                "{} at {}: {}\n    {}",
                answer.fleet,
                answer.budget,
                answer.ask,
                answer.missing.join("\n    ")
            )
        })
        .collect();
    assert!(missing.is_empty(), "facts that are missing:\n{}", missing.join("\n"));
    assert!((percent(answers.iter().filter(must)) - 100.0).abs() < f64::EPSILON);
    Ok(())
}

/// Consonants, and letters between digits: names that cost most.
#[tokio::test]
async fn a_budget_holds_whatever_things_are_called() -> anyhow::Result<()> {
    let question = questions()?.into_iter().find(|question| question.needs.contains_key("thousand"));
    let question = [question.expect("a question to many")];
    let mut fleet = fleets(jiff::Timestamp::now().as_second()).pop().expect("the largest fleet");
    fleet.now.truncate(200);
    for (number, told) in fleet.now.iter_mut().enumerate() {
        let name = |salt: usize| -> String {
            let letters = b"bcdfghjklmnpqrstvwxz0123456789";
            let mut seed = number * 7_919 + salt * 104_729 + 1;
            let mut letter = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(letters[(seed >> 33) % letters.len()])
            };
            (0..40).map(|_| letter()).collect()
        };
        told.status.name = name(0);
        for (salt, record) in told.records.iter_mut().enumerate() {
            record.name = name(salt + 1);
        }
    }
    let texts = ask(&fleet, &question).await?.texts;
    let counted = count_tokens(&texts.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>()).await?;
    assert_eq!(counted.len(), BUDGETS.len());
    for (((text, tokens), counted), budget) in texts.iter().zip(counted).zip(BUDGETS) {
        assert!(
            counted == *tokens && counted <= budget,
            "{counted} of {budget}, said to be {tokens}:\n{text}"
        );
        assert!(counted * 10 >= budget * 8, "room is used: {counted} of {budget}");
    }
    Ok(())
}
