//! A few requests of `rtnetlink(7)`, on a socket that belongs to the network namespace in which it
//! was opened.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// All objects, not one.
pub(crate) const NLM_F_DUMP: u16 = 0x300;
/// A new object, which must not be there.
pub(crate) const NLM_F_CREATE_NEW: u16 = 0x600;

/// More than the kernel sends at a time.
const BUFFER: usize = 64 * 1024;

/// One request: a fixed structure, then attributes.
#[derive(Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// `kind`: `RTM_*`. `flags`: `NLM_F_*` beside those of every request. `body`: the structure.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        // Sequence number and port: one request at a time, and the kernel knows the socket.
        bytes.extend([0; 8]);
        bytes.extend(body);
        Self(bytes)
    }

    /// Appends an attribute.
    #[must_use]
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend((value.len() as u16 + 4).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// An object of an answer: its structure and attributes.
#[derive(Debug)]
pub(crate) struct Object(Vec<u8>);

impl Object {
    /// The structure's first bytes.
    pub(crate) fn body(&self, len: usize) -> Option<&[u8]> {
        self.0.get(..len)
    }

    /// Kinds and values of the attributes behind a structure of `len` bytes.
    pub(crate) fn attributes(&self, len: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.0.get(len..).unwrap_or_default();
        std::iter::from_fn(move || {
            let size = usize::from(word(rest, 0)?);
            let kind = word(rest, 2)?;
            let value = rest.get(4..size)?;
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

/// A socket to the kernel.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// In this thread's network namespace, for as long as the socket lives.
    pub(crate) fn open() -> io::Result<Self> {
        // NETLINK_ROUTE is the protocol with number 0.
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        Ok(Self(socket))
    }

    /// Sends a request and waits for its answer: the objects that it asked for.
    pub(crate) fn ask(&self, request: Request) -> io::Result<Vec<Object>> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &request.finish(), SendFlags::empty(), &kernel)?;
        let mut objects = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let (received, _) =
                rustix::io::retry_on_intr(|| recv(&self.0, &mut buffer[..], RecvFlags::empty()))?;
            if take(&buffer[..received], &mut objects)? {
                return Ok(objects);
            }
        }
    }
}

/// Takes the messages of one datagram; says whether the answer is complete.
fn take(mut datagram: &[u8], objects: &mut Vec<Object>) -> io::Result<bool> {
    while let (Some(len), Some(kind)) = (long(datagram, 0), word(datagram, 4)) {
        let message = datagram.get(HEADER..len as usize);
        let message = message.ok_or(Errno::PROTO)?;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let errno = long(message, 0).ok_or(Errno::PROTO)?.cast_signed();
                return match errno {
                    0 => Ok(true),
                    errno => Err(io::Error::from_raw_os_error(-errno)),
                };
            }
            _ => objects.push(Object(message.to_vec())),
        }
        let next = (len as usize).next_multiple_of(4);
        datagram = datagram.get(next..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_found_and_a_missing_one_is_not() {
        const RTM_GETLINK: u16 = 18;
        const IFLA_IFNAME: u16 = 3;
        let ask = |name: &str| {
            let body = [0; 16];
            let request = Request::new(RTM_GETLINK, 0, &body).with(IFLA_IFNAME, name.as_bytes());
            Netlink::open().unwrap().ask(request)
        };
        let found = ask("lo\0").unwrap();
        let name = found[0]
            .attributes(16)
            .find(|(kind, _)| *kind == IFLA_IFNAME);
        assert_eq!(name.unwrap().1, b"lo\0");
        let error = ask("no-such-device\0").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn what_is_cut_short_is_no_panic() {
        for len in 0..40 {
            let _ = take(&vec![0xff; len], &mut Vec::new());
            let object = Object(vec![3; len]);
            object.attributes(8).for_each(drop);
        }
    }
}
