//! A document in which a property stands more than once, as Go's JSON takes it: objects are one, and of
//! anything else the later counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The document with each property once.
///
/// # Errors
/// What is wrong with its form.
pub(super) fn merged(json: &str) -> Result<String, serde_json::Error> {
    let tree: Tree = serde_json::from_str(json)?;
    serde_json::to_string(&tree)
}

/// A value, whose properties stay in their order: names in other letters are yet to be compared.
enum Tree {
    Plain(serde_json::Value),
    List(Vec<Self>),
    Object(Properties),
}

/// By name, each with its place among the others: there may be very many.
type Properties = BTreeMap<String, (usize, Tree)>;

impl Tree {
    fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::Object(one), Self::Object(other)) => {
                let mut in_order: Vec<_> = other.into_iter().collect();
                in_order.sort_unstable_by_key(|(_, (place, _))| *place);
                for (name, (_, value)) in in_order {
                    add(one, name, value);
                }
            }
            (one, other) => *one = other,
        }
    }
}

fn add(object: &mut Properties, name: String, value: Tree) {
    let place = object.len();
    match object.entry(name) {
        Entry::Occupied(mut there) => there.get_mut().1.merge(value),
        Entry::Vacant(free) => {
            free.insert((place, value));
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(to),
            Self::List(list) => to.collect_seq(list),
            Self::Object(object) => {
                let mut in_order: Vec<_> = object.iter().collect();
                in_order.sort_unstable_by_key(|(_, (place, _))| *place);
                to.collect_map(in_order.iter().map(|(name, (_, value))| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Plain(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Plain(serde_json::Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut object = Properties::new();
        while let Some((name, value)) = from.next_entry()? {
            add(&mut object, name, value);
        }
        Ok(Tree::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn objects_are_one_and_of_the_rest_the_later_counts() {
        for (json, expected) in [
            (
                r#"{"a":{"b":1,"c":[1,2]},"a":{"c":[3],"d":-1.5}}"#,
                r#"{"a":{"b":1,"c":[3],"d":-1.5}}"#,
            ),
            (
                r#"{"a":{"b":{"c":1}},"a":{"b":{"d":"x"}}}"#,
                r#"{"a":{"b":{"c":1,"d":"x"}}}"#,
            ),
            (r#"{"a":{"b":1},"a":null}"#, r#"{"a":null}"#),
            (
                r#"{"a":true,"a":{"b":18446744073709551615}}"#,
                r#"{"a":{"b":18446744073709551615}}"#,
            ),
        ] {
            assert_eq!(merged(json).unwrap(), expected);
        }
        assert!(merged("{").is_err());
    }

    /// With a look at all before it for each, this would take minutes.
    #[test]
    fn very_many_properties_take_no_longer_each() {
        let names: Vec<String> = (0..300_000).map(|name| format!(r#""n{name}":1"#)).collect();
        let json = format!("{{{}}}", names.join(","));
        assert_eq!(merged(&json).unwrap(), json);
    }
}
