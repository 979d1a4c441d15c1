//! Contexts hold what operators ask for: the questions, asked of fleets from one
//! system to a thousand.
#![allow(clippy::print_stdout, reason = "the coverage is worth reading")]

use pulse_tests::context::coverage::{ask, count_tokens, percent, questions, table};
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
        assert!(counted > 0 && counted <= *tokens, "{counted} tokens, estimated as {tokens}:\n{text}");
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
