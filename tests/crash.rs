//! A short run of `cargo xtask crash` with a fixed seed: the registry is killed
//! under load and loses nothing that it acknowledged.

use pulse_tests::crash::{self, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_killed_under_load_loses_nothing() -> anyhow::Result<()> {
    let report = crash::run(Plan { seed: 7, kills: 12, connections: 3 }, |_| {}).await?;
    assert_eq!((report.kills, report.resumed_watches), (12, 12));
    assert!(report.acked_batches > 50, "{report:?}");
    Ok(())
}
