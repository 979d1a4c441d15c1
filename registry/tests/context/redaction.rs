//! What each policy hides, that rows stay apart, and that a client with the
//! table can map them back.

use std::collections::BTreeMap;

use pulse_proto::pb::resource::v1::{ConnectionState, ConnectionStatus, IngestRecord, storage_facet};
use pulse_registry::context::piece::Kind;
use pulse_registry::context::redact::Policy;

use crate::filled::records;
use crate::world::{World, alert, disk, home, host, pool, scrubbed, share, task};

const BUDGET: usize = 60_000;

#[test]
fn strict_hides_what_anybody_chose() {
    // Each field says its own name, so that what shows tells where it is from.
    let mut world = World::new();
    let mark = |path: &str| format!("mark{}", path.replace(['.', '_'], "q"));
    world.put("nas", "markconnection", 0, records("nas", &mark));
    let mut contexts = vec![world.fleet("", Policy::Strict, BUDGET)];
    contexts
        .extend(world.state.view().iter().map(|(_, r)| world.single(&r.id.text(), Policy::Strict, BUDGET)));
    let mut wrong = std::collections::BTreeSet::new();
    for packed in contexts {
        let words = packed.text.split(|c: char| !c.is_alphanumeric());
        wrong.extend(words.filter(|word| word.contains("mark")).map(str::to_owned));
    }
    assert!(wrong.is_empty(), "shown under strict: {wrong:#?}");
}

/// By-id names of devices hold serials, and a system can tell anything in the place of a word.
#[test]
fn strict_shows_words_of_products_alone() {
    const BY_ID: &str = "ata-WDC_WD40EFRX-68N32N0_WD-WCC4E1234567";
    let mut world = World::new();
    let mut nas = host("nas");
    if let Some(agent) = &mut nas.agent {
        "Acme Vault Works".clone_into(&mut agent.manufacturer);
        "Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz".clone_into(&mut agent.cpu_model);
    }
    let mut tank = pool("nas", "tank", 64, ["ONLINE", "FAULTED", "ONLINE", "FAULTED"], scrubbed(1));
    let Some(storage_facet::Zfs::ZfsPool(facet)) =
        tank.storage.as_mut().and_then(|storage| storage.zfs.as_mut())
    else {
        panic!("a pool");
    };
    let leaf = &mut facet.groups[0].vdevs[0].children[1];
    (leaf.name, leaf.disk) = (BY_ID.to_owned(), BY_ID.to_owned());
    let mut by_id = disk("nas", 1, "FAULTED", 12);
    BY_ID.clone_into(&mut by_id.name);
    let facet = by_id.physical_disk.as_mut().unwrap();
    "WDC WD40EFRX-68N32N0".clone_into(&mut facet.model);
    let mut odd = disk("nas", 2, "wwn-0x5000c500a1b2c3d4", 12);
    odd.physical_disk.as_mut().unwrap().model = "ST12000NM0008-2H3101 ZL2A1F4K".to_owned();
    world.put("nas", "nas", 0, vec![nas, tank, by_id, odd, disk("nas", 3, "FAULTED", 1)]);
    let texts = |policy| {
        let mut texts = vec![world.fleet("", policy, BUDGET).text];
        let ids = world.state.view().iter().map(|(_, resource)| resource.id.to_string());
        texts.extend(ids.map(|id| world.single(&id, policy, BUDGET).text));
        texts.join("\n")
    };
    let (names, strict) = (texts(Policy::Names), texts(Policy::Strict));
    for hidden in ["WCC4E", "ata-", "5000c5", "ZL2A", "Acme", "Vault"] {
        assert!(names.contains(hidden), "{hidden} in {names}");
        assert!(!strict.contains(hidden), "{hidden} in {strict}");
    }
    for shown in ["\"WDC WD40EFRX-68N32N0\"", "\"25.10.0\"", "FAULTED", "\"sd3\"", "Xeon(R)"] {
        assert!(strict.contains(shown), "{shown} in {strict}");
    }
    // Of devices in a list each is shown or hidden by itself.
    let word = world.pseudonyms.of(Kind::Word, BY_ID);
    assert!(strict.contains(&format!("\"{word} FAULTED; sd3 FAULTED\"")), "{strict}");
}

#[test]
fn rows_stay_apart_and_can_be_mapped_back() {
    let world = home();
    let open = world.fleet("", Policy::None, BUDGET).text;
    for policy in [Policy::Names, Policy::Strict] {
        let packed = world.fleet("", policy, BUDGET);
        for hidden in ["basement", "attic-host", "nas-"] {
            assert!(!packed.text.contains(hidden), "{hidden} under {}:\n{}", policy.token(), packed.text);
        }
        let table: BTreeMap<&str, &str> =
            packed.pseudonyms.iter().map(|(name, stands_for)| (name.as_str(), stands_for.as_str())).collect();
        let distinct: std::collections::BTreeSet<&str> = table.values().copied().collect();
        assert!(table.len() >= 3 && distinct.len() >= table.len() - 1, "{table:?}");
        let mut mapped = packed.text.clone();
        for (name, stands_for) in &table {
            mapped = mapped.replace(name, stands_for);
        }
        // A system has one pseudonym, whichever of its names it is called by.
        let plain = |text: &str| text.replace('"', "").replace("-host", "");
        assert_eq!(plain(&mapped), plain(&open), "{}", policy.token());
    }
}

#[test]
fn strict_hides_serials_pools_and_messages_too() {
    let world = home();
    let names = world.fleet("", Policy::Names, BUDGET).text;
    let strict = world.fleet("", Policy::Strict, BUDGET).text;
    for shown in ["WD-", "tank", "no route to host"] {
        assert!(names.contains(shown), "{shown} in {names}");
        assert!(!strict.contains(shown), "{shown} in {strict}");
    }
    insta::assert_snapshot!(strict);
}

/// What names are made of that a search for words would miss, and how texts spell them.
const NAMES: [&str; 8] =
    ["nas-1", "the rack", "my_nas", "Büro NAS", "na\u{ad}s\u{200b}.two", "存储一", "Schloß-1", "νάσος"];

#[test]
fn a_name_is_in_no_text_however_it_is_spelled() {
    for name in NAMES {
        let clean = name.replace(['\u{ad}', '\u{200b}'], "");
        let split: String = clean.chars().flat_map(|letter| [letter, '\u{ad}']).collect();
        let text = format!(
            "x {name} {}: {name}-backup {name}_old old-{name} ({name}) \\\\{name}\\y {split} {name}.example.net, <{name}> {} {} {}x<b>{name}</b>x",
            name.to_uppercase(),
            clean.replace('a', "[a]"),
            clean.chars().flat_map(|letter| ['<', 'b', '>', letter]).collect::<String>(),
            clean.chars().flat_map(|letter| [letter, '<', 'b', 'r', '>']).collect::<String>(),
        );
        let mut world = World::new();
        // Every field but the names of things themselves.
        world.put("c-1", name, 0, records("c-1", &|path| format!("{path} {text}")));
        let mut contexts = Vec::new();
        for policy in [Policy::Names, Policy::Strict] {
            contexts.push(world.fleet("", policy, BUDGET));
            let ids = world.state.view().iter().map(|(_, resource)| resource.id.to_string());
            contexts.extend(ids.map(|id| world.single(&id, policy, BUDGET)));
        }
        for packed in contexts {
            let shown = packed.text.to_lowercase();
            let folded = [clean.to_lowercase(), clean.to_uppercase().to_lowercase()];
            for hidden in folded.into_iter().chain(["c-1".to_owned(), "example.net".to_owned()]) {
                let at = shown.find(&hidden);
                assert!(
                    at.is_none(),
                    "{hidden}: {:?}",
                    at.map(|at| shown[..at]
                        .chars()
                        .rev()
                        .take(200)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                        .collect::<String>()
                        + &shown[at..].chars().take(60).collect::<String>())
                );
            }
        }
    }
}

#[test]
fn what_the_rules_say_of_a_thing_hides_its_name_also_when_it_is_gone() {
    let records = |step: u64| {
        let mut nas = host("a");
        "the rack host".clone_into(&mut nas.name);
        vec![nas, pool("a", "tank", 40 + step, ["ONLINE"; 4], scrubbed(1))]
    };
    let (mut world, book) = crate::fleet::watched("the rack", records);
    assert!(book.open().any(|case| case.summary.contains("tank")), "an alert in the words of a rule");
    for gone in [false, true] {
        if gone {
            world.put("a", "another name", 0, vec![]);
        }
        for policy in [Policy::Names, Policy::Strict] {
            let text = world.fleet_with(&book, "", policy, BUDGET).text;
            assert!(text.contains("alert"), "{text}");
            let hidden: &[&str] = if policy == Policy::Names { &["the rack"] } else { &["the rack", "tank"] };
            for name in hidden {
                assert!(!text.contains(name), "{name} under {}, gone: {gone}\n{text}", policy.token());
            }
        }
    }
}

#[test]
fn a_changed_name_is_told_as_what_it_names() {
    let mut world = home();
    let named = |name: &str| {
        let mut record = share("basement", name);
        record.source_id = "system:basement/share:smb:9".to_owned();
        record
    };
    let records = |name: &str| vec![host("basement"), named(name)];
    world.put("basement", "basement", 0, records("payroll"));
    world.put("basement", "basement", 0, records("salaries"));
    let names = world.fleet("", Policy::Names, BUDGET).text;
    let open = world.fleet("", Policy::None, BUDGET).text;
    assert!(open.contains("name \"payroll\" to \"salaries\""), "{open}");
    assert!(
        !names.contains("payroll") && !names.contains("salaries") && names.contains("name share-"),
        "{names}"
    );
}

#[test]
fn the_other_end_of_a_task_is_named_nowhere() {
    let mut world = World::new();
    let with_remote = |number: u32, remote: &str| {
        let mut task =
            task("basement", "ERROR", 5, "ssh: bob@vault: no route to host VAULT (vault.example.net)");
        task.source_id = format!("system:basement/replication:{number}");
        task.protection_task.as_mut().unwrap().remote = remote.to_owned();
        task
    };
    let mut commented = share("basement", "media");
    commented.network_share.as_mut().unwrap().comment = "bob copies it to vault".to_owned();
    let records = vec![
        host("basement"),
        with_remote(1, "bob@vault.example.net"),
        with_remote(2, "ssh://bob@vault.example.net:22/tank"),
        with_remote(3, "root@attic-host"),
        commented,
    ];
    world.put("basement", "basement", 0, records);
    world.put("attic", "attic", 0, vec![host("attic")]);
    for policy in [Policy::Names, Policy::Strict] {
        let mut texts = vec![world.fleet("", policy, BUDGET).text];
        let ids = world.state.view().iter().map(|(_, resource)| resource.id.to_string());
        texts.extend(ids.map(|id| world.single(&id, policy, BUDGET).text));
        let text = texts.join("\n");
        for name in ["bob", "vault", "VAULT", "attic-host"] {
            assert!(!text.contains(name), "{name} under {}:\n{text}", policy.token());
        }
        let of = |kind, name: &str| world.pseudonyms.of(kind, name);
        let (bob, vault) = (of(Kind::User, "bob"), of(Kind::System, "vault.example.net"));
        assert!(text.contains(&format!(", on {bob}@{vault}")), "{text}");
        // What it is called there is a name of a system that is known here.
        assert!(text.contains(&format!(", on root@{}", of(Kind::System, "attic"))), "{text}");
        if policy == Policy::Names {
            assert!(
                text.contains(&format!("ssh: {bob}@{vault}: no route to host {vault} ({vault})")),
                "{text}"
            );
            assert!(text.contains(&format!("{bob} copies it to {vault}")), "{text}");
        }
    }
}

#[test]
fn former_names_are_hidden_as_long_as_the_past_is_remembered() {
    let mut world = World::new();
    let commented = |comment: &str| {
        let mut record = share("a", "media");
        record.network_share.as_mut().unwrap().comment = comment.to_owned();
        record
    };
    let mut payroll = share("a", "payroll");
    "system:a/share:smb:9".clone_into(&mut payroll.source_id);
    world.put("a", "the rack", 0, vec![host("a"), commented(""), payroll]);
    world.put("gone", "old barn", 0, vec![host("gone")]);
    world.put("a", "cellar", 0, vec![host("a"), commented("payroll was on the rack, and in the old barn")]);
    world.put("gone", "old barn", 0, vec![]);
    world.put("gone", "new barn", 0, vec![]);
    let open = world.single("cellar/media", Policy::None, BUDGET).text;
    assert!(open.contains("payroll was on the rack"), "{open}");
    for packed in
        [world.single("cellar/media", Policy::Names, BUDGET), world.fleet("", Policy::Names, BUDGET)]
    {
        for name in ["payroll", "the rack", "old barn"] {
            assert!(!packed.text.contains(name), "{name} in {}", packed.text);
        }
    }
}

/// A system with this label, and what it brings.
fn put_of(world: &mut World, customer: &str, records: Vec<IngestRecord>) {
    let status = ConnectionStatus {
        name: format!("{customer}-nas"),
        labels: [("customer".to_owned(), customer.to_owned())].into(),
        state: ConnectionState::Live.into(),
        ..ConnectionStatus::default()
    };
    world.put_as(customer, status, 0, records);
}

#[test]
fn what_is_out_of_sight_rewrites_no_text() {
    let message = "guess their-nas, theirs-host, carol and old barn of our-nas: no route from our-host";
    let called = |name: &str, number: u32| {
        let mut share = share("theirs", name);
        share.source_id = format!("system:theirs/share:smb:{number}");
        share.network_share.as_mut().unwrap().map_root_user = "carol".to_owned();
        share
    };
    let seen = |theirs: &[&str]| {
        let mut world = World::new();
        let tank = pool("our", "tank", 64, ["ONLINE", "FAULTED", "ONLINE", "ONLINE"], scrubbed(1));
        let records =
            vec![host("our"), tank, disk("our", 1, "FAULTED", 12), task("our", "ERROR", 5, message)];
        put_of(&mut world, "our", records);
        put_of(&mut world, "theirs", vec![host("theirs"), called("old barn", 99)]);
        let shares = theirs.iter().zip(1..).map(|(name, number)| called(name, number));
        put_of(&mut world, "theirs", [host("theirs")].into_iter().chain(shares).collect());
        let labels = BTreeMap::from([("customer".to_owned(), "our".to_owned())]);
        let part = world.part(&labels, Policy::Names, BUDGET);
        (part.text, world.pseudonyms.of(Kind::System, "our-nas"))
    };
    let (text, ours) = seen(&[]);
    let told = format!("guess their-nas, theirs-host, carol and old barn of {ours}: no route from {ours}");
    assert!(text.contains(&told), "{text}");
    assert_eq!(
        seen(&["sd1", "faulted", "device", "tank", "has", "FAULTED_DEV_R", "pool-device", "it"]).0,
        text
    );
}

#[test]
fn words_of_the_registry_are_no_names() {
    let told = |shares: &[String]| {
        let (mut world, book) = crate::fleet::watched("nas-7", |step| {
            let disks = ["ONLINE", "FAULTED", "ONLINE", "ONLINE"];
            vec![host("a"), pool("a", "tank", 40 + step, disks, scrubbed(1)), disk("a", 1, "FAULTED", step)]
        });
        let mut records = vec![
            host("a"),
            pool("a", "tank", 60, ["ONLINE", "FAULTED", "ONLINE", "ONLINE"], scrubbed(1)),
            disk("a", 1, "FAULTED", 19),
        ];
        records.extend(shares.iter().zip(1..).map(|(name, number)| {
            let mut share = share("a", name);
            share.source_id = format!("system:a/share:smb:{number}");
            share
        }));
        world.put("a", "nas-7", 0, records);
        let packed = world.fleet_with(&book, "", Policy::Names, BUDGET);
        let sections =
            packed.sections.into_iter().filter(|section| ["Wrong now", "Alerts"].contains(&section.title));
        sections
            .flat_map(|section| section.facts.into_iter().map(|fact| fact.text))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let text = told(&[]);
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '-');
    // Not what the system itself told.
    let is_theirs = |word: &str| ["tank", "web"].contains(&word) || word.contains(char::is_numeric);
    let mut words: Vec<String> =
        words.filter(|word| word.len() > 1 && !is_theirs(word)).map(str::to_owned).collect();
    words.sort();
    words.dedup();
    assert!(words.len() > 40 && text.contains("it says"), "{text}");
    assert_eq!(told(&words), text);
}

#[test]
fn who_was_named_is_hidden_after_the_name_is_gone() {
    let mut world = World::new();
    let records = |user: &str, remote: &str, client: &str| {
        let mut media = share("a", "media");
        let facet = media.network_share.as_mut().unwrap();
        user.clone_into(&mut facet.map_root_user);
        facet.hosts = vec![client.to_owned(), "10.0.0.0/8".to_owned()];
        let mut copy = task("a", "FINISHED", 1, "");
        remote.clone_into(&mut copy.protection_task.as_mut().unwrap().remote);
        let mut tank = pool("a", "tank", 10, ["ONLINE"; 4], scrubbed(1));
        tank.incidents = vec![alert("Login by carol from client7, copied to vault.")];
        vec![host("a"), tank, media, copy]
    };
    let text = |world: &World| {
        let mut texts = vec![world.fleet("", Policy::Names, BUDGET).text];
        let ids = world.state.view().iter().map(|(_, resource)| resource.id.to_string());
        texts.extend(ids.map(|id| world.single(&id, Policy::Names, BUDGET).text));
        texts.join("\n")
    };
    let (user, client) =
        (world.pseudonyms.of(Kind::User, "carol"), world.pseudonyms.of(Kind::System, "client7.lan"));
    for (mapped, remote, host) in [("carol", "vault.example.net", "client7.lan"), ("", "", "")] {
        world.put("a", "nas-7", 0, records(mapped, remote, host));
        let text = text(&world);
        assert!(text.contains(&format!("Login by {user} from {client}, copied to system-")), "{text}");
        assert_eq!(text.contains(&format!("for hosts {client}, \"10.0.0.0/8\"")), !host.is_empty(), "{text}");
        for name in ["carol", "client7", "vault"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }
}

#[test]
fn the_table_has_what_facts_are_about() {
    let world = home();
    let packed = world.fleet("", Policy::Names, BUDGET);
    let facts = packed.sections.iter().flat_map(|section| &section.facts);
    let ids: Vec<_> =
        facts.filter_map(|fact| fact.fact.origin.as_ref()).map(|origin| &origin.resource).collect();
    assert!(ids.len() > 5, "{}", packed.text);
    for id in ids {
        let row = (world.pseudonyms.seal(id), id.to_string());
        assert!(packed.pseudonyms.contains(&row), "{row:?} in {:?}", packed.pseudonyms);
    }
    assert_eq!(home().fleet("", Policy::None, BUDGET).pseudonyms, []);
}

#[test]
fn strict_tells_what_is_in_trouble_as_everywhere() {
    let of = |world: &World, name: &str| world.single(name, Policy::Strict, BUDGET).text;
    let strict = of(&home(), "basement");
    assert!(strict.contains("\"sd1\" in it is not well"), "{strict}");
    let mut world = World::new();
    let tank = pool("a", "tank", 64, ["ONLINE", "FAULTED", "ONLINE", "ONLINE"], scrubbed(1));
    world.put("a", "a", 0, vec![host("a"), tank]);
    let (strict, pool) = (of(&world, "a"), world.pseudonyms.of(Kind::Pool, "tank"));
    assert!(strict.contains(&format!("{pool} in it is not well")), "{strict}");
}

#[test]
fn facts_of_many_say_what_they_rest_on() {
    for packed in
        [home().fleet("", Policy::None, BUDGET), home().single("basement/tank", Policy::None, BUDGET)]
    {
        for fact in packed.sections.iter().flat_map(|section| &section.facts) {
            let basis = fact.fact.basis.is_some_and(|basis| basis.observed_at.is_some());
            assert!(fact.fact.origin.is_some() || basis, "{fact:?}");
        }
    }
}
