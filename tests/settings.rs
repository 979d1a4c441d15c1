//! The README's tables of settings are those of the code. `cargo xtask docs` writes them anew.

use std::fs;

use pulse_shell::settings::{Key, markdown};
use pulse_tests::task::root;

fn with_table(text: &str, binary: &str, keys: &[Key]) -> String {
    let begin = format!("<!-- settings of {binary} -->\n");
    let (before, rest) = text.split_once(&begin).expect("the README marks where the table begins");
    let (_, after) = rest.split_once("<!-- end -->").expect("... and where it ends");
    format!("{before}{begin}\n`{binary}`:\n\n{}\n<!-- end -->{after}", markdown(keys))
}

#[test]
fn the_readme_has_every_setting() {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).expect("a README");
    let wanted = with_table(&text, "pulse-registry", pulse_registry::config::KEYS);
    let wanted = with_table(&wanted, "pulse-collector", pulse_collector::config::KEYS);
    if std::env::var_os("PULSE_UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).expect("written");
    } else {
        assert_eq!(text, wanted, "run `cargo xtask docs`");
    }
}
