//! The texts of an entry, one behind the other in one block of memory: there are
//! many entries, and a text of a few bytes would take a block of its own.

use std::fmt;

use prost::encoding::{decode_varint, encode_varint};

/// One fact before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    pub field: &'a str,
    pub from: &'a str,
    pub to: &'a str,
}

/// Name, technology and reason, then three texts for each step; a length before each.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts(Box<[u8]>);

impl Texts {
    /// The first step leads.
    pub fn of<'a>(
        name: &str,
        technology: &str,
        reason: &str,
        steps: impl IntoIterator<Item = Step<'a>>,
    ) -> Self {
        let mut all = Vec::with_capacity(128);
        let mut add = |text: &str| {
            encode_varint(text.len() as u64, &mut all);
            all.extend_from_slice(text.as_bytes());
        };
        [name, technology, reason].into_iter().for_each(&mut add);
        for Step { field, from, to } in steps {
            [field, from, to].into_iter().for_each(&mut add);
        }
        Self(Box::from(&*all))
    }

    pub fn name(&self) -> &str {
        self.all().next().unwrap_or_default()
    }

    pub fn technology(&self) -> &str {
        self.all().nth(1).unwrap_or_default()
    }

    pub fn reason(&self) -> &str {
        self.all().nth(2).unwrap_or_default()
    }

    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut rest = self.all().skip(3);
        std::iter::from_fn(move || Some(Step { field: rest.next()?, from: rest.next()?, to: rest.next()? }))
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let (text, behind) = rest.split_at_checked(length)?;
            rest = behind;
            std::str::from_utf8(text).ok()
        })
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_read() {
        let long = "käse ".repeat(60);
        let step = |field| Step { field, from: "", to: &long };
        for steps in [&[step("status")][..], &[step("status"), step(&long), step("")]] {
            for (name, technology, reason) in
                [("tank", "zfs-pool", ""), ("", "", &*long), (&long, &long, "x")]
            {
                let texts = Texts::of(name, technology, reason, steps.iter().copied());
                assert_eq!((texts.name(), texts.technology(), texts.reason()), (name, technology, reason));
                assert_eq!(texts.steps().collect::<Vec<_>>(), steps);
            }
        }
    }
}
