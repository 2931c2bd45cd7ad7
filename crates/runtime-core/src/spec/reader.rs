//! Reads documents, and watches the names in them.
//!
//! The specification's names are one for one, and so are those of its types. But programs written in Go,
//! runc among them, take `CPU` for `cpu`: their JSON compares names without regard to case. What is
//! written for them is read as they do, since whoever judges a document before it gets here does so, too;
//! and it is put right, so that whatever reads the container's copy of it later needs to know nothing.

use std::fmt::{self, Write as _};

use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::SpecError;

/// How names of properties are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    AsTheyAre,
    /// ASCII letters without regard to case.
    InAnyCase,
}

/// How many bytes of a place, which the document's names may make of any length, are told.
const PLACE: usize = 256;

/// The name of no property.
const NOTHING: &str = "";

/// What there is to be said of a document that could be read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Places that the type does not have.
    pub unknown: Vec<String>,
    /// Names that are right but for the case of letters.
    pub misspelt: Vec<Misspelt>,
    /// Places of names for what another name stands for, too, before them. What is there was not read.
    pub again: Vec<String>,
}

/// A name that is written otherwise than the type has it.
#[derive(Debug)]
pub(super) struct Misspelt {
    /// The place in the document, with the name as it is written.
    pub place: String,
    /// The name as the type has it.
    pub name: &'static str,
    /// Where it begins in the document, in bytes.
    at: usize,
}

impl Findings {
    /// The document with such names put right.
    pub(super) fn put_right(&self, json: &str) -> String {
        let mut json = json.to_owned();
        for Misspelt { name, at, .. } in &self.misspelt {
            // A name in other letters is as long.
            json.replace_range(*at..*at + name.len(), name);
        }
        json
    }
}

/// Reads a document.
///
/// # Errors
/// The place where it is not what the type says, and why.
pub(super) fn read<'de, T: Deserialize<'de>>(
    json: &'de str,
    letters: Letters,
) -> Result<(T, Findings), SpecError> {
    let mut document = serde_json::Deserializer::from_str(json);
    let mut notes = Notes {
        document: json,
        letters,
        path: Vec::new(),
        findings: Findings::default(),
    };
    let read = T::deserialize(Reader {
        inner: &mut document,
        notes: &mut notes,
    });
    match read.and_then(|value| document.end().map(|()| value)) {
        Ok(value) => Ok((value, notes.findings)),
        Err(error) => Err(SpecError {
            path: match notes.path.is_empty() {
                true => ".".to_owned(),
                false => notes.place(),
            },
            message: error.to_string(),
        }),
    }
}

/// What was found up to where the reader is.
struct Notes<'de> {
    document: &'de str,
    letters: Letters,
    /// What leads to the place. It stays where reading fails.
    path: Vec<Step<'de>>,
    findings: Findings,
}

impl Notes<'_> {
    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            // Writing to a `String` can't fail.
            let _ = match step {
                Step::Index(index) => write!(place, "[{index}]"),
                Step::Name(name) if place.is_empty() => write!(place, "{}", name.head()),
                Step::Name(name) => write!(place, ".{}", name.head()),
            };
            if place.len() > PLACE {
                break;
            }
        }
        cut(place)
    }

    /// The place of a property of what the reader is at.
    fn place_of(&self, name: &str) -> String {
        match self.place() {
            parent if parent.is_empty() => cut(name.to_owned()),
            parent => cut(format!("{parent}.{name}")),
        }
    }
}

/// As much of a place as is told.
fn cut(mut place: String) -> String {
    const REST: &str = "...";
    if place.len() > PLACE {
        place.truncate(head(&place, PLACE - REST.len()).len());
        place.push_str(REST);
    }
    place
}

/// The whole characters of the first bytes.
fn head(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// One step from the whole document to a place in it.
enum Step<'de> {
    Name(Name<'de>),
    Index(usize),
}

/// A property's name in the document.
enum Name<'de> {
    /// As it stands there.
    AsIs(&'de str),
    /// Written with escapes: there is no place in the document that has it.
    Escaped(String),
}

impl Name<'_> {
    fn text(&self) -> &str {
        match self {
            Self::AsIs(text) => text,
            Self::Escaped(text) => text,
        }
    }

    /// What a place may have of it, and a little more, by which a cut is told.
    fn head(&self) -> &str {
        head(self.text(), 2 * PLACE)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name::AsIs(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name::Escaped(text.to_owned()))
            }
        }
        from.deserialize_str(Take)
    }
}

/// A value in the document.
struct Reader<'n, 'de, D> {
    inner: D,
    notes: &'n mut Notes<'de>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, 'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner
            .deserialize_any(Watched::new(visitor, self.notes, &[]))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner
            .deserialize_option(Watched::new(visitor, self.notes, &[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner
            .deserialize_any(Watched::new(visitor, self.notes, names))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let place = self.notes.place();
        self.notes.findings.unknown.push(place);
        self.inner.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier
    }
}

/// What is read one step further.
struct Seed<'n, 'de, S> {
    inner: S,
    notes: &'n mut Notes<'de>,
    step: Step<'de>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let notes = self.notes;
        notes.path.push(self.step);
        let value = self.inner.deserialize(Reader { inner, notes })?;
        notes.path.pop();
        Ok(value)
    }
}

/// A type's visitor, between it and the document.
struct Watched<'n, 'de, V> {
    inner: V,
    notes: &'n mut Notes<'de>,
    /// The names of a type's properties; none where they are free.
    names: &'static [&'static str],
}

impl<'n, 'de, V> Watched<'n, 'de, V> {
    fn new(inner: V, notes: &'n mut Notes<'de>, names: &'static [&'static str]) -> Self {
        Self {
            inner,
            notes,
            names,
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let notes = self.notes;
        self.inner.visit_some(Reader { inner, notes })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        // A type with names can be made of a list, too: that of its values in their order.
        if !self.names.is_empty() {
            return Err(A::Error::invalid_type(Unexpected::Seq, &"an object"));
        }
        self.inner.visit_seq(List {
            inner,
            notes: self.notes,
            next: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Properties {
            inner,
            notes: self.notes,
            names: self.names,
            seen: Vec::new(),
            current: None,
        })
    }
}

struct List<'n, 'de, A> {
    inner: A,
    notes: &'n mut Notes<'de>,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for List<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        inner: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let step = Step::Index(self.next);
        self.next += 1;
        let notes = &mut *self.notes;
        self.inner.next_element_seed(Seed { inner, notes, step })
    }
}

struct Properties<'n, 'de, A> {
    inner: A,
    notes: &'n mut Notes<'de>,
    names: &'static [&'static str],
    /// Those met so far, where letters may be in any case: what they are, and as they are written.
    seen: Vec<(&'static str, String)>,
    /// The one whose value comes next.
    current: Option<Name<'de>>,
}

impl<'de, A> Properties<'_, 'de, A> {
    /// The type's name for what is written, in whatever letters.
    fn known(&self, written: &Name<'de>) -> Option<&'static str> {
        let text = written.text();
        let mut names = self.names.iter();
        let is_same = names.clone().find(|name| **name == text);
        let is_alike = |name: &&&str| name.eq_ignore_ascii_case(text);
        let known = match written {
            Name::AsIs(_) => is_same.or_else(|| names.find(is_alike)),
            Name::Escaped(_) => is_same,
        };
        known.copied()
    }

    /// What the type is told instead of what is written.
    fn meant<'a>(&mut self, written: &'a Name<'de>) -> &'a str {
        let text = written.text();
        let Some(name) = self.known(written) else {
            return text;
        };
        // A property may have two names: the first stands for it.
        let mut names = self.names.iter();
        let first = names.find(|known| known.eq_ignore_ascii_case(name));
        let property = first.copied().unwrap_or(name);
        let before = self.seen.iter().filter(|(known, _)| *known == property);
        // The very same name once more is the type's to refuse.
        let is_same = before.clone().any(|(_, as_written)| as_written == text);
        let is_again = before.count() > 0 && !is_same;
        self.seen.push((property, text.to_owned()));
        if is_again {
            let place = self.notes.place_of(text);
            self.notes.findings.again.push(place);
        }
        if text != name {
            let place = self.notes.place_of(text);
            self.notes.findings.misspelt.push(Misspelt {
                place,
                name,
                at: text.as_ptr().addr() - self.notes.document.as_ptr().addr(),
            });
        }
        if is_again { NOTHING } else { name }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Properties<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(written) = self.inner.next_key::<Name<'de>>()? else {
            return Ok(None);
        };
        let name = match self.notes.letters {
            Letters::AsTheyAre => written.text(),
            Letters::InAnyCase => self.meant(&written),
        };
        let key = seed.deserialize(name.into_deserializer())?;
        self.current = Some(written);
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        let Some(name) = self.current.take() else {
            return Err(A::Error::custom("a value without a name"));
        };
        let (notes, step) = (&mut *self.notes, Step::Name(name));
        self.inner.next_value_seed(Seed { inner, notes, step })
    }
}
