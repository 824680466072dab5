//! What a Linux process has open: files of the tree, ends of pipes, an empty input, and its output.

use crate::errno::Errno;
use crate::output::Output;
use crate::pipe::{Pipes, Reader, Writer};
use crate::records::{MODE_DEVICE, MODE_DIRECTORY, MODE_FILE, MODE_PIPE, Status};
use crate::tree::{Kind, Node, Tree};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// How many descriptors there are.
pub(crate) const DESCRIPTORS: usize = 256;

/// The number of the device `/dev/null`.
const NULL_DEVICE: u64 = 0x103;

/// What is behind a descriptor; several can share it, and their position in it.
pub(crate) struct Open<'a> {
    pub(crate) what: What<'a>,
    pub(crate) position: Cell<u64>,
    /// Whether calls fail rather than wait (`O_NONBLOCK`).
    pub(crate) never_waits: Cell<bool>,
}

/// See above.
pub(crate) enum What<'a> {
    /// Nothing to read.
    Input,
    /// Where to write.
    Output(Output),
    /// The ends of a pipe.
    Reader(Reader),
    Writer(Writer),
    /// A file.
    Node(Node<'a>),
}

impl<'a> Open<'a> {
    fn new(what: What<'a>) -> Rc<Open<'a>> {
        Rc::new(Open { what, position: Cell::new(0), never_waits: Cell::new(false) })
    }

    /// The bytes of a file from a position on.
    pub(crate) fn bytes_from(&self, position: u64) -> Result<&'a [u8], Errno> {
        match &self.what {
            What::Input => Ok(&[]),
            What::Output(_) | What::Reader(_) | What::Writer(_) => Err(Errno::EBADF),
            What::Node(Node { kind: Kind::Directory, .. }) => Err(Errno::EISDIR),
            What::Node(Node { kind: Kind::Null, .. }) => Ok(&[]),
            What::Node(Node { kind: Kind::File(bytes), .. }) => {
                Ok(&bytes[usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()))..])
            }
        }
    }

    /// What `fstat` tells.
    pub(crate) fn status(&self) -> Status {
        match &self.what {
            What::Input | What::Output(_) | What::Reader(_) | What::Writer(_) => {
                Status { number: 0, mode: MODE_PIPE, size_bytes: 0, device: 0 }
            }
            What::Node(node) => status_of(node),
        }
    }
}

/// What `stat` tells.
pub(crate) fn status_of(node: &Node<'_>) -> Status {
    let (mode, size_bytes, device) = match node.kind {
        Kind::File(bytes) => (MODE_FILE, bytes.len() as u64, 0),
        Kind::Directory => (MODE_DIRECTORY, 0, 0),
        Kind::Null => (MODE_DEVICE, 0, NULL_DEVICE),
    };
    Status { number: node.number, mode, size_bytes, device }
}

/// A descriptor.
#[derive(Clone)]
struct Descriptor<'a> {
    open: Rc<Open<'a>>,
    /// Whether another program, which the process becomes, does not have it (`FD_CLOEXEC`).
    is_own: bool,
}

/// Descriptors, and the directory from which paths count. A copy is the same, as threads have them; a child has what `fork` gives.
#[derive(Clone)]
pub(crate) struct Files<'a> {
    tree: &'a Tree<'a>,
    pipes: Rc<Pipes>,
    shared: Rc<RefCell<Shared<'a>>>,
}

#[derive(Clone)]
struct Shared<'a> {
    open: Vec<Option<Descriptor<'a>>>,
    directory: String,
}

impl<'a> Files<'a> {
    /// Input, and output twice.
    pub(crate) fn new(tree: &'a Tree<'a>, output: &Output) -> Files<'a> {
        let all = [What::Input, What::Output(output.clone()), What::Output(output.clone())];
        let open = all.map(|what| Some(Descriptor { open: Open::new(what), is_own: false }));
        let shared = Shared { open: Vec::from(open), directory: String::new() };
        Files { tree, pipes: Rc::new(Pipes::default()), shared: Rc::new(RefCell::new(shared)) }
    }

    /// The same descriptors, of which each side closes its own.
    pub(crate) fn fork(&self) -> Files<'a> {
        let shared = self.shared.borrow().clone();
        Files { tree: self.tree, pipes: self.pipes.clone(), shared: Rc::new(RefCell::new(shared)) }
    }

    /// All files.
    pub(crate) fn tree(&self) -> &'a Tree<'a> {
        self.tree
    }

    /// What is behind a descriptor.
    pub(crate) fn get(&self, descriptor: u64) -> Result<Rc<Open<'a>>, Errno> {
        self.at(descriptor).map(|found| found.open)
    }

    fn at(&self, descriptor: u64) -> Result<Descriptor<'a>, Errno> {
        // Programs hand over an `int`.
        let at = descriptor as u32 as usize;
        self.shared.borrow().open.get(at).cloned().flatten().ok_or(Errno::EBADF)
    }

    /// Opens a file by the lowest descriptor that is free.
    pub(crate) fn open(&self, node: Node<'a>, is_own: bool) -> Result<u64, Errno> {
        self.add(Descriptor { open: Open::new(What::Node(node)), is_own }, 0)
    }

    /// Opens a pipe: first the descriptor to read, then the one to write.
    pub(crate) fn open_pipe(&self, is_own: bool, never_waits: bool) -> Result<[u64; 2], Errno> {
        let (reader, writer) = self.pipes.open()?;
        let [reader, writer] = [What::Reader(reader), What::Writer(writer)].map(|what| {
            let open = Open::new(what);
            open.never_waits.set(never_waits);
            Descriptor { open, is_own }
        });
        let first = self.add(reader, 0)?;
        match self.add(writer, 0) {
            Ok(second) => Ok([first, second]),
            Err(error) => {
                self.close(first)?;
                Err(error)
            }
        }
    }

    /// Another descriptor for what is behind one, from a number on.
    pub(crate) fn duplicate(&self, descriptor: u64, from: u64, is_own: bool) -> Result<u64, Errno> {
        let open = self.get(descriptor)?;
        let from = usize::try_from(from).ok().filter(|from| *from < DESCRIPTORS).ok_or(Errno::EINVAL)?;
        self.add(Descriptor { open, is_own }, from)
    }

    /// The same with exactly this number; what was behind it is closed.
    pub(crate) fn duplicate_to(&self, descriptor: u64, goal: u64, is_own: bool) -> Result<u64, Errno> {
        let open = self.get(descriptor)?;
        let at = usize::try_from(goal).ok().filter(|at| *at < DESCRIPTORS).ok_or(Errno::EBADF)?;
        self.put(at, Descriptor { open, is_own });
        Ok(goal)
    }

    /// Whether a program that the process becomes does not have a descriptor.
    pub(crate) fn is_own(&self, descriptor: u64) -> Result<bool, Errno> {
        self.at(descriptor).map(|found| found.is_own)
    }

    /// Says so.
    pub(crate) fn set_own(&self, descriptor: u64, is_own: bool) -> Result<(), Errno> {
        let found = Descriptor { is_own, ..self.at(descriptor)? };
        self.put(descriptor as u32 as usize, found);
        Ok(())
    }

    /// The process becomes another program.
    pub(crate) fn close_own(&self) {
        let open = &mut self.shared.borrow_mut().open;
        open.iter_mut().filter(|each| each.as_ref().is_some_and(|found| found.is_own)).for_each(|each| *each = None);
    }

    /// Closes a descriptor.
    pub(crate) fn close(&self, descriptor: u64) -> Result<u64, Errno> {
        self.at(descriptor)?;
        self.shared.borrow_mut().open[descriptor as u32 as usize] = None;
        Ok(0)
    }

    /// The file at a path, which counts from a descriptor's directory, or with none from the program's.
    pub(crate) fn find(&self, from: Option<u64>, path: &str) -> Result<Node<'a>, Errno> {
        match from {
            Some(descriptor) if !path.starts_with('/') => match &self.get(descriptor)?.what {
                What::Node(node) if node.kind == Kind::Directory => self.tree.find(&node.path, path),
                _ => Err(Errno::ENOTDIR),
            },
            _ => self.tree.find(&self.shared.borrow().directory, path),
        }
    }

    /// The path of the program's directory, without its first slash.
    pub(crate) fn directory(&self) -> String {
        self.shared.borrow().directory.clone()
    }

    /// Changes the program's directory.
    pub(crate) fn enter(&self, path: &str) -> Result<u64, Errno> {
        let node = self.find(None, path)?;
        if node.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.shared.borrow_mut().directory = node.path;
        Ok(0)
    }

    fn add(&self, descriptor: Descriptor<'a>, from: usize) -> Result<u64, Errno> {
        let is_free = |at: &usize| self.shared.borrow().open.get(*at).is_none_or(Option::is_none);
        let at = (from..DESCRIPTORS).find(is_free).ok_or(Errno::EMFILE)?;
        self.put(at, descriptor);
        Ok(at as u64)
    }

    fn put(&self, at: usize, descriptor: Descriptor<'a>) {
        let open = &mut self.shared.borrow_mut().open;
        let length = open.len().max(at + 1);
        open.resize(length, None);
        open[at] = Some(descriptor);
    }
}
