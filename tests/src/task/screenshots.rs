//! `cargo xtask screenshots`: takes the pictures that the README shows, by the
//! tests that drive the console in a browser.

use super::{cargo, root, run, tools};
use crate::harness::browser::screenshots;

/// Picture of the tests, and its name in the documentation.
const SHOWN: [(&str, &str); 2] = [("overview", "overview"), ("pool-degraded", "pool")];

pub fn take() -> anyhow::Result<()> {
    tools::install()?;
    tools::chromium()?;
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    run(cargo().args([
        "test",
        "--package",
        "pulse-tests",
        "--test",
        "browser",
        "journeys::a_degraded_pool",
    ]))?;
    let folder = root().join("docs/screenshots");
    std::fs::create_dir_all(&folder)?;
    for (picture, name) in SHOWN {
        let from = screenshots().join(format!("{picture}.png"));
        std::fs::copy(from, folder.join(format!("{name}.png")))?;
    }
    Ok(())
}
