//! Ways of sending a file: `cargo bench --package hurricane-benches --bench sending`.
//!
//! CPU time of a thread that sends a head and a body over loopback to one that reads, and of both
//! together, by length; the next is sent when one was read whole. The ways take turns, so that whatever slows the machine down slows all of them; what is printed
//! is the median over the rounds, in microseconds, and as a share of `sendfile`.
//!
//! On loopback there is no card that could read pages by itself: the kernel copies what a zero-copy
//! send has pinned when it arrives, partly at the reader's expense.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use io_uring::{IoUring, cqueue, opcode, types};
use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::pipe;

const LENGTHS: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const HEAD_BYTES: usize = 256;
const ROUNDS: usize = 7;
/// Sent in each round by each way: enough for a clock of microseconds.
const ROUND_BYTES: usize = 64 << 20;
const ROUND_TIMES_MAX: usize = 4_000;
/// A pipe holds so much at once where an unprivileged process may ask for it.
const PIPE_BYTES: i32 = 1 << 20;

/// Whose time is told.
const CLOCKS: [(ClockId, &str); 2] =
    [(ClockId::CLOCK_THREAD_CPUTIME_ID, "sender"), (ClockId::CLOCK_PROCESS_CPUTIME_ID, "both")];

/// `IORING_CQE_F_NOTIF`: the buffer is ours again.
const NOTIFICATION: u32 = 1 << 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Head and body from memory in one call.
    Memory,
    /// Head, then the page cache's own pages.
    Sendfile,
    /// The same, with the head held back to leave with them (MSG_MORE), as in all ways below.
    Together,
    /// Head, then the pages by a pipe.
    Splice,
    /// Head, then a copy that is read into a buffer.
    Read,
    /// Head, then a ring's zero-copy send of a buffer.
    ZeroCopy,
    /// Likewise of a registered buffer, which need not be pinned each time.
    Registered,
}

const WAYS: [Way; 7] = [
    Way::Memory,
    Way::Sendfile,
    Way::Together,
    Way::Splice,
    Way::Read,
    Way::ZeroCopy,
    Way::Registered,
];

fn main() -> anyhow::Result<()> {
    let mut measured = Vec::new();
    for length in LENGTHS {
        let mut sender = Sender::new(length)?;
        let rounds: anyhow::Result<Vec<Vec<[f64; 2]>>> =
            (0..ROUNDS).map(|_| WAYS.iter().map(|way| sender.round(*way)).collect()).collect();
        measured.push((length, rounds?));
    }
    let mut out = io::stdout().lock();
    for (clock, whose) in CLOCKS.iter().enumerate() {
        write!(out, "\n{:>8}", whose.1)?;
        for way in WAYS {
            write!(out, "{:>15}", format!("{way:?}").to_lowercase())?;
        }
        writeln!(out)?;
        for (length, rounds) in &measured {
            write!(out, "{length:>8}")?;
            for column in 0..WAYS.len() {
                let cost = median(rounds.iter().map(|row| row[column][clock]));
                let share = median(rounds.iter().map(|row| row[column][clock] / row[1][clock]));
                write!(out, "{:>15}", format!("{cost:.1} ({share:.2})"))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Sender {
    socket: TcpStream,
    /// Head and body.
    answer: Vec<u8>,
    file: File,
    /// The file's bytes.
    body: Vec<u8>,
    /// What is read anew for each response.
    scratch: Vec<u8>,
    pipe: (OwnedFd, OwnedFd),
    ring: IoUring,
}

impl Sender {
    fn new(length: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        socket.set_nodelay(true)?;
        let (mut reader, _) = listener.accept()?;
        thread::spawn(move || {
            let mut taken = vec![0; HEAD_BYTES + length];
            // As a client that asks for the next one.
            while reader.read_exact(&mut taken).is_ok() && reader.write_all(b"?").is_ok() {}
        });
        let body = vec![b'x'; length];
        let mut file = tempfile::tempfile()?;
        file.write_all(&body)?;
        let pipe = pipe()?;
        // Else it holds 64 KiB, and a longer body takes more turns.
        let _ = nix::fcntl::fcntl(&pipe.1, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8)?;
        let sender = Self {
            socket,
            answer: [&[b'h'; HEAD_BYTES], body.as_slice()].concat(),
            file,
            scratch: body.clone(),
            body,
            pipe,
            ring,
        };
        sender.register().context("the body cannot be registered as a buffer")?;
        Ok(sender)
    }

    #[expect(unsafe_code, reason = "the ring takes pointers")]
    fn register(&self) -> io::Result<()> {
        let (iov_base, iov_len) = (self.body.as_ptr().cast_mut().cast(), self.body.len());
        // SAFETY: the body is neither moved nor freed before the ring.
        unsafe { self.ring.submitter().register_buffers(&[libc::iovec { iov_base, iov_len }]) }
    }

    /// Microseconds for one response, by each clock.
    fn round(&mut self, way: Way) -> anyhow::Result<[f64; 2]> {
        let times = (ROUND_BYTES / self.body.len()).min(ROUND_TIMES_MAX);
        let before = cpu()?;
        for _ in 0..times {
            self.send(way)?;
            self.socket.read_exact(&mut [0])?;
        }
        let after = cpu()?;
        let each = |clock: usize| (after[clock] - before[clock]).as_secs_f64();
        Ok([each(0), each(1)].map(|seconds| seconds * 1e6 / times as f64))
    }

    fn send(&mut self, way: Way) -> anyhow::Result<()> {
        let length = self.body.len();
        if way == Way::Memory {
            return self.push(&self.answer, 0);
        }
        let more = if way == Way::Sendfile { 0 } else { libc::MSG_MORE };
        self.push(&self.answer[..HEAD_BYTES], more)?;
        match way {
            Way::Memory => Ok(()),
            Way::Sendfile | Way::Together => self.sendfile(),
            Way::Splice => self.splice(),
            Way::Read => {
                let read = std::os::unix::fs::FileExt::read_at(&self.file, &mut self.scratch, 0)?;
                whole(read, length)?;
                self.push(&self.scratch, 0)
            }
            Way::ZeroCopy => self.zero_copy(None),
            Way::Registered => self.zero_copy(Some(0)),
        }
    }

    /// Another turn where a completion of the ring has cut one short, as a signal would.
    fn push(&self, mut bytes: &[u8], flags: i32) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let flags = MsgFlags::from_bits_retain(flags);
            bytes = &bytes[send(self.socket.as_raw_fd(), bytes, flags)?..];
        }
        Ok(())
    }

    fn sendfile(&self) -> anyhow::Result<()> {
        let mut at = 0;
        while (at as usize) < self.body.len() {
            let left = self.body.len() - at as usize;
            sendfile64(self.socket.as_fd(), self.file.as_fd(), Some(&mut at), left)?;
        }
        Ok(())
    }

    fn splice(&self) -> anyhow::Result<()> {
        let mut at = 0;
        while (at as usize) < self.body.len() {
            let left = self.body.len() - at as usize;
            let flags = SpliceFFlags::SPLICE_F_MOVE;
            let taken = splice(&self.file, Some(&mut at), &self.pipe.1, None, left, flags)?;
            let mut given = 0;
            while given < taken {
                given += splice(&self.pipe.0, None, &self.socket, None, taken - given, flags)?;
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "the ring takes pointers")]
    fn zero_copy(&mut self, registered: Option<u16>) -> anyhow::Result<()> {
        let file = types::Fd(self.socket.as_raw_fd());
        let length = u32::try_from(self.body.len())?;
        let entry = opcode::SendZc::new(file, self.body.as_ptr(), length)
            .buf_index(registered)
            .flags(libc::MSG_WAITALL)
            .build();
        // SAFETY: the body lives as long as the ring, and nobody writes to it.
        unsafe { self.ring.submission().push(&entry) }?;
        let mut is_released = false;
        while !is_released {
            self.ring.submit_and_wait(1)?;
            for completion in self.ring.completion() {
                if completion.flags() & NOTIFICATION != 0 {
                    is_released = true;
                    continue;
                }
                let sent = completion.result();
                ensure!(sent >= 0, io::Error::from_raw_os_error(-sent));
                whole(sent as usize, self.body.len())?;
                is_released |= !cqueue::more(completion.flags());
            }
        }
        Ok(())
    }
}

fn whole(sent: usize, length: usize) -> anyhow::Result<()> {
    if sent != length {
        bail!("{sent} of {length} bytes were taken");
    }
    Ok(())
}

fn cpu() -> anyhow::Result<[Duration; 2]> {
    let read = |clock| clock_gettime(clock).map(Duration::from);
    Ok([read(CLOCKS[0].0)?, read(CLOCKS[1].0)?])
}
