//! The soak in short, with one seed: every kind of change and fault that does not cost a minute, and kills of both services.
//! `cargo xtask soak` goes on for as long as one likes.

use std::time::Duration;

use pulse_tests::soak::plan::Pace;
use pulse_tests::soak::{Options, Until, run};

#[tokio::test(flavor = "multi_thread")]
async fn after_changes_faults_and_kills_the_registry_shows_what_the_appliances_say() -> anyhow::Result<()> {
    let pace = Pace { acts: 36, pause_max: Duration::from_millis(120), logins_max: 1, takes_minutes: false };
    let report = run(Options { seed: 20_261_125, until: Until::Rounds(3), appliances: 6, pace }).await?;
    assert!(report.kills >= 2 && report.faults >= 26, "{report}");
    println!("{report}");
    Ok(())
}
