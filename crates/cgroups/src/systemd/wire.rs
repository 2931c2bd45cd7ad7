//! D-Bus messages (the D-Bus specification, "Message Protocol"), as far as the
//! few calls to systemd need them: little-endian, without file descriptors.

/// The largest message that is accepted. systemd's answers here are far smaller.
pub(super) const MAX_MESSAGE: usize = 1 << 20;

/// The part of a message that has always the same length.
pub(super) const FIXED_HEADER: usize = 16;

/// The value of a unit's property.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Str(String),
    ObjectPath(String),
    Bool(bool),
    Byte(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    U32s(Vec<u32>),
    Bytes(Vec<u8>),
    /// Pairs of texts, `a(ss)`.
    Pairs(Vec<(String, String)>),
    /// Values of one type, which is given by its signature.
    Array(String, Vec<Value>),
}

impl Value {
    pub(super) fn signature(&self) -> String {
        let fixed = match self {
            Self::Str(_) => "s",
            Self::ObjectPath(_) => "o",
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::I16(_) => "n",
            Self::U16(_) => "q",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::Double(_) => "d",
            Self::U32s(_) => "au",
            Self::Bytes(_) => "ay",
            Self::Pairs(_) => "a(ss)",
            Self::Array(element, _) => return format!("a{element}"),
        };
        fixed.to_owned()
    }
}

/// How values of a type with that signature are aligned.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// Writes values with their alignment.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    fn length(&mut self, value: usize) {
        // Messages that would overflow it are refused before they are sent.
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    pub(super) fn string(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        // Signatures here are short and fixed.
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// An array: its length does not count the padding before the first element.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, list: &[u8]) {
        self.array(1, |writer| writer.bytes.extend(list));
    }

    pub(super) fn empty_array(&mut self, alignment: usize) {
        self.array(alignment, |_| {});
    }

    /// `a(sv)`
    pub(super) fn properties(&mut self, properties: &[(&str, Value)]) {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8);
                writer.string(name);
                writer.variant(value);
            }
        });
    }

    fn variant(&mut self, value: &Value) {
        self.signature(&value.signature());
        self.value(value);
    }

    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.bytes.extend(bytes);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Str(text) | Value::ObjectPath(text) => self.string(text),
            Value::Bool(value) => self.boolean(*value),
            Value::Byte(value) => self.fixed([*value]),
            Value::I16(value) => self.fixed(value.to_le_bytes()),
            Value::U16(value) => self.fixed(value.to_le_bytes()),
            Value::I32(value) => self.fixed(value.to_le_bytes()),
            Value::U32(value) => self.fixed(value.to_le_bytes()),
            Value::I64(value) => self.fixed(value.to_le_bytes()),
            Value::U64(value) => self.fixed(value.to_le_bytes()),
            Value::Double(value) => self.fixed(value.to_le_bytes()),
            Value::U32s(list) => self.array(4, |w| list.iter().for_each(|value| w.u32(*value))),
            Value::Bytes(list) => self.bytes(list),
            Value::Pairs(list) => self.array(8, |w| {
                for (first, second) in list {
                    w.align(8);
                    w.string(first);
                    w.string(second);
                }
            }),
            Value::Array(element, list) => self.array(alignment(element), |w| {
                list.iter().for_each(|value| w.value(value));
            }),
        }
    }
}

/// Whom a call goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) destination: &'a str,
    pub(super) object: &'a str,
    pub(super) interface: &'a str,
    pub(super) method: &'a str,
}

/// A method call, ready to be sent.
pub(super) fn call(serial: u32, target: Target<'_>, signature: &str, body: &Writer) -> Vec<u8> {
    let mut message = Writer::default();
    // Little-endian, a method call, no flags, protocol 1.
    message.bytes.extend([b'l', 1, 0, 1]);
    message.length(body.bytes.len());
    message.u32(serial);
    let fields = [
        (1, "o", target.object),
        (2, "s", target.interface),
        (3, "s", target.method),
        (6, "s", target.destination),
    ];
    message.array(8, |writer| {
        for (code, kind, text) in fields {
            writer.align(8);
            writer.bytes.push(code);
            writer.signature(kind);
            writer.string(text);
        }
        if !signature.is_empty() {
            writer.align(8);
            writer.bytes.push(8);
            writer.signature("g");
            writer.signature(signature);
        }
    });
    message.align(8);
    message.bytes.extend(&body.bytes);
    message.bytes
}

/// What kind of message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reply,
    Error,
    Signal,
    Other,
}

/// A message received, taken apart.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) reply_to: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) signature: String,
    body: Vec<u8>,
}

/// The length of the whole message that begins with these bytes; `None` if it is
/// of a form that is not understood, or too long.
pub(super) fn message_length(fixed: &[u8; FIXED_HEADER]) -> Option<usize> {
    let mut reader = Reader {
        bytes: fixed,
        at: 4,
    };
    let (body, _serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let fields = usize::try_from(fields).ok()?;
    let total = FIXED_HEADER
        .checked_add(fields)?
        .checked_next_multiple_of(8)?;
    let total = total.checked_add(usize::try_from(body).ok()?)?;
    (fixed[0] == b'l' && fixed[3] == 1 && total <= MAX_MESSAGE).then_some(total)
}

impl Message {
    /// Takes a whole message apart.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 4 };
        let body_length = usize::try_from(reader.u32()?).ok()?;
        let _serial = reader.u32()?;
        let fields_end = usize::try_from(reader.u32()?)
            .ok()?
            .checked_add(FIXED_HEADER)?;
        let kind = match bytes.get(1)? {
            2 => Kind::Reply,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut message = Self {
            kind,
            reply_to: None,
            member: String::new(),
            error: String::new(),
            signature: String::new(),
            body: Vec::new(),
        };
        while reader.at < fields_end {
            reader.align(8)?;
            let code = reader.byte()?;
            let signature = reader.signature()?;
            match (code, signature) {
                (5, "u") => message.reply_to = Some(reader.u32()?),
                (3, "s") => message.member = reader.string()?.to_owned(),
                (4, "s") => message.error = reader.string()?.to_owned(),
                (8, "g") => message.signature = reader.signature()?.to_owned(),
                (_, "s" | "o") => drop(reader.string()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.u32()?),
                _ => return None,
            }
        }
        reader.align(8)?;
        let end = reader.at.checked_add(body_length)?;
        message.body = bytes.get(reader.at..end)?.to_vec();
        Some(message)
    }

    /// A reader of the body.
    pub(super) fn body(&self) -> Reader<'_> {
        Reader {
            bytes: &self.body,
            at: 0,
        }
    }
}

/// Reads values with their alignment; everything is checked against the end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn string(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    pub(super) fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
