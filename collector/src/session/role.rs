//! What a login may do, judged from the answer of `auth.me`. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

/// Suffices for all that is read here.
const READONLY: &str = "READONLY_ADMIN";
const FULL: &str = "FULL_ADMIN";
/// Each lets a part be read for which the read-only administrator is not needed.
const PARTS: [&str; 4] = ["POOL_READ", "DATASET_READ", "DISK_READ", "ALERT_LIST_READ"];
/// Lets alerts be dismissed and restored, which operators may do from here: not too much.
const MARKS_ALERTS: &str = "ALERT_LIST_WRITE";
/// Roles named in a text.
const SHOWN_MAX: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// All that is needed and no more.
    ReadOnly,
    /// All that is needed, and rights to change things.
    TooMuch { roles: Vec<String> },
    /// Some sections will be forbidden.
    Partial { missing: Vec<&'static str> },
    /// Nothing can be read.
    Nothing,
    /// The NAS did not say.
    Unknown(String),
}

impl Judgement {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ReadOnly => "",
            Self::TooMuch { .. } => {
                "use a key of a user whose only role is READONLY_ADMIN: nothing here needs to change the NAS"
            }
            Self::Partial { .. } | Self::Nothing => "give the user a privilege with the role READONLY_ADMIN",
            Self::Unknown(_) => "check on the NAS that the user has the role READONLY_ADMIN",
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => f.write_str("the login is a read-only administrator"),
            Self::TooMuch { roles } => {
                let shown: Vec<&str> = roles.iter().take(SHOWN_MAX).map(String::as_str).collect();
                write!(f, "the login may change the NAS ({})", shown.join(", "))
            }
            Self::Partial { missing } => write!(f, "the login lacks {}", missing.join(", ")),
            Self::Nothing => f.write_str("the login has no role that lets it read anything"),
            Self::Unknown(why) => write!(f, "the roles of the login are not known: {why}"),
        }
    }
}

#[derive(Deserialize)]
struct Me {
    privilege: Option<Privilege>,
}

#[derive(Deserialize)]
struct Privilege {
    roles: Roles,
}

/// A set as the middleware encodes it, or a plain list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Roles {
    Set {
        #[serde(rename = "$set")]
        set: BTreeSet<String>,
    },
    List(BTreeSet<String>),
}

pub fn judge(me: &str) -> Judgement {
    let roles = match serde_json::from_str::<Me>(me) {
        Ok(Me { privilege: Some(Privilege { roles: Roles::Set { set: roles } | Roles::List(roles) }) }) => {
            roles
        }
        Ok(Me { privilege: None }) => return Judgement::Nothing,
        Err(_) => return Judgement::Unknown("the answer names no roles".to_owned()),
    };
    let has = |role: &str| roles.contains(role);
    let too_much = |role: &&String| *role == FULL || (role.ends_with("_WRITE") && *role != MARKS_ALERTS);
    let more: Vec<String> = roles.iter().filter(too_much).cloned().collect();
    if has(FULL) {
        return Judgement::TooMuch { roles: vec![FULL.to_owned()] };
    }
    if has(READONLY) {
        return if more.is_empty() { Judgement::ReadOnly } else { Judgement::TooMuch { roles: more } };
    }
    if !PARTS.into_iter().any(has) {
        return Judgement::Nothing;
    }
    let missing = [READONLY].into_iter().chain(PARTS).filter(|role| !has(role)).collect();
    Judgement::Partial { missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_decide() {
        let me = |roles: &str| {
            format!(r#"{{"pw_name":"pulse","privilege":{{"roles":{roles},"web_shell":false}}}}"#)
        };
        for (roles, want) in [
            (r#"{"$set":["READONLY_ADMIN","POOL_READ"]}"#, Judgement::ReadOnly),
            (r#"["READONLY_ADMIN"]"#, Judgement::ReadOnly),
            (r#"["READONLY_ADMIN","ALERT_LIST_WRITE"]"#, Judgement::ReadOnly),
            (
                r#"{"$set":["FULL_ADMIN","POOL_WRITE"]}"#,
                Judgement::TooMuch { roles: vec!["FULL_ADMIN".to_owned()] },
            ),
            (
                r#"["READONLY_ADMIN","SHARING_WRITE"]"#,
                Judgement::TooMuch { roles: vec!["SHARING_WRITE".to_owned()] },
            ),
            (
                r#"["POOL_READ","DISK_READ"]"#,
                Judgement::Partial { missing: vec!["READONLY_ADMIN", "DATASET_READ", "ALERT_LIST_READ"] },
            ),
            (r#"["SHARING_READ"]"#, Judgement::Nothing),
            ("[]", Judgement::Nothing),
            ("7", Judgement::Unknown("the answer names no roles".to_owned())),
        ] {
            assert_eq!(judge(&me(roles)), want, "{roles}");
        }
        assert_eq!(judge(r#"{"privilege":null}"#), Judgement::Nothing);
        assert!(matches!(judge("null"), Judgement::Unknown(_)));
    }
}
