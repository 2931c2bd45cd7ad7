//! Properties that a user gives as text: GVariant's text format, as far as units
//! have use for it.

use super::wire::Value;
use crate::error::{Error, Result};

/// A property of a unit, for [`Systemd::start_scope_with`](super::Systemd::start_scope_with).
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    pub(super) name: String,
    pub(super) value: Value,
}

impl Property {
    /// Reads a name and a value in GVariant's text format: `'text'`, `true`,
    /// `uint64 5`, `[1, 2]`, `@as []`. A plain whole number is an `int32`, as there.
    ///
    /// A name such as `TimeoutStopSec`, which is of unit files, is taken for the
    /// property `TimeoutStopUSec`, and its value for seconds.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidLimit`] for a name that is not of three or more letters, a
    /// value that cannot be read, or seconds that are no number.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let invalid = |reason: &str| Error::InvalidLimit {
            field: "systemd property",
            reason: format!("{name}={text}: {reason}"),
        };
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(invalid("the name has to be three or more letters"));
        }
        let mut parser = Parser {
            rest: text.trim(),
            depth: 0,
        };
        let value = parser
            .value(None)
            .filter(|_| parser.rest.trim().is_empty())
            .ok_or_else(|| invalid("the value is none of GVariant's text format"))?;
        let stem = name
            .strip_suffix("Sec")
            .filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase()));
        let Some(stem) = stem else {
            let name = name.to_owned();
            return Ok(Self { name, value });
        };
        let micros = to_micros(&value).ok_or_else(|| invalid("seconds have to be a number"))?;
        Ok(Self {
            name: format!("{stem}USec"),
            value: Value::U64(micros),
        })
    }

    /// Its name on the bus.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn to_micros(seconds: &Value) -> Option<u64> {
    const MICROS: u64 = 1_000_000;
    let whole = match *seconds {
        Value::Byte(n) => n.into(),
        Value::U16(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::U64(n) => n,
        Value::I16(n) => u64::try_from(n).ok()?,
        Value::I32(n) => u64::try_from(n).ok()?,
        Value::I64(n) => u64::try_from(n).ok()?,
        Value::Double(n) if n.is_finite() && (0.0..1e12).contains(&n) => {
            return Some((n * MICROS as f64) as u64);
        }
        _ => return None,
    };
    whole.checked_mul(MICROS)
}

/// The names of types before a value, and their signatures.
const KEYWORDS: [(&str, &str); 12] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

/// How deep a value may be in others: a type, an array, its type, a value.
const DEPTH: u8 = 8;

struct Parser<'a> {
    rest: &'a str,
    depth: u8,
}

impl<'a> Parser<'a> {
    /// A value, of that type if there is one.
    fn value(&mut self, of_type: Option<&str>) -> Option<Value> {
        self.depth += 1;
        let value = (self.depth <= DEPTH).then(|| self.value_here(of_type))?;
        self.depth -= 1;
        value
    }

    fn value_here(&mut self, of_type: Option<&str>) -> Option<Value> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '@' => {
                let signature = self.word(|c| c != ' ')?;
                self.value(Some(&signature[1..]))
            }
            '[' => self.array(of_type),
            '\'' | '"' => text(self.quoted()?, of_type),
            'a'..='z' => {
                let word = self.word(|c| c.is_ascii_alphanumeric())?;
                let truth = matches!(word, "true" | "false");
                if truth && matches!(of_type, None | Some("b")) {
                    return Some(Value::Bool(word == "true"));
                }
                let (_, signature) = KEYWORDS.iter().find(|(keyword, _)| *keyword == word)?;
                let fits = of_type.is_none_or(|wanted| wanted == *signature);
                fits.then(|| self.value(Some(signature)))?
            }
            _ => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))?;
                number(word, of_type)
            }
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word).filter(|word| !word.is_empty())
    }

    fn quoted(&mut self) -> Option<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next()?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    't' => '\t',
                    plain @ ('\\' | '\'' | '"') => plain,
                    _ => return None,
                }),
                // The bus would refuse the whole message.
                '\0' => return None,
                end if end == quote => break,
                other => text.push(other),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    fn array(&mut self, of_type: Option<&str>) -> Option<Value> {
        let mut element = match of_type {
            Some(signature) => Some(signature.strip_prefix('a')?.to_owned()),
            None => None,
        };
        let is_simple = |signature: &str| KEYWORDS.iter().any(|(_, known)| *known == signature);
        self.rest = self.rest[1..].trim_start();
        let mut values = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(']') {
                self.rest = rest;
                break;
            }
            if !values.is_empty() {
                self.rest = self.rest.strip_prefix(',')?;
            }
            let value = self.value(element.as_deref())?;
            // The first one decides what the others are.
            element.get_or_insert_with(|| value.signature());
            values.push(value);
            self.rest = self.rest.trim_start();
        }
        // Without a type nobody can tell what is not in it.
        let element = element.filter(|signature| is_simple(signature))?;
        Some(Value::Array(element, values))
    }
}

fn text(text: String, of_type: Option<&str>) -> Option<Value> {
    match of_type {
        None | Some("s") => Some(Value::Str(text)),
        Some("o") if text.starts_with('/') => Some(Value::ObjectPath(text)),
        _ => None,
    }
}

fn number(word: &str, of_type: Option<&str>) -> Option<Value> {
    // GVariant has plain numbers be of 32 bits, and those with a dot fractions.
    let is_fraction = word.contains(['.', 'e']) && !word.starts_with("0x");
    let of_type = of_type.unwrap_or(if is_fraction { "d" } else { "i" });
    if of_type == "d" {
        let number: f64 = word.parse().ok()?;
        return number.is_finite().then_some(Value::Double(number));
    }
    let whole = match word.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => word.parse::<i128>(),
    }
    .ok()?;
    Some(match of_type {
        "y" => Value::Byte(whole.try_into().ok()?),
        "n" => Value::I16(whole.try_into().ok()?),
        "q" => Value::U16(whole.try_into().ok()?),
        "i" => Value::I32(whole.try_into().ok()?),
        "u" => Value::U32(whole.try_into().ok()?),
        "x" => Value::I64(whole.try_into().ok()?),
        "t" => Value::U64(whole.try_into().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Value> {
        Property::parse("CollectMode", text)
            .ok()
            .map(|property| property.value)
    }

    #[test]
    fn values() {
        let text = |text: &str| Value::Str(text.into());
        let array = |of: &str, values: &[Value]| Value::Array(of.into(), values.into());
        for (given, read) in [
            ("'inactive-or-failed'", text("inactive-or-failed")),
            (r#""it's \"so\"""#, text("it's \"so\"")),
            (r"'a\\b\n'", text("a\\b\n")),
            ("true", Value::Bool(true)),
            ("boolean false", Value::Bool(false)),
            (" 5 ", Value::I32(5)),
            ("-5", Value::I32(-5)),
            ("0x1f", Value::I32(31)),
            ("uint64 123456789012", Value::U64(123_456_789_012)),
            ("@t 7", Value::U64(7)),
            ("byte 255", Value::Byte(255)),
            ("1.5", Value::Double(1.5)),
            ("double 2", Value::Double(2.0)),
            ("objectpath '/a'", Value::ObjectPath("/a".into())),
            ("['a', 'b']", array("s", &[text("a"), text("b")])),
            ("[uint32 1, 2]", array("u", &[Value::U32(1), Value::U32(2)])),
            ("@as []", array("s", &[])),
            ("@ay [1,2]", array("y", &[Value::Byte(1), Value::Byte(2)])),
        ] {
            assert_eq!(value(given), Some(read), "{given}");
        }
        for bad in [
            "",
            "x",
            "'",
            "'a",
            "'a'b",
            "[]",
            "[1,'a']",
            "[1",
            "[,]",
            "byte 256",
            "@",
            "@as",
            "@s 1",
            "uint64 -1",
            "2147483648",
            "true false",
            "int32 'a'",
            "[[1]]",
            "(1,2)",
            "<1>",
            "'\\x'",
            "boolean 1",
            "string true",
            "nan",
            "1e999",
        ] {
            assert_eq!(value(bad), None, "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        for part in ["byte ", "@y ", "[", "@aay ["] {
            assert_eq!(value(&part.repeat(100_000)), None);
        }
    }

    #[test]
    fn seconds_and_names() {
        let named = |name: &str, text: &str| {
            Property::parse(name, text).map(|property| (property.name, property.value))
        };
        for (text, micros) in [("3", 3_000_000), ("uint64 9", 9_000_000), ("0.5", 500_000)] {
            let read = named("TimeoutStopSec", text).unwrap();
            assert_eq!(read, ("TimeoutStopUSec".into(), Value::U64(micros)));
        }
        let kept = named("TimeoutStopUSec", "uint64 3").unwrap();
        assert_eq!(kept, ("TimeoutStopUSec".into(), Value::U64(3)));
        for (name, text) in [
            ("TimeoutStopSec", "'3'"),
            ("XSec", "-1"),
            ("ab", "1"),
            ("a.b", "1"),
            ("", "1"),
        ] {
            if name == "XSec" {
                // Not of a unit file: the letter before is no small one.
                assert!(named(name, text).is_ok());
                continue;
            }
            let error = named(name, text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("systemd property: {name}={text}: ")),
                "{error}"
            );
        }
    }
}
