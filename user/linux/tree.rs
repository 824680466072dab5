//! The files that a Linux program finds: those of the boot archive under one folder, read only.

use crate::errno::Errno;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Bytes.
    File(&'a [u8]),
    /// Others' names.
    Directory,
    /// `/dev/null`, which no directory lists.
    Null,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its path, without a slash at either end; the root's is empty.
    pub path: String,
    /// A number of its own, from 1 on.
    pub number: u64,
    /// What it is.
    pub kind: Kind<'a>,
}

impl Node<'_> {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// The path of the directory that it is in; the root is in itself.
    pub fn parent(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

/// All files and directories, in order of their paths.
#[derive(Debug)]
pub struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

impl<'a> Tree<'a> {
    /// Makes it of files, each with its path; directories are those that the paths name.
    pub fn new(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Tree<'a> {
        let mut nodes: Vec<(String, Kind<'a>)> = Vec::new();
        nodes.push((String::new(), Kind::Directory));
        for (path, bytes) in files {
            let folders = path.match_indices('/').map(|(at, _)| (path[..at].to_string(), Kind::Directory));
            nodes.extend(folders);
            nodes.push((path.to_string(), Kind::File(bytes)));
        }
        nodes.sort_by(|one, other| one.0.cmp(&other.0));
        nodes.dedup_by(|one, other| one.0 == other.0);
        let nodes = nodes.into_iter().zip(1..).map(|((path, kind), number)| Node { path, number, kind }).collect();
        Tree { nodes }
    }

    /// The file at a path, which counts from a directory if it does not begin with a slash.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR` on the way.
    pub fn find(&self, from: &str, path: &str) -> Result<Node<'a>, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut at = if path.starts_with('/') { self.at("")? } else { self.at(from)? };
        for part in path.split('/') {
            if matches!(part, "" | ".") && at.kind == Kind::Directory {
                continue;
            }
            at = match (at.kind, part) {
                (Kind::Directory, "..") => self.at(at.parent())?,
                (Kind::Directory, _) => self.at(&joined(&at.path, part))?,
                _ => return Err(Errno::ENOTDIR),
            };
        }
        Ok(at)
    }

    /// What a directory has, in order.
    pub fn children(&self, directory: &Node<'_>) -> impl Iterator<Item = &Node<'a>> {
        self.nodes.iter().filter(move |node| !node.path.is_empty() && node.parent() == directory.path)
    }

    /// The file at exactly this path.
    fn at(&self, path: &str) -> Result<Node<'a>, Errno> {
        let number = self.nodes.len() as u64 + 1;
        match path {
            "dev" => return Ok(Node { path: path.to_string(), number, kind: Kind::Directory }),
            "dev/null" => return Ok(Node { path: path.to_string(), number: number + 1, kind: Kind::Null }),
            _ => {}
        }
        let found = self.nodes.binary_search_by(|node| node.path.as_str().cmp(path));
        found.map(|at| self.nodes[at].clone()).map_err(|_| Errno::ENOENT)
    }
}

fn joined(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_string() } else { [directory, "/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tree};
    use crate::errno::Errno;

    fn tree() -> Tree<'static> {
        Tree::new([("share/b.txt", &b"bb"[..]), ("bin/busybox", b"elf"), ("share/a.txt", b"a")].into_iter())
    }

    fn found(from: &str, path: &str) -> Result<String, Errno> {
        tree().find(from, path).map(|node| node.path)
    }

    #[test]
    fn paths_lead_to_files() {
        for path in ["/share/a.txt", "share/a.txt", "./share//./a.txt", "bin/../share/a.txt", "/../share/a.txt"] {
            assert_eq!(found("", path).as_deref(), Ok("share/a.txt"), "{path}");
        }
        assert_eq!(found("share", "a.txt").as_deref(), Ok("share/a.txt"));
        assert_eq!(
            [found("share", "/"), found("share", ".."), found("", "./")],
            ["", "", ""].map(|path| Ok(path.into()))
        );
        assert_eq!(tree().find("", "share/b.txt").map(|node| node.kind), Ok(Kind::File(b"bb")));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in ["", "nothing", "share/nothing", "nothing/a.txt", "sha", "..."] {
            assert_eq!(found("", path), Err(Errno::ENOENT), "{path}");
        }
        for path in ["bin/busybox/", "bin/busybox/.", "bin/busybox/x", "bin/busybox/.."] {
            assert_eq!(found("", path), Err(Errno::ENOTDIR), "{path}");
        }
    }

    #[test]
    fn directories_have_their_files_and_no_others() {
        let tree = tree();
        let names = |path: &str| -> Vec<String> {
            let directory = tree.find("", path).expect("it is there");
            tree.children(&directory).map(|node| node.name().to_string()).collect()
        };
        assert_eq!(
            (names("/"), names("share")),
            (vec!["bin".into(), "share".into()], vec!["a.txt".into(), "b.txt".into()])
        );
        assert_eq!(names("share/a.txt"), [""; 0]);
    }

    #[test]
    fn the_null_device_is_there_and_not_listed() {
        assert_eq!(tree().find("", "/dev/null").map(|node| node.kind), Ok(Kind::Null));
        assert_eq!(found("share", "/dev/zero"), Err(Errno::ENOENT));
    }
}
