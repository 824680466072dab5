//! What Linux programs printed where x.py ran them: commands, with their outputs and exit statuses.
//!
//! The file begins with a line that says who ran them. For each command follow a line of three numbers (its words, its exit
//! status, the bytes of its output), each word on a line, and the output with a line end behind it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One command, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation<'a> {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Its exit status.
    pub status: u8,
    /// What it wrote to either output.
    pub output: &'a [u8],
}

/// Reads the file: who ran the commands, and what came of each. `None` if it is no such file.
pub fn read(file: &[u8]) -> Option<(&str, Vec<Expectation<'_>>)> {
    let (by, mut rest) = line(file)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = line(rest)?;
        let numbers: Vec<usize> = head.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [count, status, length] = numbers[..] else { return None };
        rest = behind;
        let mut words = Vec::new();
        for _ in 0..count {
            let (word, behind) = line(rest)?;
            words.push(word.to_string());
            rest = behind;
        }
        let (output, behind) = rest.split_at_checked(length)?;
        rest = behind.strip_prefix(b"\n")?;
        found.push(Expectation { words, status: u8::try_from(status).ok()?, output });
    }
    Some((by, found))
}

/// The first line, and what is behind it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((core::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_file_is_read_whole() {
        let (by, found) = read(b"somebody\n2 0 6\nbusybox\necho x\nhello\n\n1 139 0\nfaults\n\n").expect("it is whole");
        assert_eq!((by, found.len()), ("somebody", 2));
        assert_eq!((&found[0].words[..], found[0].output), (&["busybox".into(), "echo x".into()][..], &b"hello\n"[..]));
        assert_eq!((found[1].status, found[1].output), (139, &b""[..]));
        assert_eq!(read(b"nobody\n").map(|(_, found)| found.len()), Some(0));
    }

    #[test]
    fn less_is_refused() {
        let whole = b"somebody\n1 0 6\nprogram\nhello\n\n";
        for length in 9 + 1..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
        assert_eq!(read(b"somebody\n1 300 0\nprogram\n\n"), None);
        assert_eq!(read(b"somebody\n1 0\nprogram\n\n"), None);
    }
}
