//! The resources that a filter selects, one sentence each, with their ids.

use std::sync::Arc;

use super::Scope;
use crate::context::fact::Fact;
use crate::context::piece::{Kind, told};
use crate::context::say;
use crate::context::sketch::with;
use crate::query::list::Listing;
use crate::query::order::Order;
use crate::state::view::View;

/// The worst first, then by name.
pub(super) fn facts(view: &View, scope: &Scope) -> Vec<Fact> {
    let (filter, most) = (&scope.filter, scope.facts_max());
    // An order of fields that exist.
    let Ok(order) = Order::parse("severity desc, name") else { return Vec::new() };
    let listing = Listing::find(Arc::new(view.clone()), filter, &order, most);
    listing
        .from(0)
        .take(most)
        .filter_map(|found| {
            let resource = &found.resource;
            with(resource, |thing| {
                let mut fact = say::profile(thing).unwrap_or_else(|| {
                    let mut statement = say::capital(&thing.called());
                    statement.add(" is ").add(resource.status.token()).add(".");
                    thing.fact("resource", statement)
                });
                fact.statement.add(" Severity ").add(resource.severity.token()).add(", id ");
                fact.statement.add(told(Kind::Id, resource.id.to_string())).add(".");
                Some(fact)
            })
        })
        .collect()
}
