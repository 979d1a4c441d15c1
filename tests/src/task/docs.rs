//! `cargo xtask docs`: writes the tables that documents quote anew. The tests
//! that compare them do the writing, so both agree on what is compared.

use super::{cargo, run};

/// Tells such a test to write instead of to compare.
const UPDATE: &str = "PULSE_UPDATE_DOCS";

pub fn all() -> anyhow::Result<()> {
    run(cargo().env(UPDATE, "1").args(["test", "--package", "pulse-registry", "--lib", "document::tests"]))?;
    run(cargo().env(UPDATE, "1").args([
        "test",
        "--package",
        "pulse-tests",
        "--test",
        "settings",
        "--test",
        "methods",
    ]))
}
