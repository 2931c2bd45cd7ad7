//! Moves network devices into a container's network namespace (config-linux.md, network devices).
//!
//! A device loses its addresses on the way, so those that somebody gave it are read before and set
//! again after. When the namespace is gone the kernel gives a physical device back to the host, under
//! some name, and destroys a virtual one: so a container that fails gives its devices back before.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Context, Error, Result};
use crate::netlink::{NLM_F_CREATE_NEW, NLM_F_DUMP, Netlink, Object, Request};
use crate::plan::MovedDevice;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFF_UP: u32 = 1;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
/// Sizes of `struct ifinfomsg` and `struct ifaddrmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;

/// An address as it will be set again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    family: u8,
    prefix: u8,
    /// Attributes that say what it is.
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A device as it was on the host.
#[derive(Debug)]
struct Device {
    name: String,
    /// In the container.
    new_name: String,
    was_up: bool,
    addresses: Vec<Address>,
}

/// Devices in a container that does not stand on its own yet: dropped, they go back to the host.
#[derive(Debug)]
pub(crate) struct Moved {
    devices: Vec<Device>,
    home: OwnedFd,
    here: Netlink,
    /// It keeps the container's namespace alive, whatever becomes of the processes in it.
    there: Netlink,
}

/// Moves all of them to the network namespace of a process: the caller's child, not reaped.
pub(crate) fn move_all(devices: &[MovedDevice], pid: i32) -> Result<Moved> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = open_namespace(&path)
        .context(|| format!("open the container's network namespace {path}"))?;
    let own = "/proc/thread-self/ns/net";
    let mut moved = Moved {
        devices: Vec::with_capacity(devices.len()),
        home: open_namespace(own).context(|| format!("open {own}"))?,
        here: Netlink::open().context(|| "open a netlink socket".to_owned())?,
        there: open_in(&namespace)
            .context(|| "open a netlink socket in the container".to_owned())?,
    };
    for device in devices {
        moved.move_one(device, &namespace)?;
    }
    Ok(moved)
}

fn open_namespace(path: &str) -> rustix::io::Result<OwnedFd> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// A socket in another network namespace. A thread of its own enters that: the others stay.
fn open_in(namespace: &OwnedFd) -> io::Result<Netlink> {
    std::thread::scope(|scope| {
        let enter = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind)?;
            Netlink::open()
        };
        std::thread::Builder::new()
            .spawn_scoped(scope, enter)?
            .join()
            .map_err(|_| io::Error::other("the thread that enters the namespace panicked"))?
    })
}

impl Moved {
    /// The container has them for good.
    pub(crate) fn keep(mut self) {
        self.devices.clear();
    }

    fn move_one(&mut self, device: &MovedDevice, namespace: &OwnedFd) -> Result<()> {
        let MovedDevice { name, new_name } = device;
        let failed = |what: String| {
            move |error: io::Error| Error::system(format!("linux.netDevices.{name}: {what}"), error)
        };
        let (here, there) = (&self.here, &self.there);
        let (index, was_up) = find(here, name).map_err(failed("look for the device".to_owned()))?;
        // The kernel would move it first and then fail to rename it; and what is virtual ends with
        // the namespace that it is in.
        if find(there, new_name).is_ok() {
            let taken = io::Error::from_raw_os_error(libc::EEXIST);
            return Err(failed(format!("move it into the container as {new_name}"))(
                taken,
            ));
        }
        let addresses =
            addresses_of(here, index).map_err(failed("read its addresses".to_owned()))?;
        here.ask(to_namespace(index, namespace, new_name))
            .map_err(failed(format!("move it into the container as {new_name}")))?;
        self.devices.push(Device {
            name: name.clone(),
            new_name: new_name.clone(),
            was_up,
            addresses: addresses.clone(),
        });
        let (index, _) = find(there, new_name).map_err(failed(format!("look for {new_name}")))?;
        set_up(there, index, &addresses, true)
            .map_err(|(what, error)| failed(what.to_owned())(error))
    }

    fn give_back(&self, device: &Device) -> io::Result<()> {
        let (index, _) = find(&self.there, &device.new_name)?;
        self.there
            .ask(to_namespace(index, &self.home, &device.name))?;
        let (index, _) = find(&self.here, &device.name)?;
        set_up(&self.here, index, &device.addresses, device.was_up).map_err(|(_, error)| error)
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        for device in self.devices.iter().rev() {
            // Why the container failed is what there is to tell.
            let _ = self.give_back(device);
        }
    }
}

fn to_namespace(index: u32, namespace: &OwnedFd, name: &str) -> Request {
    Request::new(RTM_NEWLINK, 0, &link(index, false))
        .with(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
        .with(IFLA_IFNAME, &c_string(name))
}

/// Gives a device its addresses again, and brings it up; what failed comes with the error.
fn set_up(
    netlink: &Netlink,
    index: u32,
    addresses: &[Address],
    up: bool,
) -> Result<(), (&'static str, io::Error)> {
    for address in addresses {
        netlink
            .ask(address.request(index))
            .map_err(|error| ("set its address again", error))?;
    }
    if up {
        netlink
            .ask(Request::new(RTM_NEWLINK, 0, &link(index, true)))
            .map_err(|error| ("bring it up", error))?;
    }
    Ok(())
}

fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// `struct ifinfomsg`, which asks for the device to go up or leaves its flags alone.
fn link(index: u32, up: bool) -> [u8; LINK] {
    let mut body = [0; LINK];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        body[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        body[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    body
}

/// The device's index, and whether it is up.
fn find(netlink: &Netlink, name: &str) -> io::Result<(u32, bool)> {
    let request = Request::new(RTM_GETLINK, 0, &link(0, false)).with(IFLA_IFNAME, &c_string(name));
    let found = netlink.ask(request)?;
    let described = found.first().and_then(|object| {
        let body = object.body(LINK)?;
        let (index, flags) = (number(body.get(4..8)?)?, number(body.get(8..12)?)?);
        Some((index, flags & IFF_UP != 0))
    });
    described.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// Those that somebody gave it: neither the kernel's own nor any that run out.
fn addresses_of(netlink: &Netlink, index: u32) -> io::Result<Vec<Address>> {
    let all = netlink.ask(Request::new(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS]))?;
    Ok(all
        .iter()
        .filter_map(|object| kept(object, index))
        .collect())
}

fn kept(object: &Object, index: u32) -> Option<Address> {
    let [family, prefix, flags, scope, rest @ ..] = object.body(ADDRESS)? else {
        return None;
    };
    let long = object
        .attributes(ADDRESS)
        .find(|(kind, _)| *kind == IFA_FLAGS);
    let flags = long
        .and_then(|(_, value)| number(value))
        .unwrap_or(u32::from(*flags));
    let permanent = flags & IFA_F_PERMANENT != 0 && *scope == RT_SCOPE_UNIVERSE;
    if number(rest) != Some(index) || !permanent {
        return None;
    }
    let told = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST];
    let attributes = object
        .attributes(ADDRESS)
        .filter(|(kind, _)| told.contains(kind));
    Some(Address {
        family: *family,
        prefix: *prefix,
        attributes: attributes
            .map(|(kind, value)| (kind, value.to_vec()))
            .collect(),
    })
}

impl Address {
    fn request(&self, index: u32) -> Request {
        let mut body = [0; ADDRESS];
        (body[0], body[1], body[3]) = (self.family, self.prefix, RT_SCOPE_UNIVERSE);
        body[4..].copy_from_slice(&index.to_ne_bytes());
        let request = Request::new(RTM_NEWADDR, NLM_F_CREATE_NEW, &body);
        self.attributes
            .iter()
            .fold(request, |request, (kind, value)| request.with(*kind, value))
    }
}
