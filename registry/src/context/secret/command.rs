//! Where a secret begins that a command takes as an option: errors quote the
//! commands that failed, as a line or as a list of words.

/// Commands by how their names begin, and the options that a password follows, at once or as the next word.
const COMMANDS: [(&str, &[&str]); 14] = [
    ("mysql", &["-p"]),
    ("mariadb", &["-p"]),
    ("mycli", &["-p"]),
    ("mongo", &["-p"]),
    ("sshpass", &["-p"]),
    ("7z", &["-p"]),
    ("zip", &["-P"]),
    ("unzip", &["-P"]),
    ("redis-cli", &["-a"]),
    ("ldap", &["-w"]),
    ("ipmitool", &["-P"]),
    ("mosquitto_", &["-P"]),
    ("snmp", &["-A", "-X", "-c"]),
    // Of a registry of images.
    ("login", &["-p"]),
];
/// Commands with options first that take a password as a word: how many stand before it.
const PLAIN: [(&str, usize); 2] = [("smbpasswd", 1), ("htpasswd", 2)];
/// Options that "user:password" follows.
const USER_OPTIONS: [&str; 4] = ["-u", "-U", "--user", "--proxy-user"];
/// Shortest word behind a `-p` of a command that is not named.
const ATTACHED_CHARS_MIN: usize = 3;

/// Of all secrets that are options the first.
pub(super) fn beginning(text: &str) -> Option<usize> {
    if !has_option(text) {
        return None;
    }
    let words: Vec<(usize, &str)> = words(text).collect();
    let has_user =
        words.iter().any(|(_, word)| USER_OPTIONS.iter().any(|option| after(word, option).is_some()));
    let mut secret_options: &[&str] = &[];
    for (number, (at, word)) in words.iter().enumerate() {
        let program = word.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        if let Some((_, options)) = COMMANDS.iter().find(|(name, _)| program.starts_with(name)) {
            secret_options = options;
        }
        let next = words.get(number + 1);
        if let Some((_, skipped)) = PLAIN.iter().find(|(name, _)| program == *name)
            && next.is_some_and(|(_, next)| next.starts_with('-'))
        {
            let mut plain = words[number + 1..].iter().filter(|(_, word)| !word.starts_with('-'));
            return plain.nth(*skipped).map(|(at, _)| *at);
        }
        // The value of the option, and where it begins.
        let value = |option: &str| {
            let rest = after(word, option)?;
            let own = (at + word.len() - rest.len(), rest);
            if rest.is_empty() { next.copied().filter(|(_, next)| !next.starts_with('-')) } else { Some(own) }
        };
        if let Some((at, _)) = secret_options.iter().find_map(|option| value(option)) {
            return Some(at);
        }
        let password = |(at, user): (usize, &str)| {
            let sign = user.find([':', '%'])?;
            let (name, password) = (&user[..sign], &user[sign + 1..]);
            let is_pair = !name.is_empty() && !password.is_empty() && !password.starts_with("//");
            // 1000:1000 are a user and a group.
            (is_pair && !(is_number(name) && is_number(password))).then_some(at + sign + 1)
        };
        if let Some(at) = USER_OPTIONS.iter().find_map(|option| password(value(option)?)) {
            return Some(at);
        }
        if has_user
            && let Some(rest) = word.strip_prefix("-p")
            && rest.len() >= ATTACHED_CHARS_MIN
            && !is_number(rest)
            && !rest.contains('-')
        {
            return Some(at + 2);
        }
    }
    None
}

/// Most texts have none.
fn has_option(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_start = |at: usize| at == 0 || BETWEEN.contains(&char::from(bytes[at - 1]));
    memchr::memchr_iter(b'-', bytes).any(|at| {
        is_start(at) && bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphabetic() || *next == b'-')
    })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What follows the option in its own word.
fn after<'a>(word: &'a str, option: &str) -> Option<&'a str> {
    let rest = word.strip_prefix(option)?;
    if option.starts_with("--") {
        rest.strip_prefix('=').or_else(|| rest.is_empty().then_some(rest))
    } else {
        Some(rest)
    }
}

/// What parts words; each is one byte.
const BETWEEN: [char; 9] = [' ', ',', '"', '\'', '`', '[', ']', '(', ')'];

/// Words as a shell or a list in Python or JSON parts them, each with its place.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(BETWEEN).filter_map(move |word| {
        let place = at;
        at += word.len() + 1;
        (!word.is_empty()).then_some((place, word))
    })
}
