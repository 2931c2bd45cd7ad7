//! The socket to the caller: the program comes in, records go out.

use crate::execute::Slots;
use crate::image::allocate;
use crate::report::{Kind, Part, Record};
use crate::sys::{self, Errno, Fd};
use crate::wire::{MAX_MESSAGE, MAX_TASKS, MORE, OWN};
use crate::{EXIT_FAILED, Failure};

/// The mapped program's descriptor and its length in bytes.
pub struct Received {
    pub program: Fd,
    pub len: usize,
    /// Whether this process alone executes it.
    pub own: bool,
}

pub struct Control {
    socket: Fd,
    /// Index of the operation that runs, for the record if it fails.
    pub op: u32,
    buffer: Option<&'static mut [u8]>,
    state_len: usize,
    given: Given,
}

/// What comes when the caller has made it, whatever else is waited for.
struct Given {
    /// The `tasks` files of the cgroup.
    tasks: Option<usize>,
    files: [Fd; MAX_TASKS],
    /// The start gate.
    gate: Option<Fd>,
}

impl Control {
    pub fn new(number: i32) -> Self {
        Self { socket: Fd(number), op: 0, buffer: None, state_len: 0, given: Given { tasks: None, files: [Fd(-1); MAX_TASKS], gate: None } }
    }

    /// Receives the descriptors. Each message says the program's length, whether more follow, and whether
    /// the program is this process's own; the first descriptor of all is the program.
    pub fn receive_program(&mut self, slots: &mut Slots) -> sys::Result<Received> {
        let mut program = None;
        loop {
            let mut message = [0u8; 8];
            let mut overflow = None;
            let socket = self.socket;
            let received = sys::receive(socket, &mut message, |fd| {
                let placed = above_stdio(fd, socket).and_then(|fd| match program {
                    None => {
                        program = Some(fd);
                        Ok(())
                    }
                    Some(_) => slots.push(fd),
                });
                overflow = overflow.or(placed.err());
            })?;
            if let Some(errno) = overflow {
                return Err(errno);
            }
            if received == 0 {
                sys::exit(EXIT_FAILED);
            }
            let [len, flags] = halves(message);
            if flags & MORE == 0 {
                let program = program.ok_or(Errno::PROTO)?;
                return Ok(Received { program, len: len as usize, own: flags & OWN != 0 });
            }
        }
    }

    /// The first descriptor number that is not the program's own.
    pub fn first_free(&self) -> Fd {
        Fd(self.socket.0 + 1)
    }

    fn record(&self, kind: Kind, value: i32, part: Part) -> Record {
        Record { kind, op: self.op, value, part }
    }

    /// Sends a record; with a descriptor if one is given.
    pub fn send(&self, kind: Kind, value: i32, passed: Option<Fd>) -> sys::Result<()> {
        let bytes = self.record(kind, value, Part::Call).to_bytes();
        match passed {
            Some(_) => sys::send(self.socket, &bytes, passed),
            None => sys::write(self.socket, &bytes).map(|_| ()),
        }
    }

    /// Reports what failed, and ends. Plain `write(2)`, since a loaded filter may forbid the rest.
    pub fn fail(&self, failure: Failure) -> ! {
        let record = self.record(Kind::Failed, failure.errno, failure.part);
        let _ = sys::write(self.socket, &record.to_bytes());
        sys::exit(EXIT_FAILED)
    }

    pub fn fail_start(&self, errno: Errno) -> ! {
        self.fail(Failure { errno: errno.0, part: Part::Program })
    }

    /// Waits for the caller to say that this goes on. A caller that died takes the container along.
    pub fn wait_continue(&mut self) -> sys::Result<()> {
        match self.read_continue()? {
            true => Ok(()),
            false => sys::exit(EXIT_FAILED),
        }
    }

    /// Tells the caller the number of a filter's listener, and waits until it has taken that.
    ///
    /// The filter holds by now: `write(2)`, which it must not notify of, and `read(2)`, which it may.
    pub fn hand_over(&self, listener: Fd) -> sys::Result<()> {
        let record = self.record(Kind::Listener, listener.0, Part::Call);
        sys::write(self.socket, &record.to_bytes())?;
        let mut answer = [0; Record::SIZE];
        match sys::read(self.socket, &mut answer)? {
            0 => sys::exit(EXIT_FAILED),
            _ => Ok(()),
        }
    }

    /// Waits for the `tasks` files of the cgroup, of which there must be so many.
    pub fn wait_tasks(&mut self, count: u32) -> sys::Result<&[Fd]> {
        loop {
            match self.given.tasks {
                Some(here) if here == count as usize => return Ok(&self.given.files[..here]),
                Some(_) => return Err(Errno::PROTO),
                None => self.wait_given()?,
            }
        }
    }

    /// Waits for the start gate.
    pub fn wait_gate(&mut self) -> sys::Result<Fd> {
        loop {
            match self.given.gate {
                Some(gate) => return Ok(gate),
                None => self.wait_given()?,
            }
        }
    }

    /// Waits for something that is given.
    fn wait_given(&mut self) -> sys::Result<()> {
        match self.read()? {
            Some(Kind::Tasks | Kind::Gate) => Ok(()),
            Some(_) => Err(Errno::PROTO),
            None => sys::exit(EXIT_FAILED),
        }
    }

    fn read_continue(&mut self) -> sys::Result<bool> {
        loop {
            match self.read()? {
                Some(Kind::Continue) => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// Reads a record, and keeps what comes with it; `None` when the caller is gone.
    fn read(&mut self) -> sys::Result<Option<Kind>> {
        let buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => allocate(MAX_MESSAGE)?,
        };
        let socket = self.socket;
        let mut files = [Fd(-1); MAX_TASKS];
        let (mut passed, mut failed) = (0, None);
        let received = sys::receive(socket, buffer, |fd| match (above_stdio(fd, socket), files.get_mut(passed)) {
            (Ok(fd), Some(file)) => {
                *file = fd;
                passed += 1;
            }
            (Ok(_), None) => failed = Some(Errno::PROTO),
            (Err(errno), _) => failed = Some(errno),
        });
        let len = match received {
            Ok(0) | Err(Errno::CONNRESET) => 0,
            received => received?,
        };
        let record = Record::from_bytes(&buffer[..len]);
        self.buffer = Some(buffer);
        if len == 0 {
            return Ok(None);
        }
        if let Some(errno) = failed {
            return Err(errno);
        }
        let kind = record.ok_or(Errno::PROTO)?.kind;
        match (kind, passed) {
            (Kind::Tasks, _) if self.given.tasks.is_none() => {
                self.given.files = files;
                self.given.tasks = Some(passed);
            }
            (Kind::Gate, 1) if self.given.gate.is_none() => self.given.gate = Some(files[0]),
            (Kind::Continue, 0) => {
                if len > Record::SIZE {
                    self.state_len = len - Record::SIZE;
                }
            }
            _ => return Err(Errno::PROTO),
        }
        Ok(Some(kind))
    }

    /// The container's state for hooks, as the caller sent it last.
    pub fn state(&self) -> &[u8] {
        match &self.buffer {
            Some(buffer) => &buffer[Record::SIZE..Record::SIZE + self.state_len],
            None => &[],
        }
    }

    /// Holds nothing but the gate until `start` connects; its connection becomes the control socket.
    pub fn wait_at_gate(&mut self, listener: Fd) -> sys::Result<()> {
        for signal in END_WAITING {
            sys::end_on(signal)?;
        }
        let gate = self.first_free();
        let (socket, beyond) = (self.socket, Fd(gate.0 + 1));
        sys::dup_to(listener, gate, true)?;
        sys::close_from(beyond)?;
        sys::close(socket)?;
        loop {
            // The number of the old control socket is free, so that the connection may get it.
            let connection = sys::accept(gate)?;
            if connection != socket {
                sys::dup_to(connection, socket, true)?;
                sys::close(connection)?;
            }
            match self.read_continue() {
                Ok(true) => return sys::close_from(gate),
                // A `start` that died before it said so: the next one may come.
                Ok(false) | Err(_) => sys::close(socket)?,
            }
        }
    }
}

/// What asks a container to end before it has begun: SIGHUP, SIGINT, SIGQUIT and SIGTERM. Exec gives
/// them their default actions again.
const END_WAITING: [u32; 4] = [1, 2, 3, 15];

fn halves(message: [u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = message;
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

/// Standard descriptors that the caller left closed stay closed.
fn above_stdio(fd: Fd, control: Fd) -> sys::Result<Fd> {
    if fd.0 > control.0 {
        return Ok(fd);
    }
    let moved = sys::dup_above(fd, Fd(control.0 + 1))?;
    sys::close(fd)?;
    Ok(moved)
}
