//! What every page has: where one is, who one is, what needs somebody, how
//! fresh the page is.

use pulse_shell::access::{Caller, Role};

use super::address::Query;
use super::figure::{Units, When};

/// The pages of the navigation.
pub const PAGES: [(&str, &str, &str); 5] = [
    ("fleet", "/console", "Overview"),
    ("infrastructure", "/console/infrastructure", "Infrastructure"),
    ("storage", "/console/storage", "Storage"),
    ("alerts", "/console/alerts", "Alerts"),
    ("connections", "/console/connections", "Connections"),
];

/// Who looks at a page, and how.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub caller: Caller,
    pub units: Units,
    /// For the forms of the page.
    pub csrf: String,
    /// Signed in with a session, which can be ended.
    pub has_session: bool,
}

impl Visitor {
    pub fn may(&self, role: Role) -> bool {
        self.caller.grant.as_ref().is_none_or(|grant| grant.role.allows(role))
    }

    pub fn may_operate(&self) -> bool {
        self.may(Role::Operator)
    }

    /// As people say it.
    pub fn name(&self) -> &str {
        match &self.caller.grant {
            None => "Anyone on this machine",
            Some(_) => self.caller.name.rsplit('/').next().unwrap_or_default(),
        }
    }

    pub fn role(&self) -> &'static str {
        self.caller.grant.as_ref().map_or("", |grant| grant.role.token())
    }

    /// e.g. "customer=acme"; empty: all is seen.
    pub fn limits(&self) -> String {
        let scope = self.caller.scope();
        scope.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Debug)]
pub struct Layout {
    pub title: String,
    /// Of [`PAGES`]; empty: none of them.
    pub page: &'static str,
    pub visitor: Visitor,
    /// Path and query of the page.
    pub here: String,
    /// Where the page hears of changes; empty: nowhere.
    pub live: String,
    pub now: When,
    pub revision: u64,
    /// Alerts that fire and that nobody has seen.
    pub loud: u64,
}

#[allow(
    clippy::unused_self,
    clippy::trivially_copy_pass_by_ref,
    reason = "a template reaches what every page has through it, and hands over references"
)]
impl Layout {
    pub fn pages(&self) -> impl Iterator<Item = &(&'static str, &'static str, &'static str)> {
        PAGES.iter()
    }

    pub fn units(&self) -> Units {
        self.visitor.units
    }

    pub fn size(&self, bytes: &u64) -> String {
        self.visitor.units.size(*bytes)
    }

    pub fn css(&self) -> &'static str {
        super::assets::css()
    }

    pub fn js(&self) -> &'static str {
        super::assets::js()
    }

    pub fn icon(&self) -> &'static str {
        super::assets::icon()
    }
}

/// One way to look at a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub label: String,
    pub href: String,
    pub on: bool,
    /// How many there are; `None`: not counted.
    pub count: Option<u64>,
}

/// Where in a long list one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pager {
    pub first: usize,
    pub last: usize,
    pub total: usize,
    pub before: Option<String>,
    pub next: Option<String>,
}

impl Pager {
    /// Page `query` asks for, of `total` rows by `size`; and the first row of it.
    pub fn of(query: &Query, path: &str, total: usize, size: usize) -> (Self, usize) {
        let pages = total.div_ceil(size).max(1);
        let page = query.number("page").unwrap_or(1).clamp(1, pages);
        let from = (page - 1) * size;
        let to = |page: usize| {
            let page = if page == 1 { String::new() } else { page.to_string() };
            query.with("page", &page).link(path)
        };
        let pager = Self {
            first: (from + 1).min(total),
            last: (from + size).min(total),
            total,
            before: (page > 1).then(|| to(page - 1)),
            next: (page < pages).then(|| to(page + 1)),
        };
        (pager, from)
    }

    pub const fn has_pages(&self) -> bool {
        self.before.is_some() || self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_and_end() {
        let page = |text: &str, total| Pager::of(&Query::parse(text), "/p", total, 50);
        let (pager, from) = page("q=a&page=2", 120);
        assert_eq!((pager.first, pager.last, from), (51, 100, 50));
        assert_eq!(pager.before.as_deref(), Some("/p?q=a"));
        assert_eq!(pager.next.as_deref(), Some("/p?q=a&page=3"));
        let (pager, from) = page("page=99", 120);
        assert_eq!((pager.first, pager.last, from, pager.next), (101, 120, 100, None));
        let (pager, from) = page("", 0);
        assert_eq!((pager.first, pager.last, from, pager.has_pages()), (0, 0, 0, false));
    }
}
