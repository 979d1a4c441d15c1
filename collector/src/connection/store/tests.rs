//! The store against lost keys, damage, moves, crashes and prying eyes.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_proto::model::SectionName;
use tempfile::TempDir;

use super::*;
use crate::connection::settings::Tls;
use crate::connection::testing::{self, PLANTED};
use crate::secret::{Credential, Secret};

const KEY_FILE: &str = "collector.key";

type Connections = BTreeMap<ConnectionId, Arc<Settings>>;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(folder: &TempDir) -> Result<(Store, Loaded), StoreError> {
    Store::open(folder.path(), &KeySource::Beside)
}

fn of(words: &[&str]) -> Connections {
    words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            let mut settings = testing::settings(word);
            settings.revision = index as u64 + 1;
            (settings.id.clone(), Arc::new(settings))
        })
        .collect()
}

/// A folder whose store holds these connections.
fn filled(words: &[&str]) -> TempDir {
    let folder = folder();
    let (store, _) = open(&folder).expect("a new store");
    store.save(words.len() as u64, &of(words), &[]).expect("saved");
    folder
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.connections.iter().map(|settings| settings.name.as_str()).collect()
}

fn text(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join(STORE_FILE)).expect("the store is there")
}

fn edit(folder: &TempDir, change: impl FnOnce(&mut Value)) {
    let mut envelope: Value = serde_json::from_str(&text(folder)).expect("JSON");
    change(&mut envelope);
    fs::write(folder.path().join(STORE_FILE), envelope.to_string()).expect("written");
}

#[test]
fn what_is_saved_is_read_again() {
    let folder = folder();
    let mut connections = of(&["ca", "off", "pinned", "system", "wild"]);
    let mut set = |word: &str, tls: Tls, credential: Option<Credential>| {
        let settings = Arc::make_mut(connections.get_mut(word).expect("there"));
        settings.tls = tls;
        settings.credential = credential.unwrap_or_else(|| settings.credential.clone());
    };
    set("ca", Tls::Ca("-----BEGIN CERTIFICATE-----\n".into()), None);
    set("off", Tls::Off, Some(Credential::ApiKey { username: None, key: Secret::new("1-x") }));
    set("pinned", Tls::Pinned("ab".repeat(32).parse().expect("a fingerprint")), None);
    let password = Credential::Password { username: "root".into(), password: Secret::new("pä\"ss") };
    set("wild", Tls::Insecure, Some(password));
    let off = ["datasets", "snapshots"].map(|name| SectionName::parse(name).expect("a name"));
    Arc::make_mut(connections.get_mut("off").expect("there")).disabled_sections = off.into();
    let (store, loaded) = open(&folder).expect("a new store");
    assert!(loaded.connections.is_empty());
    store.save(9, &connections, &[]).expect("saved");
    drop(store);
    let (_store, loaded) = open(&folder).expect("the same store");
    assert_eq!(loaded.revision, 9);
    assert!(loaded.damaged.is_empty());
    for (read, saved) in loaded.connections.iter().zip(connections.values()) {
        assert_eq!(format!("{read:?}"), format!("{saved:?}"));
        match (&read.credential, &saved.credential) {
            (Credential::ApiKey { key: read, .. }, Credential::ApiKey { key: saved, .. })
            | (Credential::Password { password: read, .. }, Credential::Password { password: saved, .. }) => {
                assert_eq!(read.expose(), saved.expose());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(loaded.connections.len(), 5);
}

#[test]
fn nothing_secret_and_no_host_stands_in_the_file() {
    let folder = filled(&["nas1"]);
    let key = PLANTED.split_once('-').expect("a key").1;
    for entry in fs::read_dir(folder.path()).expect("the folder") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        for hidden in [key, &STANDARD.encode(key), &STANDARD.encode(PLANTED), "pulse\"", "\"lab"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let outer = folder();
    let inner = outer.path().join("data");
    let _store = Store::open(&inner, &KeySource::Beside).expect("a new store");
    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(inner.clone()), 0o700);
    assert_eq!(mode(inner.join(KEY_FILE)), 0o600);
    assert_eq!(mode(inner.join(STORE_FILE)), 0o600);
}

#[test]
fn a_store_without_its_key_gets_no_new_one() {
    let folder = filled(&["nas1"]);
    fs::remove_file(folder.path().join(KEY_FILE)).expect("removed");
    let error = open(&folder).expect_err("refused");
    assert!(matches!(error, StoreError::KeyMissing { .. }), "{error}");
    assert!(error.remedy().contains("put back the key"));
    assert!(!folder.path().join(KEY_FILE).exists());
}

#[test]
fn a_wrong_key_is_refused_even_for_an_empty_store() {
    for words in [&["nas1"][..], &[]] {
        let folder = filled(words);
        fs::write(folder.path().join(KEY_FILE), STANDARD.encode([9_u8; 32])).expect("written");
        let before = text(&folder);
        let error = open(&folder).expect_err("refused");
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
        assert_eq!(text(&folder), before);
    }
}

#[test]
fn a_key_from_outside_is_used_and_replaced_from_outside() {
    let folder = folder();
    let given = |bytes: &[u8]| {
        let keys: Vec<String> = bytes.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        KeySource::Given(Secret::new(keys.join(",")))
    };
    let (store, _) = Store::open(folder.path(), &given(&[1])).expect("a new store");
    let connections = of(&["nas1"]);
    store.save(1, &connections, &[]).expect("saved");
    assert!(matches!(store.rotate_key(1, &connections, &[]), Err(StoreError::KeyNotOurs)));
    drop(store);
    assert!(!folder.path().join(KEY_FILE).exists());
    let (_, loaded) = Store::open(folder.path(), &given(&[2, 1])).expect("both keys");
    assert_eq!(names(&loaded), ["nas1"]);
    let (_, loaded) = Store::open(folder.path(), &given(&[2])).expect("the new key alone");
    assert_eq!(names(&loaded), ["nas1"]);
    assert!(matches!(Store::open(folder.path(), &given(&[1])), Err(StoreError::WrongKey { .. })));
    let absent = KeySource::File(folder.path().join("absent"));
    assert!(matches!(Store::open(folder.path(), &absent), Err(StoreError::KeyFileMissing { .. })));
}

#[test]
fn a_truncated_file_is_refused_and_left_alone() {
    let folder = filled(&["nas1", "nas2"]);
    let whole = text(&folder);
    for length in [0, 1, whole.len() / 2, whole.len() - 2] {
        fs::write(folder.path().join(STORE_FILE), &whole[..length]).expect("written");
        let error = open(&folder).expect_err("refused");
        assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error}");
        assert_eq!(text(&folder).len(), length);
    }
    edit_format(&folder, &whole);
}

fn edit_format(folder: &TempDir, whole: &str) {
    fs::write(folder.path().join(STORE_FILE), whole).expect("written");
    for format in [0_u64, 2, u64::MAX] {
        edit(folder, |envelope| envelope["format"] = format.into());
        assert!(matches!(open(folder), Err(StoreError::Format { found, .. }) if found == format), "{format}");
    }
}

#[test]
fn a_damaged_record_costs_only_itself_and_is_kept() {
    type Tamper = (&'static str, fn(&mut Value));
    let tampers: [Tamper; 10] = [
        ("tampered", |records| {
            let sealed = records[0]["sealed"].as_str().expect("text").to_owned();
            let mut bytes = STANDARD.decode(sealed).expect("base64");
            bytes[3] ^= 1;
            records[0]["sealed"] = STANDARD.encode(bytes).into();
        }),
        ("other nonce", |records| records[0]["nonce"] = STANDARD.encode([0; 12]).into()),
        ("cut short", |records| records[0]["sealed"] = "AAAA".into()),
        ("moved", |records| {
            let other = records[1].clone();
            records[0]["sealed"] = other["sealed"].clone();
            records[0]["nonce"] = other["nonce"].clone();
        }),
        ("renamed", |records| records[0]["id"] = "elsewhere".into()),
        ("other key", |records| records[0]["key"] = "0011223344556677".into()),
        ("no record", |records| records[0] = 17.into()),
        // What is not sealed is not believed, whatever it says of itself.
        ("in plain text", |records| {
            records[0] = serde_json::json!({"id": "nas1", "host": "evil", "api_key": "17"});
        }),
        ("plain text in the place of the sealed", |records| {
            records[0]["sealed"] = STANDARD.encode(br#"{"id":"nas1","host":"evil"}"#).into();
        }),
        ("sealed with no key", |records| records[0]["key"] = "".into()),
    ];
    for (what, tamper) in tampers {
        let folder = filled(&["nas1", "nas2", "nas3"]);
        edit(&folder, |envelope| tamper(&mut envelope["records"]));
        let kept: Value = serde_json::from_str::<Value>(&text(&folder)).expect("JSON")["records"][0].clone();
        let (store, loaded) = open(&folder).expect("the others are there");
        assert_eq!(names(&loaded), ["nas2", "nas3"], "{what}");
        assert_eq!(loaded.damaged.len(), 1, "{what}");
        store.save(4, &of(&["nas2", "nas3", "nas4"]), &loaded.damaged).expect("saved");
        drop(store);
        assert!(text(&folder).contains(kept["sealed"].as_str().unwrap_or("17")), "{what}");
        let (_store, loaded) = open(&folder).expect("again");
        assert_eq!((loaded.connections.len(), loaded.damaged.len()), (3, 1), "{what}");
    }
}

#[test]
fn no_flipped_bit_makes_another_connection() {
    let folder = filled(&["nas1", "nas2"]);
    let path = folder.path().join(STORE_FILE);
    let whole = fs::read(&path).expect("the store");
    let original: BTreeMap<String, String> = of(&["nas1", "nas2"])
        .values()
        .map(|settings| (settings.id.to_string(), format!("{settings:?}")))
        .collect();
    let mut read = 0;
    for position in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).expect("written");
        let Ok((_store, loaded)) = open(&folder) else { continue };
        for settings in &loaded.connections {
            assert_eq!(original.get(settings.id.as_str()), Some(&format!("{settings:?}")), "at {position}");
            read += 1;
        }
    }
    assert!(read > 0, "the other record stays readable");
}

#[test]
fn a_copied_record_counts_once() {
    let folder = filled(&["nas1"]);
    edit(&folder, |envelope| {
        let copy = envelope["records"][0].clone();
        envelope["records"].as_array_mut().expect("a list").push(copy);
    });
    let (_store, loaded) = open(&folder).expect("read");
    assert_eq!((loaded.connections.len(), loaded.damaged.len()), (1, 1));
    assert_eq!(loaded.damaged[0].why, "its id is there twice");
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_state() {
    let folder = filled(&["nas1"]);
    let leftover = folder.path().join("connections.json.tmp");
    fs::write(&leftover, "{\"format\":1,\"rev").expect("written");
    let (store, loaded) = open(&folder).expect("the old state");
    assert_eq!(names(&loaded), ["nas1"]);
    store.save(2, &of(&["nas1", "nas2"]), &[]).expect("saved over the leftover");
    assert!(!leftover.exists());
}

#[test]
fn a_write_that_fails_leaves_the_old_state() {
    let folder = filled(&["nas1"]);
    let (store, _) = open(&folder).expect("open");
    let before = text(&folder);
    fs::create_dir(folder.path().join("connections.json.tmp")).expect("in the way");
    assert!(matches!(store.save(2, &of(&["nas2"]), &[]), Err(StoreError::Io { .. })));
    assert_eq!(text(&folder), before);
}

#[test]
fn one_folder_belongs_to_one_collector() {
    let folder = folder();
    let first = open(&folder).expect("the first");
    let error = open(&folder).expect_err("the second");
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(first);
    open(&folder).expect("after the first has gone");
}

#[test]
fn unchanged_records_are_not_sealed_again_and_changed_ones_are() {
    let folder = filled(&["nas1", "nas2"]);
    let sealed = |index: usize| {
        serde_json::from_str::<Value>(&text(&folder)).expect("JSON")["records"][index]["sealed"].to_string()
    };
    let before = (sealed(0), sealed(1));
    let (store, _) = open(&folder).expect("open");
    let mut connections = of(&["nas1", "nas2"]);
    Arc::make_mut(connections.get_mut("nas2").expect("there")).revision = 3;
    store.save(3, &connections, &[]).expect("saved");
    assert_eq!(sealed(0), before.0);
    assert_ne!(sealed(1), before.1);
}

#[test]
fn rotation_replaces_the_key_and_every_record() {
    let folder = filled(&["nas1", "nas2"]);
    let key = || fs::read_to_string(folder.path().join(KEY_FILE)).expect("the key");
    let (old_key, old_text) = (key(), text(&folder));
    let (store, _) = open(&folder).expect("open");
    store.rotate_key(2, &of(&["nas1", "nas2"]), &[]).expect("rotated");
    drop(store);
    assert_ne!(key(), old_key);
    assert_eq!(key().lines().count(), 2, "one comment, one key");
    let (store, loaded) = open(&folder).expect("with the new key");
    assert_eq!(names(&loaded), ["nas1", "nas2"]);
    drop(store);
    let new_key = key();

    // Killed after the new key was written and before the records were.
    let both = format!("{}\n{}", new_key.trim(), old_key);
    fs::write(folder.path().join(KEY_FILE), both).expect("written");
    fs::write(folder.path().join(STORE_FILE), old_text).expect("written");
    let (store, loaded) = open(&folder).expect("goes on");
    assert_eq!(names(&loaded), ["nas1", "nas2"]);
    drop(store);
    assert_eq!(key().trim(), new_key.trim(), "the old key is gone");
    let (_store, loaded) = open(&folder).expect("with the new key alone");
    assert_eq!(names(&loaded), ["nas1", "nas2"]);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_could_read_or_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = filled(&["nas1"]);
    let path = folder.path().join(KEY_FILE);
    let elsewhere = self::folder();
    let mounted = elsewhere.path().join("master.key");
    fs::copy(&path, &mounted).expect("copied");
    for (mode, fits) in [
        (0o600, true),
        (0o400, true),
        // As Kubernetes mounts it for a group.
        (0o440, true),
        (0o640, true),
        (0o644, false),
        (0o604, false),
        (0o620, false),
        (0o660, false),
        (0o602, false),
        (0o601, false),
    ] {
        for (path, source) in [(&path, KeySource::Beside), (&mounted, KeySource::File(mounted.clone()))] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
            let opened = Store::open(folder.path(), &source).map(drop);
            assert_eq!(opened.is_ok(), fits, "{mode:o} {source:?}");
            if let Err(error) = opened {
                assert!(matches!(error, StoreError::KeyExposed { .. }), "{error}");
                assert!(error.remedy().contains("chmod 600"), "{}", error.remedy());
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set");
        }
    }
}

#[test]
fn what_is_damaged_is_named_and_not_told() {
    let folder = filled(&["nas1"]);
    edit(&folder, |envelope| envelope["records"][0]["nonce"] = STANDARD.encode([0; 12]).into());
    let kept = text(&folder);
    let (_, loaded) = open(&folder).expect("the rest is readable");
    let shown = format!("{loaded:?}");
    assert!(shown.contains("nas1") && !loaded.damaged.is_empty(), "{shown}");
    let envelope: Value = serde_json::from_str(&kept).expect("JSON");
    let sealed = envelope["records"][0]["sealed"].as_str().expect("text");
    assert!(!sealed.is_empty() && !shown.contains(sealed), "{shown}");
}
