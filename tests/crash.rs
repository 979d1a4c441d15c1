//! Short runs of `cargo xtask crash` with a fixed seed: the registry is killed
//! under load and loses nothing that it acknowledged, whatever its disk does.

use pulse_tests::crash::{self, Disk, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_killed_under_load_loses_nothing() -> anyhow::Result<()> {
    let report = crash::run(Plan { seed: 7, kills: 12, connections: 3, disk: Disk::Good }, |_| {}).await?;
    assert_eq!((report.kills, report.resumed_watches), (12, 12));
    assert!(report.acked_batches > 50 && report.answered_deeds > 12, "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_on_a_failing_disk_loses_nothing_that_it_acknowledged() -> anyhow::Result<()> {
    let plan = Plan { seed: 11, kills: 30, connections: 3, disk: Disk::Failing };
    let report = crash::run(plan, |_| {}).await?;
    assert_eq!(report.kills, 30);
    // How often depends on when the kills come; that it happens does not.
    assert!(report.acked_batches > 100 && report.refusals > 0, "{report:?}");
    assert!(report.answered_deeds > 0 && report.unanswered_deeds > 0, "{report:?}");
    Ok(())
}
