//! Linux's error numbers, those that are used here (`include/uapi/asm-generic/errno-base.h` and `errno.h` there).

use libvas::Error;

/// Why a system call of a Linux program was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident $number:literal $what:literal;)*) => {
        impl Errno {
            $(
                #[doc = $what]
                pub const $name: Errno = Errno($number);
            )*
        }
    };
}

errnos! {
    EPERM 1 "That is not permitted to anybody here.";
    ENOENT 2 "There is no such file.";
    ESRCH 3 "There is no such process.";
    EINTR 4 "A signal came first.";
    E2BIG 7 "The arguments are too long.";
    ENOEXEC 8 "That is no program for here.";
    EBADF 9 "That is no open descriptor, or not for that.";
    ECHILD 10 "There is no such child.";
    EAGAIN 11 "Not now.";
    ENOMEM 12 "There is no memory, or no address, for that.";
    EACCES 13 "That is not permitted there.";
    EFAULT 14 "The pointer leads nowhere.";
    EEXIST 17 "There is something already.";
    ENOTDIR 20 "That is no directory.";
    EISDIR 21 "That is a directory.";
    EINVAL 22 "The arguments make no sense, or are not served.";
    ENFILE 23 "Too many pipes are there.";
    EMFILE 24 "Too many descriptors are open.";
    ENOTTY 25 "That is no terminal.";
    ESPIPE 29 "There is no position in that.";
    EROFS 30 "Nothing can be written there.";
    EPIPE 32 "Nobody will ever read that.";
    ERANGE 34 "There is not enough room for the answer.";
    ENAMETOOLONG 36 "The name is too long.";
    ENOSYS 38 "There is no such system call.";
    ETIMEDOUT 110 "The time is over.";
    RESTART 512 "Not yet: the call is made anew when something has happened. No program sees it.";
}

impl Errno {
    /// What the program finds in the register of results.
    pub fn as_result(self) -> u64 {
        u64::from(self.0).wrapping_neg()
    }
}

impl From<Error> for Errno {
    /// What the kernel refused, in Linux's words.
    fn from(error: Error) -> Errno {
        match error {
            Error::BadAddress | Error::BadPointer => Errno::EFAULT,
            Error::WriteExecute | Error::MissingRight => Errno::EACCES,
            Error::BadArgument | Error::Misaligned => Errno::EINVAL,
            Error::Overlap => Errno::EEXIST,
            _ => Errno::ENOMEM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn results_are_negative_numbers() {
        assert_eq!(Errno::ENOSYS.as_result() as i64, -38);
        assert_eq!(Errno::from(libvas::Error::BadAddress), Errno::EFAULT);
    }
}
