//! Pipes: bytes on their way from who writes to who reads.

use crate::errno::Errno;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::RefCell;

/// How many bytes can be on their way.
pub const CAPACITY_BYTES: usize = 64 << 10;

/// A write of at most so many bytes is never torn (`PIPE_BUF`).
pub const WHOLE_BYTES: usize = 4096;

#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    is_read: bool,
    is_written: bool,
    /// One of those that there can be.
    _counted: Pipes,
}

/// How many pipes there can be at a time: what is in them takes memory of the supervisor's own.
pub const PIPES: usize = 512;

/// What counts pipes: a copy for each, beside the one that is asked for them.
#[derive(Clone, Debug, Default)]
pub struct Pipes(Rc<()>);

/// Where bytes come out. When it is dropped, nobody will ever read.
#[derive(Debug)]
pub struct Reader(Rc<RefCell<Pipe>>);

/// Where bytes go in. When it is dropped, nothing more will come.
#[derive(Debug)]
pub struct Writer(Rc<RefCell<Pipe>>);

impl Pipes {
    /// A pipe with nothing in it.
    ///
    /// # Errors
    /// `ENFILE` if there are too many.
    pub fn open(&self) -> Result<(Reader, Writer), Errno> {
        if Rc::strong_count(&self.0) > PIPES {
            return Err(Errno::ENFILE);
        }
        let pipe = Pipe { bytes: VecDeque::new(), is_read: true, is_written: true, _counted: self.clone() };
        let pipe = Rc::new(RefCell::new(pipe));
        Ok((Reader(pipe.clone()), Writer(pipe)))
    }
}

impl Reader {
    /// Shows at most so many bytes to `take`, and removes them if that succeeds. Gives how many; none, if nothing more will come.
    ///
    /// # Errors
    /// `RESTART` if nothing has come yet; what `take` fails with.
    pub fn read(&self, most: usize, take: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<usize, Errno> {
        let mut pipe = self.0.borrow_mut();
        if pipe.bytes.is_empty() && pipe.is_written && most > 0 {
            return Err(Errno::RESTART);
        }
        let count = most.min(pipe.bytes.len());
        take(&pipe.bytes.make_contiguous()[..count])?;
        pipe.bytes.drain(..count);
        Ok(count)
    }

    /// Whether there is something to be read.
    pub fn has_bytes(&self) -> bool {
        !self.0.borrow().bytes.is_empty()
    }

    /// Whether nobody writes any more.
    pub fn is_at_end(&self) -> bool {
        !self.0.borrow().is_written
    }
}

impl Writer {
    /// How many of so many bytes are taken now: all, if they are few.
    ///
    /// # Errors
    /// `EPIPE` if nobody will read them; `RESTART` if there is no room.
    pub fn accepts(&self, length_bytes: u64) -> Result<u64, Errno> {
        let pipe = self.0.borrow();
        if !pipe.is_read {
            return Err(Errno::EPIPE);
        }
        let room = (CAPACITY_BYTES - pipe.bytes.len()) as u64;
        let is_short = length_bytes <= WHOLE_BYTES as u64;
        if length_bytes > 0 && (room == 0 || is_short && length_bytes > room) {
            return Err(Errno::RESTART);
        }
        Ok(length_bytes.min(room))
    }

    /// Takes so many of the bytes, and says how many.
    ///
    /// # Errors
    /// As [`Writer::accepts`].
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let count = self.accepts(bytes.len() as u64)? as usize;
        self.0.borrow_mut().bytes.extend(&bytes[..count]);
        Ok(count)
    }

    /// Whether a short write finds room.
    pub fn has_room(&self) -> bool {
        self.0.borrow().bytes.len() + WHOLE_BYTES <= CAPACITY_BYTES
    }

    /// Whether nobody reads any more.
    pub fn is_broken(&self) -> bool {
        !self.0.borrow().is_read
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        pipe.is_read = false;
        pipe.bytes = VecDeque::new();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.borrow_mut().is_written = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY_BYTES, PIPES, Pipes, Reader, WHOLE_BYTES, Writer};
    use crate::errno::Errno;

    fn pipe() -> (Reader, Writer) {
        Pipes::default().open().expect("it is the first")
    }

    fn read(reader: &Reader, most: usize) -> Result<Vec<u8>, Errno> {
        let mut found = Vec::new();
        reader.read(most, |bytes| {
            found.extend(bytes);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn bytes_come_out_in_their_order() {
        let (reader, writer) = pipe();
        assert_eq!(read(&reader, 1), Err(Errno::RESTART));
        assert_eq!(read(&reader, 0).as_deref(), Ok(&b""[..]));
        assert_eq!((writer.write(b"abc"), writer.write(b"de")), (Ok(3), Ok(2)));
        assert_eq!((read(&reader, 2).as_deref(), read(&reader, 9).as_deref()), (Ok(&b"ab"[..]), Ok(&b"cde"[..])));
        assert_eq!(writer.write(b"f"), Ok(1));
        drop(writer);
        assert!(reader.is_at_end() && reader.has_bytes());
        assert_eq!((read(&reader, 9).as_deref(), read(&reader, 9).as_deref()), (Ok(&b"f"[..]), Ok(&b""[..])));
    }

    #[test]
    fn what_is_not_taken_stays() {
        let (reader, writer) = pipe();
        assert_eq!(writer.write(b"abc"), Ok(3));
        assert_eq!(reader.read(2, |_| Err(Errno::EFAULT)), Err(Errno::EFAULT));
        assert_eq!(read(&reader, 9).as_deref(), Ok(&b"abc"[..]));
    }

    #[test]
    fn who_writes_much_waits_for_room() {
        let (reader, writer) = pipe();
        assert_eq!(writer.write(&[1; CAPACITY_BYTES + 1]), Ok(CAPACITY_BYTES));
        assert_eq!((writer.write(b"x"), writer.write(b""), writer.has_room()), (Err(Errno::RESTART), Ok(0), false));
        assert_eq!(read(&reader, 10).map(|found| found.len()), Ok(10));
        // Few bytes wait until all fit; of many a part is taken.
        assert_eq!(writer.write(&[2; WHOLE_BYTES]), Err(Errno::RESTART));
        assert_eq!(writer.write(&[2; WHOLE_BYTES + 1]), Ok(10));
    }

    #[test]
    fn there_is_an_end_to_pipes() {
        let pipes = Pipes::default();
        let mut all: Vec<_> = (0..PIPES).map(|_| pipes.open().expect("there can be so many")).collect();
        assert_eq!(pipes.open().err(), Some(Errno::ENFILE));
        let (reader, writer) = all.pop().expect("there are some");
        drop(reader);
        assert_eq!(pipes.open().err(), Some(Errno::ENFILE));
        drop(writer);
        assert!(pipes.open().is_ok());
    }

    #[test]
    fn who_writes_for_nobody_is_told() {
        let (reader, writer) = pipe();
        assert!(!writer.is_broken());
        drop(reader);
        assert!(writer.is_broken());
        assert_eq!(writer.write(b"x"), Err(Errno::EPIPE));
    }
}
