//! What sentences are made of. A text that somebody else supplied cannot become
//! a word of the registry's own: there is no conversion.

use std::borrow::Cow;

use pulse_proto::model::UnixMillis;

use super::words::Own;

/// What a text that others supplied is. Decides how long it may be and from which policy on it is a pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A system, as its operator or it itself calls it.
    System,
    /// A virtual machine, a container or an app.
    Workload,
    Share,
    User,
    Pool,
    /// A dataset, a file or a folder.
    Path,
    Serial,
    /// Of a network.
    Address,
    /// The name of a task, a certificate, a label: what people write to remember.
    Label,
    /// Sentences: alerts, messages, comments.
    Text,
    /// Of the registry itself, with names and words of others in it: what a rule or the judgement of health says.
    Sentence,
    /// Meant to be a word of a vocabulary or of a product: states, models, versions, kernel names of devices. One that is
    /// no such word somebody chose.
    Word,
    /// Of a resource.
    Id,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::System,
        Self::Workload,
        Self::Share,
        Self::User,
        Self::Pool,
        Self::Path,
        Self::Serial,
        Self::Address,
        Self::Label,
        Self::Text,
        Self::Sentence,
        Self::Word,
        Self::Id,
    ];

    /// What its pseudonyms begin with.
    pub const fn token(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Workload => "workload",
            Self::Share => "share",
            Self::User => "user",
            Self::Pool => "pool",
            Self::Path => "path",
            Self::Serial => "serial",
            Self::Address => "address",
            Self::Label => "label",
            Self::Text | Self::Sentence => "text",
            Self::Word => "word",
            Self::Id => "id",
        }
    }

    /// Most characters that are shown.
    pub const fn chars_max(self) -> usize {
        match self {
            Self::Text | Self::Sentence => 240,
            Self::Path | Self::Word => 160,
            _ => 80,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Own(Own),
    Told(Kind, Box<str>),
    /// How long ago that was, when somebody reads it.
    Ago(UnixMillis),
    /// How long until then.
    Until(UnixMillis),
}

impl From<Own> for Piece {
    fn from(own: Own) -> Self {
        Self::Own(own)
    }
}

impl From<&'static str> for Piece {
    fn from(text: &'static str) -> Self {
        Self::Own(text.into())
    }
}

/// A text of somebody else.
pub fn told<'a>(kind: Kind, text: impl Into<Cow<'a, str>>) -> Piece {
    let text: Cow<'a, str> = text.into();
    Piece::Told(kind, text.into())
}

/// One whole sentence, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement(Vec<Piece>);

impl Statement {
    pub fn of<const N: usize>(pieces: [Piece; N]) -> Self {
        Self(pieces.into())
    }

    pub fn add(&mut self, piece: impl Into<Piece>) -> &mut Self {
        self.0.push(piece.into());
        self
    }

    pub fn append(&mut self, other: Self) -> &mut Self {
        self.0.extend(other.0);
        self
    }

    /// Gives back the room that it grew in. Moved, since the allocator takes none back while half of it is in use.
    pub fn fit(&mut self) {
        let mut fitting = Vec::with_capacity(self.0.len());
        fitting.append(&mut self.0);
        self.0 = fitting;
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// With commas between them.
    pub fn list(items: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        let mut all = Self::default();
        for item in items {
            if !all.is_empty() {
                all.add(between);
            }
            all.append(item);
        }
        all
    }
}

/// `say!["Pool ", told(Kind::Pool, name), " is fine."]`
macro_rules! say {
    ($($piece:expr),* $(,)?) => {
        $crate::context::piece::Statement::of([$($crate::context::piece::Piece::from($piece)),*])
    };
}
pub(crate) use say;
