//! The beginning of what orders a row, as two words that compare as the row
//! does: computed once per row, so that a sort reads resources only on ties.

use std::sync::LazyLock;

use pulse_proto::model::{ResourceId, ResourceType, StorageTopology, UnixMillis};

use super::{Direction, Order, word};
use crate::query::filter::field::{EnumField, Field, TextField};
use crate::query::number::{number, used_ratio};
use crate::query::value::{text, time};
use crate::state::resource::Resource;
use crate::state::view::Shard;

/// Less only if the row comes first; rows with equal keys must be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::query) struct Key([u64; 2]);

/// How far a value goes into words.
enum Words {
    /// Equal words mean equal values: the next field may take the next word.
    Exact(u64),
    /// The value needs both.
    Long(u64, u64),
}

/// From here on a number does not fit beside "unknown" and takes two words.
const LONG: u64 = u64::MAX;

impl Key {
    pub(in crate::query) const MAX: Self = Self([u64::MAX; 2]);
}

impl Order {
    /// `None` when the row comes after all rows with the key `bar`.
    pub(in crate::query) fn key(&self, shard: &Shard, at: usize, bar: Key) -> Option<Key> {
        let mut keys = self.keys.iter();
        let (first, direction) = next(keys.next());
        let key = match directed(words(first, shard, at), direction) {
            Words::Long(first, second) => Key([first, second]),
            Words::Exact(first) if first > bar.0[0] => return None,
            Words::Exact(first) => {
                let (second, direction) = next(keys.next());
                match directed(words(second, shard, at), direction) {
                    Words::Exact(second) | Words::Long(second, _) => Key([first, second]),
                }
            }
        };
        (key <= bar).then_some(key)
    }
}

/// What an order does not say, the id decides.
fn next(key: Option<&(Field, Direction)>) -> (&Field, Direction) {
    key.map_or((&Field::Text(TextField::Id), Direction::Ascending), |(field, direction)| (field, *direction))
}

fn directed(words: Words, direction: Direction) -> Words {
    match (words, direction) {
        (words, Direction::Ascending) => words,
        (Words::Exact(first), Direction::Descending) => Words::Exact(!first),
        (Words::Long(first, second), Direction::Descending) => Words::Long(!first, !second),
    }
}

/// What is not known is 0.
fn words(field: &Field, shard: &Shard, at: usize) -> Words {
    let resource: &Resource = &shard.resources[at];
    match field {
        Field::Text(TextField::Id) => of_id(&resource.id),
        Field::Text(field) => long(&text(*field, resource), 0),
        // Absent comes before empty.
        Field::Label(key) => match resource.labels.get(key) {
            Some(value) => long(value, 1),
            None => Words::Long(0, 0),
        },
        Field::Enum(field) => {
            let profile = shard.resources.profile(at);
            // Read where it lies beside others, for those that orders begin with.
            let known = match field {
                EnumField::Status => Some(profile.status().to_wire()),
                EnumField::Severity => Some(profile.severity().to_wire()),
                EnumField::Freshness => Some(profile.freshness().to_wire()),
                EnumField::Type => Some(profile.resource_type().to_wire()),
                EnumField::Topology => profile.topology().map(StorageTopology::to_wire),
                EnumField::Source | EnumField::IncidentLevel => word(*field, resource),
            };
            Words::Exact(known.map_or(0, |known| u64::try_from(known).unwrap_or_default() + 1))
        }
        Field::Number(field) => whole(number(*field, resource)),
        Field::Time(field) => whole(time(*field, resource, shard.observed_at(resource)).map(UnixMillis::get)),
        Field::UsedRatio => Words::Exact(used_ratio(resource).map_or(0, |ratio| {
            // As `total_cmp` has it.
            let bits = ratio.to_bits();
            if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
        })),
        Field::Texts(_) | Field::Labels | Field::Entry(_) | Field::Alert(_) => Words::Exact(0),
    }
}

fn whole(value: Option<u64>) -> Words {
    match value {
        None => Words::Exact(0),
        Some(value) if value >= LONG - 1 => Words::Long(LONG, value),
        Some(value) => Words::Exact(value + 1),
    }
}

/// The first sixteen bytes, after `lead` if it is not 0.
fn long(text: &str, lead: u8) -> Words {
    let mut bytes = [0; 16];
    let skipped = usize::from(lead != 0);
    bytes[0] = lead;
    let taken = text.len().min(16 - skipped);
    bytes[skipped..skipped + taken].copy_from_slice(&text.as_bytes()[..taken]);
    let both = u128::from_be_bytes(bytes);
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
    Words::Long((both >> 64) as u64, both as u64)
}

/// Types begin alike, so the first bytes of ids say little: the place of the
/// type and the first digit among all, then the digits.
fn of_id(id: &ResourceId) -> Words {
    let digits = id.number();
    let rank = RANKS[id.kind() as usize][(digits >> 60) as usize];
    Words::Long(rank << RANK_SHIFT | digits >> (64 - RANK_SHIFT), digits << RANK_SHIFT)
}

const RANK_SHIFT: u32 = 55;
const _: () = assert!(ResourceType::ALL.len() * 16 <= 1 << (64 - RANK_SHIFT));

/// One token may begin another, as `network-` does `network-share-`, so the first digit has a say.
static RANKS: LazyLock<Vec<[u64; 16]>> = LazyLock::new(|| {
    let digits = || 0..16_usize;
    let mut beginnings: Vec<(String, usize, usize)> = ResourceType::ALL
        .iter()
        .flat_map(|kind| digits().map(|digit| (format!("{}-{digit:x}", kind.token()), *kind as usize, digit)))
        .collect();
    beginnings.sort();
    let mut ranks = vec![[0; 16]; ResourceType::ALL.len()];
    for (rank, (_, kind, digit)) in (0..).zip(beginnings) {
        ranks[kind][digit] = rank;
    }
    ranks
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = ResourceId> {
        let digits = prop_oneof![any::<u64>(), 0_u64..600, (0_u64..16).prop_map(|digit| digit << 60)];
        (prop::sample::select(ResourceType::ALL.to_vec()), digits)
            .prop_map(|(kind, digits)| ResourceId::new(kind, digits))
    }

    proptest! {
        #[test]
        fn words_of_an_id_order_as_the_id(left in id(), right in id()) {
            let words = |id: &ResourceId| match of_id(id) {
                Words::Long(first, second) => (first, second),
                Words::Exact(first) => (first, 0),
            };
            prop_assert_eq!(words(&left).cmp(&words(&right)), left.cmp(&right));
        }
    }
}
