//! Decoders of what comes from outside survive damaged input: all that once did harm, and some thousands that nobody has seen yet, the
//! same in every run. `cargo xtask fuzz` goes on for as long as one likes.

#[path = "src/bin/fuzz/targets.rs"]
mod targets;

use pulse_tests::fuzz::{Until, run};

#[test]
fn no_decoder_breaks_on_damaged_input() {
    for target in targets::all() {
        // A section reply goes through every decoder of every line; the others are quick.
        // A store is opened anew for each of its files.
        let inputs = match target.name {
            "sections" => 200,
            "store" | "connections" => 150,
            _ => 5_000,
        };
        if let Err(finding) = run(&target, 20_261_123, Until::Inputs(inputs)) {
            let shown =
                String::from_utf8_lossy(&finding.input[..finding.input.len().min(2_000)]).into_owned();
            panic!("{}: {}\n{shown}", finding.target, finding.what);
        }
    }
}
