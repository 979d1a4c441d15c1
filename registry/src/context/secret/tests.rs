//! What is taken for a secret, and what is not.

use super::{names_secret, without_secrets};

#[test]
fn secrets_go_and_ordinary_texts_stay() {
    for text in [
        "no secrets here, tank/media is full",
        "auto-2026-11-28_00-00 of tank/very/long/path/of/datasets/12345",
        "d9a1b1c2-0a1b-4c3d-8e4f-123456789abc",
        "ata-WDC_WD40EFRX-68N32N0_WD-WCC4E1234567",
        "MyBackupServer2024Production",
        "Password authentication failed for user bob",
        "the password is wrong",
        "API key was revoked",
        "token expired, basic functions work",
        "ssh: bob@attic: no route to host",
        "tank/passwords/2024 is full",
        "bypass: on, compass: off",
        "key rotation due",
        "Login failed: wrong password. Try it again.",
        "Invalid password, please try again",
        "the token, which was revoked, and the secret (expired)",
        "bad signature, the update was refused; no credentials, no mail",
        "secretary of the board, tokenizers and cookies; a webhook failed",
        "das Passwort ist abgelaufen, le mot de passe est incorrecte",
        "Rosenhain, Absenhaft",
        "x = $HOME/a and $5 or $6 for $USER$",
        "mkdir -p tank/a; ssh -p 2222 bob@attic; zpool import -u",
        "docker run -u 1000:1000 -p 8080:80 x",
        "post to https://example.net/docs/webhooks failed, see tank/hooks/pre",
        "Disk ST12000NM0008-2H3101 ZL2A1F4K is UNAVAIL",
        "pass 2 of 3 completed, pass 100%; the first pass is done",
        "the self-test came to pass, a PIN is required, the pin is 4 mm long",
        "community edition, the community is quiet, a recovery key was stored",
        "login at nas-2 failed, login bob/carol, login shell /bin/zsh5",
        "This is the password, and where is the token? see the wiki (token)",
        "smbpasswd failed for bob; docker login failed -- try again",
    ] {
        assert_eq!(without_secrets(text), text);
    }
    for (text, expected) in [
        ("login with password=hunter2 failed", "login with password=(secret removed)"),
        ("password: hunter2, user: bob", "password: (secret removed)"),
        ("the password is hunter2", "the password is (secret removed)"),
        ("The password for user bob is hunter", "The password for user bob is (secret removed)"),
        ("password of root was changed to hunter", "password of root was changed to (secret removed)"),
        ("run with --password hunter", "run with --password (secret removed)"),
        ("passphrase: correct horse battery staple", "passphrase: (secret removed)"),
        ("password 'correct horse'", "password '(secret removed)"),
        (r#"{"api_key": "a, b & c <d>", "x": 1}"#, r#"{"api_key": "(secret removed)"#),
        ("secret_access_key => abc", "secret_access_key => (secret removed)"),
        ("Authorization: Bearer abc.def", "Authorization: (secret removed)"),
        ("sent Bearer abc.d3f", "sent Bearer (secret removed)"),
        ("<token>abc</token>", "<token>(secret removed)"),
        ("psk=abc", "psk=(secret removed)"),
        ("PASS = abc", "PASS = (secret removed)"),
        ("API Key abc1 refused", "API Key (secret removed)"),
        ("push to https://bob:hunter2@nas/x failed", "push to (secret removed) failed"),
        ("push to bob:hunter2@nas failed", "push to (secret removed) failed"),
        ("key 1-AbC4567890AbC4567890AbC4567890AbC4567890 seen", "key (secret removed) seen"),
        ("1-AbC4567890AbC4567890AbC4567890AbC4567890 seen", "(secret removed) seen"),
        ("0123456789abcdef0123456789abcdef", "(secret removed)"),
        ("AKIAIOSFODNN7EXAMPLE", "(secret removed)"),
        ("found wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "found (secret removed)"),
        ("found x8Kd03mPq7Zt1VbN4yLw", "found (secret removed)"),
        ("x -----BEGIN RSA PRIVATE KEY----- abc", "x (secret removed)"),
        // Other ways to assign, and to pause.
        ("password → hunter", "password → (secret removed)"),
        ("pass ⇒ hunter", "pass ⇒ (secret removed)"),
        ("password --> hunter", "password --> (secret removed)"),
        ("password->hunter", "password->(secret removed)"),
        ("password, hunter", "password, (secret removed)"),
        ("password; hunter", "password; (secret removed)"),
        ("password | hunter", "password | (secret removed)"),
        ("password (hunter)", "password ((secret removed)"),
        ("password - hunter", "password - (secret removed)"),
        ("password – hunter", "password – (secret removed)"),
        ("password for bob → hunter", "password for bob → (secret removed)"),
        ("pass word: hunter", "pass word: (secret removed)"),
        ("pass<b>word: hunter", "pass<b>word: (secret removed)"),
        ("pass<br>word</b> is hunter", "pass<br>word</b> is (secret removed)"),
        // Other languages.
        ("Das Passwort lautet hunter", "Das Passwort lautet (secret removed)"),
        ("mot de passe : hunter", "mot de passe : (secret removed)"),
        ("Le mot de passe est hunter", "Le mot de passe est (secret removed)"),
        ("CONTRASEÑA: hunter", "CONTRASEÑA: (secret removed)"),
        ("la contraseña es hunter", "la contraseña es (secret removed)"),
        ("senha = hunter, a senha é hunter", "senha = (secret removed)"),
        ("het wachtwoord is hunter", "het wachtwoord is (secret removed)"),
        ("Hasło: hunter", "Hasło: (secret removed)"),
        ("Пароль: hunter", "Пароль: (secret removed)"),
        ("с паролем hunter2", "с паролем (secret removed)"),
        ("lösenordet är hunter", "lösenordet är (secret removed)"),
        ("パスワードは hunter です", "パスワードは (secret removed)"),
        ("密码是hunter", "密码是(secret removed)"),
        ("密码: hunter", "密码: (secret removed)"),
        // Options of commands.
        ("curl -u bob:hunter https://x", "curl -u bob:(secret removed)"),
        ("curl --user=bob:hunter x", "curl --user=bob:(secret removed)"),
        ("mysqldump -u root -phunter db", "mysqldump -u root -p(secret removed)"),
        ("/usr/bin/mariadb -p 'hunter' db", "/usr/bin/mariadb -p '(secret removed)"),
        ("['mysql', '-uroot', '-phunter'] failed", "['mysql', '-uroot', '-p(secret removed)"),
        ("failed: -uroot -phunter db", "failed: -uroot -p(secret removed)"),
        ("smbclient -U bob%hunter //nas/x", "smbclient -U bob%(secret removed)"),
        ("sshpass -p hunter ssh nas", "sshpass -p (secret removed)"),
        ("smbpasswd -a bob hunter", "smbpasswd -a bob (secret removed)"),
        ("htpasswd -b file bob hunter", "htpasswd -b file bob (secret removed)"),
        ("docker login -p hunter x", "docker login -p (secret removed)"),
        // Before and after a change, before its word, in other words.
        ("set password of bob from hunter to hunter2", "set password of bob from (secret removed)"),
        ("hunTr7 is the password for bob", "(secret removed)"),
        ("it is \"hunTr7\" (password)", "it is (secret removed)"),
        ("the pass is hunTr7", "the pass is (secret removed)"),
        ("user bob pass hunTr7", "user bob pass (secret removed)"),
        ("DB_PASS hunTr7", "DB_PASS (secret removed)"),
        ("p/w hunTr7", "p/w (secret removed)"),
        ("PIN 4711", "PIN (secret removed)"),
        ("PIN is 4711", "PIN is (secret removed)"),
        ("SNMP community hunTr7", "SNMP community (secret removed)"),
        ("community string hunTr7", "community string (secret removed)"),
        ("the recovery key is hunter", "the recovery key is (secret removed)"),
        ("unlock key hunTr7", "unlock key (secret removed)"),
        ("wifi key: hunter", "wifi key: (secret removed)"),
        ("CHAP user bob hunTr7", "CHAP user bob (secret removed)"),
        ("otp 123456", "otp (secret removed)"),
        ("mfa code 123456", "mfa code (secret removed)"),
        ("creds: admin hunter", "creds: (secret removed)"),
        ("login admin/hunTr7", "login admin/(secret removed)"),
        ("Zugang: admin / hunTr7", "Zugang: admin / (secret removed)"),
        ("login: admin hunTr7", "login: admin (secret removed)"),
        ("clave hunTr7", "clave (secret removed)"),
        // Shapes.
        ("to https://hooks.slack.com/services/T0/B0/x failed", "to (secret removed) failed"),
        ("to discord.com/api/webhooks/1/x failed", "to (secret removed) failed"),
        ("to https://a.webhook.office.com/webhookb2/x/y failed", "to (secret removed) failed"),
        ("to <https://chat.example.net/hooks/x> failed", "to (secret removed) failed"),
        ("post https://api.telegram.org/bot1:x/send", "post (secret removed)"),
        ("root:$6$salt$hash/ed.hash:1:0 there", "(secret removed) there"),
        ("is $2b$12$abcdefghijklmnopqrstuv ok", "is (secret removed) ok"),
        ("is $argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA ok", "is (secret removed) ok"),
    ] {
        let clean = without_secrets(text);
        assert_eq!(clean, expected, "{text}");
        assert_eq!(without_secrets(&clean), expected, "{text}");
    }
}

#[test]
fn nothing_that_is_not_seen_hides_the_word_that_announces() {
    for hidden in ['\u{13430}', '\u{600}', '\u{337}', '\u{20da}'] {
        let text = crate::context::tame::plain(&format!("pass{hidden}word: hunter"));
        assert_eq!(without_secrets(&text), "password: (secret removed)", "{hidden:?}");
    }
}

#[test]
fn what_names_a_secret_is_known() {
    for (key, expected) in [
        ("api-key", true),
        ("DB_PASSWORD", true),
        ("psk", true),
        ("Passwort", true),
        ("contraseña", true),
        ("site", false),
        ("snmp_community", true),
        ("login", false),
        ("keyboard", false),
        ("basic", false),
    ] {
        assert_eq!(names_secret(key), expected, "{key}");
    }
}

/// What systems say of pools, disks and tasks every day.
const ALERTS: [&str; 16] = [
    "Pool tank state is DEGRADED: One or more devices has experienced an unrecoverable error. An attempt was made to \
     correct the error. Applications are unaffected.",
    "New ZFS version or feature flags are available for pool(s) tank, dozer. Upgrading is a one-time process.",
    "Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors.",
    "Device: /dev/ada0, Self-Test Log error count increased from 0 to 1",
    "Replication \"tank/a - nas2/a\" failed: cannot receive incremental stream: destination tank/a has been modified \
     since most recent snapshot.",
    "cannot open 'tank/a@auto-2026-11-28_00-00': dataset does not exist; ssh exited with 255 -- broken pipe",
    "Failed password for root from 192.0.2.7 port 22 ssh2",
    "Certificate 'web' is expiring within 10 days, renew it.",
    "Dataset tank/a is locked: its encryption key is not loaded, nothing in it can be read",
    "Quota exceeded on dataset tank/a. Used 95.00% (1.2 TiB of 1.3 TiB).",
    "scrub repaired 0B in 05:12:33 with 0 errors - on Sun Nov 29 05:12:34 2026",
    "Cloud sync task \"to b2\" failed: rclone copy -v --transfers 4 tank/a b2: exited with 1",
    "zpool status -x; zpool import -f -d /dev/disk/by-id tank; zfs recv -u tank/a; zfs send -p tank/a@b",
    "UPS ups communication lost, battery.charge: 100, input.voltage: 230.1",
    "Permanent errors in tank/a:<0x0>, /mnt/tank/a/file, 12 data errors, use '-v' for a list",
    "12,345 snapshots exist, more than 10,000; see keys 1-4 and pins 5, 6",
];

#[test]
fn ordinary_alerts_are_told_whole() {
    let mut texts: Vec<String> = ALERTS.map(str::to_owned).into();
    for sample in [
        include_str!("../../../../fixtures/samples/v25_10_0/alert.list.json"),
        include_str!("../../../../fixtures/samples/v26_0_0/alert.list.json"),
        include_str!("../../../../fixtures/samples/v25_10_0/pool.query.json"),
        include_str!("../../../../fixtures/samples/v26_0_0/pool.query.json"),
        include_str!("../../../../fixtures/samples/v25_10_0/replication.query.json"),
        include_str!("../../../../fixtures/samples/v25_10_0/core.get_jobs.json"),
    ] {
        prose(&serde_json::from_str(sample).expect("JSON"), &mut texts);
    }
    assert!(texts.len() > ALERTS.len() + 10, "{texts:?}");
    for text in texts {
        assert_eq!(without_secrets(&text), text);
    }
}

fn prose(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.contains(' ') => texts.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| prose(item, texts)),
        serde_json::Value::Object(fields) => fields.values().for_each(|field| prose(field, texts)),
        _ => {}
    }
}
