//! Filters in the words of contexts: what they compare names with is looked for
//! among what is shown, and becomes the names themselves.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::ConnectionId;

use super::system::{is_cut, is_cut_of};
use super::{Asking, is_plain};
use crate::context::fleet::reach::called as name;
use crate::context::piece::Kind;
use crate::context::redact::holds_pseudonym;
use crate::context::say::name_kind;
use crate::context::secret::names_secret;
use crate::context::vocabulary::is_common;
use crate::query::filter::field::{Field, TextField, TextsField};
use crate::query::filter::syntax::{Comparison, Expression, Literal, Operator};
use crate::query::filter::{Filter, FilterError};
use crate::query::value::{Text, text};
use crate::state::resource::Resource;
use crate::state::view::Shard;

/// Different names that one comparison may mean.
const MEANT_MAX: usize = 256;

impl Asking<'_> {
    /// Of what carries all of these labels.
    pub fn filter(&self, text: &str, labels: &BTreeMap<String, String>) -> Result<Filter, FilterError> {
        Filter::parse_reworded(text, labels, &|field, comparison| self.reworded(field, comparison))
    }

    fn reworded(&self, field: &Field, comparison: &Comparison) -> Result<Option<Expression>, FilterError> {
        let literal = &comparison.literal;
        match field {
            Field::Text(TextField::Id | TextField::ParentId) => {
                let id = self.pseudonyms.unseal(&literal.text).filter(|_| !literal.wild);
                match id {
                    Some(id) => Ok(Some(with_text(comparison, &id.text()))),
                    None if self.is_open() || is_presence(literal) => Ok(None),
                    None => Err(refused(comparison, "ids are hidden here: write one as a context shows it")),
                }
            }
            Field::Texts(TextsField::ReasonCode)
            | Field::Enum(_)
            | Field::Number(_)
            | Field::UsedRatio
            | Field::Time(_)
            | Field::Entry(_)
            | Field::Alert(_) => Ok(None),
            Field::Texts(TextsField::SourceId) if self.is_open() => Ok(None),
            Field::Texts(TextsField::SourceId) => {
                Err(refused(comparison, "source_id is made of names, which are hidden here"))
            }
            Field::Text(TextField::Connection | TextField::ConnectionName) => self.system(field, comparison),
            Field::Label(key) => self.label(key, comparison),
            // Nobody hides it, and most ask for no more.
            _ if kind_of(field) == Some(Kind::Word) && literal.wild && !self.floor.hides(Kind::Word) => {
                Ok(None)
            }
            _ if kind_of(field) == Some(Kind::Word) && is_shown_word(field, comparison) => Ok(None),
            Field::Text(_) | Field::Texts(_) | Field::Labels => self.named(field, comparison),
        }
    }

    /// Of a field that holds names.
    fn named(&self, field: &Field, comparison: &Comparison) -> Result<Option<Expression>, FilterError> {
        let Comparison { operator, literal, .. } = comparison;
        let wanted = literal.text.as_str();
        let has_pseudonym = holds_pseudonym(wanted);
        let is_literal = self.is_open() && !has_pseudonym;
        if is_presence(literal) || is_literal && (literal.wild || !is_name(field)) {
            return Ok(None);
        }
        self.allowed(kind_of(field), comparison)?;
        let is_part = *operator == Operator::Has && matches!(field, Field::Text(_));
        let fits = |shown: &str| {
            if is_part { shown.contains(wanted) } else { shown == wanted || is_cut_of(wanted, shown) }
        };
        let mut seen = BTreeSet::new();
        let mut meant = BTreeSet::new();
        let resources = self.shards().flat_map(|shard| shard.resources.iter());
        for resource in resources {
            for (kind, value) in values(field, resource) {
                if is_literal && (if is_part { value.contains(wanted) } else { value == wanted }) {
                    // It is written as it is.
                    return Ok(None);
                }
                // Most are not it; only what may be it is worth its pseudonym.
                let may_fit = has_pseudonym || value.contains(wanted) || !is_plain(value) || is_cut(wanted);
                let of_type = type_of(field, resource);
                if may_fit && seen.insert((value, kind, of_type)) && self.shows_as(kind, value, wanted, fits)
                {
                    meant.insert((value, of_type));
                }
            }
        }
        let any = meant.into_iter().map(|(value, of_type)| is(comparison, value, of_type)).collect();
        self.any(comparison, any).map(Some)
    }

    /// Of the system, whichever of its names it is called by.
    fn system(&self, field: &Field, comparison: &Comparison) -> Result<Option<Expression>, FilterError> {
        let Comparison { operator, literal, .. } = comparison;
        let wanted = literal.text.as_str();
        let is_literal = self.is_open() && !holds_pseudonym(wanted);
        let is_part = *operator == Operator::Has;
        let own = |shard: &Shard| match field {
            Field::Text(TextField::Connection) => shard.connection.as_str() == wanted,
            _ => shard.status.as_ref().is_some_and(|status| status.name == wanted),
        };
        if is_presence(literal) || is_literal && (literal.wild || is_part || self.shards().any(own)) {
            return Ok(None);
        }
        self.allowed(Some(Kind::System), comparison)?;
        let meant: BTreeSet<ConnectionId> = if is_part {
            let has = |shard: &&Shard| {
                self.shows_as(Kind::System, name(shard), wanted, |shown| shown.contains(wanted))
            };
            self.shards().filter(has).map(|shard| shard.connection.clone()).collect()
        } else {
            self.systems(wanted)
        };
        let path = vec!["connection".to_owned()];
        let same = Comparison { path, operator: Operator::Equal, ..comparison.clone() };
        let any = meant.iter().map(|connection| with_text(&same, connection.as_str())).collect();
        self.any(comparison, any).map(Some)
    }

    /// Whether he may ask for it in these words.
    fn allowed(&self, kind: Option<Kind>, comparison: &Comparison) -> Result<(), FilterError> {
        // What is not shown of words is not found, whether it is there or not.
        let is_hidden = |kind| kind != Kind::Word && self.floor.hides(kind);
        if !holds_pseudonym(&comparison.literal.text) && kind.is_some_and(is_hidden) {
            let problem = "what it holds is hidden here: write a pseudonym, as a context shows it";
            return Err(refused(comparison, problem));
        }
        if comparison.literal.wild {
            return Err(refused(comparison, "names are hidden here: compare with a whole one, or with ':'"));
        }
        Ok(())
    }

    /// One of what it may mean, and what it says itself where that is no guess.
    fn any(&self, comparison: &Comparison, mut any: Vec<Expression>) -> Result<Expression, FilterError> {
        if any.len() > MEANT_MAX {
            return Err(refused(comparison, "too many names have that in them: write more of it"));
        }
        let operator = comparison.operator;
        if self.is_open() {
            any.push(Expression::Compare(Comparison { operator: positive(operator), ..comparison.clone() }));
        }
        Ok(unless(operator, Expression::Any(any)))
    }

    /// Of the value of one label, whose key may be hidden, too.
    fn label(&self, key: &str, comparison: &Comparison) -> Result<Option<Expression>, FilterError> {
        // Who compares with a secret letter by letter reads it: it is as if nothing had one.
        if names_secret(key) && !is_presence(&comparison.literal) {
            return Ok(Some(unless(comparison.operator, Expression::Any(Vec::new()))));
        }
        if self.is_open() && !holds_pseudonym(key) && !holds_pseudonym(&comparison.literal.text) {
            return Ok(None);
        }
        if !holds_pseudonym(key) && self.floor.hides(Kind::Label) {
            return Err(refused(comparison, "labels are hidden here: write the pseudonym of its key"));
        }
        let carried: BTreeSet<&String> = self
            .shards()
            .flat_map(|shard| shard.resources.iter())
            .flat_map(|resource| resource.labels.keys())
            .collect();
        let is_meant =
            |own: &&&String| self.is_open() && own.as_str() == key || self.shows(Kind::Label, own, key);
        let meant: Vec<&String> = carried.iter().filter(is_meant).copied().collect();
        let mut any = Vec::new();
        // What a secret is named is shown, and never the secret.
        for own in meant.into_iter().filter(|own| !names_secret(own)) {
            let path = vec!["labels".to_owned(), own.clone()];
            let one = Comparison { path, operator: positive(comparison.operator), ..comparison.clone() };
            let reworded = self.named(&Field::Label(own.clone()), &one)?;
            any.push(reworded.unwrap_or(Expression::Compare(one)));
        }
        Ok(Some(unless(comparison.operator, Expression::Any(any))))
    }
}

/// Whether it compares with a whole word of a product, which is what it is called everywhere.
fn is_shown_word(field: &Field, comparison: &Comparison) -> bool {
    let Comparison { operator, literal, .. } = comparison;
    let is_whole = *operator != Operator::Has || matches!(field, Field::Texts(_));
    is_whole && !literal.wild && is_common(&literal.text)
}

/// What contexts tell as the name of a thing, or as a place.
const fn is_name(field: &Field) -> bool {
    matches!(
        field,
        Field::Text(TextField::Name | TextField::DisplayName | TextField::Pool | TextField::Dataset)
    )
}

fn is_presence(literal: &Literal) -> bool {
    literal.wild && literal.text.is_empty()
}

/// What every value of the field is; `None` when that depends on the resource.
fn kind_of(field: &Field) -> Option<Kind> {
    Some(match field {
        Field::Text(TextField::Pool) => Kind::Pool,
        Field::Text(TextField::Dataset) => Kind::Path,
        Field::Text(TextField::Serial) => Kind::Serial,
        Field::Text(
            TextField::Technology | TextField::State | TextField::Model | TextField::Version | TextField::Bus,
        )
        | Field::Texts(TextsField::IncidentKlass) => Kind::Word,
        Field::Texts(_) | Field::Label(_) | Field::Labels => Kind::Label,
        _ => return None,
    })
}

fn values<'r>(field: &Field, resource: &'r Resource) -> Vec<(Kind, &'r str)> {
    let kind = kind_of(field).unwrap_or_else(|| name_kind(resource));
    let values: Vec<&str> = match field {
        Field::Text(field) => match text(*field, resource) {
            Text::Told(told) => vec![told],
            // What it means can be read from it.
            Text::Id(_) => Vec::new(),
        },
        Field::Texts(TextsField::Tags) => resource.document.tags().collect(),
        Field::Texts(TextsField::IncidentKlass) => resource.document.incident_klasses().collect(),
        Field::Label(key) => resource.labels.get(key).map(String::as_str).into_iter().collect(),
        Field::Labels => resource.labels.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    values.into_iter().filter(|value| !value.is_empty()).map(|value| (kind, value)).collect()
}

/// A name means things of a type: what is shown of one must not tell of another that is called the same.
fn type_of(field: &Field, resource: &Resource) -> Option<&'static str> {
    let is_name = matches!(field, Field::Text(TextField::Name | TextField::DisplayName));
    is_name.then(|| resource.resource_type().token())
}

fn is(comparison: &Comparison, value: &str, of_type: Option<&'static str>) -> Expression {
    let Comparison { path, operator, .. } = comparison;
    let operator = if *operator == Operator::Has
        && path.len() == 1
        && ["labels", "label", "tags"].contains(&path[0].as_str())
    {
        Operator::Has
    } else {
        Operator::Equal
    };
    let same = with_text(&Comparison { operator, ..comparison.clone() }, value);
    match of_type {
        None => same,
        Some(of_type) => {
            let path = vec!["type".to_owned()];
            let of_type =
                with_text(&Comparison { path, operator: Operator::Equal, ..comparison.clone() }, of_type);
            Expression::All(vec![of_type, same])
        }
    }
}

fn with_text(comparison: &Comparison, text: &str) -> Expression {
    let literal = Literal { text: text.to_owned(), wild: false, ..comparison.literal };
    Expression::Compare(Comparison { literal, ..comparison.clone() })
}

const fn positive(operator: Operator) -> Operator {
    match operator {
        Operator::NotEqual => Operator::Equal,
        other => other,
    }
}

fn unless(operator: Operator, any: Expression) -> Expression {
    if operator == Operator::NotEqual { Expression::Not(Box::new(any)) } else { any }
}

fn refused(comparison: &Comparison, problem: &str) -> FilterError {
    FilterError {
        position: comparison.path_position,
        problem: format!("{} cannot be asked for so; {problem}", comparison.path.join(".")),
    }
}
