//! Protocol buffers, as far as criu's requests and answers have use for them
//! (<https://protobuf.dev/programming-guides/encoding/>).

/// A message in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

/// What a field holds, on the wire.
const NUMBER: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    /// A number that is not negative, or a choice.
    pub(super) fn number(&mut self, field: u32, value: u32) {
        self.tag(field, NUMBER);
        self.varint(value.into());
    }

    /// A truth; false, the default everywhere, is left out.
    pub(super) fn flag(&mut self, field: u32, value: bool) {
        if value {
            self.number(field, 1);
        }
    }

    fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(super) fn message(&mut self, field: u32, value: &Message) {
        self.bytes(field, &value.0);
    }
}

/// What a field of a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of fixed size, which criu has no use for.
    Other,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, in their order; it ends after the first that is malformed.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            NUMBER => Value::Number(self.varint()?),
            FIXED_64 => self.take(8).map(|_| Value::Other)?,
            BYTES => {
                let count = self.varint()?;
                Value::Bytes(self.take(count)?)
            }
            FIXED_32 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((u32::try_from(tag >> 3).ok()?, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_the_description_has_them() {
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        message.flag(3, false);
        message.flag(44, true);
        let mut outer = Message::default();
        outer.message(3, &message);
        let expected = [
            &[0x1a, 0x0f, 0x08, 0x96, 0x01, 0x12, 0x07][..],
            b"testing",
            &[0xe0, 0x02, 0x01],
        ];
        assert_eq!(outer.as_bytes(), expected.concat());
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.number(1, u32::MAX);
        message.text(2, "");
        let fields: Vec<_> = Fields::of(message.as_bytes()).collect();
        let expected = [
            Ok((1, Value::Number(u32::MAX.into()))),
            Ok((2, Value::Bytes(b""))),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_no_message_is_an_error_and_the_end() {
        for bytes in [
            &[0x08][..],
            &[0x0b, 1],
            &[0x12, 5, 1],
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ],
            &[0x09, 1, 2, 3],
        ] {
            let fields: Vec<_> = Fields::of(bytes).take(3).collect();
            assert_eq!(fields, [Err(Malformed)], "{bytes:?}");
        }
        let fields: Vec<_> = Fields::of(&[0x0d, 0, 0, 0, 0]).collect();
        assert_eq!(fields, [Ok((1, Value::Other))]);
    }
}
