//! What a Linux program has open: files of the tree, an empty input, and its output.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use linux::errno::Errno;
use linux::records::{MODE_DEVICE, MODE_DIRECTORY, MODE_FILE, MODE_PIPE, Status};
use linux::tree::{Kind, Node, Tree};

/// How many descriptors there are.
pub(crate) const DESCRIPTORS: usize = 256;

/// The number of the device `/dev/null`.
const NULL_DEVICE: u64 = 0x103;

/// What is behind a descriptor; several can share it, and their position in it.
pub(crate) struct Open<'a> {
    pub(crate) what: What<'a>,
    pub(crate) position: Cell<u64>,
}

/// See above.
pub(crate) enum What<'a> {
    /// Nothing to read.
    Input,
    /// Where to write.
    Output,
    /// A file.
    Node(Node<'a>),
}

impl<'a> Open<'a> {
    fn new(what: What<'a>) -> Rc<Open<'a>> {
        Rc::new(Open { what, position: Cell::new(0) })
    }

    /// The bytes of a file from a position on.
    pub(crate) fn bytes_from(&self, position: u64) -> Result<&'a [u8], Errno> {
        match &self.what {
            What::Input => Ok(&[]),
            What::Output => Err(Errno::EBADF),
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
            What::Input | What::Output => Status { number: 0, mode: MODE_PIPE, size_bytes: 0, device: 0 },
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

/// Descriptors, and the directory from which paths count.
pub(crate) struct Files<'a> {
    tree: &'a Tree<'a>,
    open: Vec<Option<Rc<Open<'a>>>>,
    directory: String,
}

impl<'a> Files<'a> {
    /// Input, and output twice.
    pub(crate) fn new(tree: &'a Tree<'a>) -> Files<'a> {
        let open = vec![Some(Open::new(What::Input)), Some(Open::new(What::Output)), Some(Open::new(What::Output))];
        Files { tree, open, directory: String::new() }
    }

    /// All files.
    pub(crate) fn tree(&self) -> &'a Tree<'a> {
        self.tree
    }

    /// What is behind a descriptor.
    pub(crate) fn get(&self, descriptor: u64) -> Result<Rc<Open<'a>>, Errno> {
        let found = usize::try_from(descriptor).ok().and_then(|at| self.open.get(at)?.clone());
        found.ok_or(Errno::EBADF)
    }

    /// Opens a file by the lowest descriptor that is free.
    pub(crate) fn open(&mut self, node: Node<'a>) -> Result<u64, Errno> {
        self.add(Open::new(What::Node(node)), 0)
    }

    /// Another descriptor for what is behind one, from a number on.
    pub(crate) fn duplicate(&mut self, descriptor: u64, from: u64) -> Result<u64, Errno> {
        let open = self.get(descriptor)?;
        self.add(open, usize::try_from(from).unwrap_or(DESCRIPTORS))
    }

    /// The same with exactly this number; what was behind it is closed.
    pub(crate) fn duplicate_to(&mut self, descriptor: u64, goal: u64) -> Result<u64, Errno> {
        let open = self.get(descriptor)?;
        let at = usize::try_from(goal).ok().filter(|at| *at < DESCRIPTORS).ok_or(Errno::EBADF)?;
        self.open.resize(self.open.len().max(at + 1), None);
        self.open[at] = Some(open);
        Ok(goal)
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, descriptor: u64) -> Result<u64, Errno> {
        self.get(descriptor)?;
        self.open[descriptor as usize] = None;
        Ok(0)
    }

    /// The file at a path, which counts from a descriptor's directory, or with none from the program's.
    pub(crate) fn find(&self, from: Option<u64>, path: &str) -> Result<Node<'a>, Errno> {
        match from {
            Some(descriptor) if !path.starts_with('/') => match &self.get(descriptor)?.what {
                What::Node(node) if node.kind == Kind::Directory => self.tree.find(&node.path, path),
                _ => Err(Errno::ENOTDIR),
            },
            _ => self.tree.find(&self.directory, path),
        }
    }

    /// The path of the program's directory, without its first slash.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// Changes the program's directory.
    pub(crate) fn enter(&mut self, path: &str) -> Result<u64, Errno> {
        let node = self.find(None, path)?;
        if node.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.directory = node.path.to_string();
        Ok(0)
    }

    fn add(&mut self, open: Rc<Open<'a>>, from: usize) -> Result<u64, Errno> {
        let free = (from..DESCRIPTORS).find(|at| self.open.get(*at).is_none_or(Option::is_none));
        let at = free.ok_or(Errno::EMFILE)?;
        self.open.resize(self.open.len().max(at + 1), None);
        self.open[at] = Some(open);
        Ok(at as u64)
    }
}
