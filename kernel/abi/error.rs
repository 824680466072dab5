//! Why a system call was refused.

/// An error number as it crosses the boundary; 0 means success and is no error.
///
/// Numbers are part of the ABI: they are never reused or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Error {
    /// No system call has this number.
    BadCall = 1,
    /// The handle is stale, was never given out, or names a free slot.
    BadHandle = 2,
    /// The handle names an object of another kind than the call works on.
    WrongObject = 3,
    /// The capability lacks a right that the call needs.
    MissingRight = 4,
    /// An argument is outside of what the call accepts.
    BadArgument = 5,
    /// An address, offset or length is not a multiple of the page size, or of what the call asks for.
    Misaligned = 6,
    /// An address range wraps around, is empty, or leaves what user programs may use.
    BadAddress = 7,
    /// A pointer argument leads to memory that the caller cannot read or write as the call needs.
    BadPointer = 8,
    /// The range meets an existing mapping or attachment.
    Overlap = 9,
    /// Nothing is mapped or attached there, or not in the whole range.
    NotMapped = 10,
    /// Writable and executable at once was asked for.
    WriteExecute = 11,
    /// The account has too little left for what the call would charge.
    AccountExhausted = 12,
    /// The machine has too little free memory.
    OutOfMemory = 13,
    /// The capability table has no free slot.
    TableFull = 14,
    /// Instruction or stack pointer lie in tables that the two spaces do not share.
    NotShared = 15,
    /// The object is in a state in which the call makes no sense (started twice, joined twice, in use).
    BadState = 16,
    /// The object is gone although a handle to it remains.
    Gone = 17,
    /// The thread that was waited for stopped by a fault instead of exiting.
    Faulted = 18,
    /// The thread would wait for itself, directly or through others.
    Deadlock = 19,
    /// A text argument is no valid UTF-8, is too long, or holds what a name must not.
    BadText = 20,
    /// The call would exceed a fixed limit of the kernel that `docs/caveats.md` lists.
    LimitReached = 21,
    /// The machine or the boot configuration does not offer what was asked for.
    NotSupported = 22,
    /// The space is local to another CPU than the calling thread runs on, or may run on.
    WrongCpu = 23,
    /// A subtree's level does not fit: no such level, or not below the level of what it is to be attached to.
    WrongLevel = 24,
    /// A subtree that lies in another one holds a third, or would; or a thread would be in more calls than it may.
    TooDeep = 25,
    /// The subtree is sealed: what is mapped in it stays as it is.
    Sealed = 26,
    /// All stacks of the gate are taken, another thread runs the guest, or others hold the locks of a space, and the caller did not
    /// ask to wait; or threads are in a space in which a lockable segment is to be mapped.
    Busy = 27,
    /// Something of this name is there already.
    Exists = 28,
    /// Nothing has this name.
    NotFound = 29,
    /// What was waited for did not happen in time.
    TimedOut = 30,
}

impl Error {
    /// Every error, in numeric order.
    pub const ALL: [Error; 30] = [
        Error::BadCall,
        Error::BadHandle,
        Error::WrongObject,
        Error::MissingRight,
        Error::BadArgument,
        Error::Misaligned,
        Error::BadAddress,
        Error::BadPointer,
        Error::Overlap,
        Error::NotMapped,
        Error::WriteExecute,
        Error::AccountExhausted,
        Error::OutOfMemory,
        Error::TableFull,
        Error::NotShared,
        Error::BadState,
        Error::Gone,
        Error::Faulted,
        Error::Deadlock,
        Error::BadText,
        Error::LimitReached,
        Error::NotSupported,
        Error::WrongCpu,
        Error::WrongLevel,
        Error::TooDeep,
        Error::Sealed,
        Error::Busy,
        Error::Exists,
        Error::NotFound,
        Error::TimedOut,
    ];

    /// The status word of a call that failed this way.
    pub const fn status(self) -> u64 {
        self as u64
    }

    /// Reads a status word: `Ok` for 0, the error otherwise; an unknown number is `BadCall`.
    ///
    /// # Errors
    /// The error that the status word carries.
    pub fn from_status(status: u64) -> Result<(), Error> {
        match status {
            0 => Ok(()),
            number => {
                let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
                Err(*Error::ALL.get(index).unwrap_or(&Error::BadCall))
            }
        }
    }

    /// One line for people: what was wrong.
    pub const fn describe(self) -> &'static str {
        match self {
            Error::BadCall => "no system call has this number",
            Error::BadHandle => "the handle is stale or was never given out",
            Error::WrongObject => "the handle names an object of another kind",
            Error::MissingRight => "the capability lacks a needed right",
            Error::BadArgument => "an argument is out of range",
            Error::Misaligned => "an address, offset or length is misaligned",
            Error::BadAddress => "the address range is empty, wraps around or is not for user programs",
            Error::BadPointer => "a pointer leads to memory the caller cannot use that way",
            Error::Overlap => "the range meets an existing mapping or attachment",
            Error::NotMapped => "nothing is mapped there, or not in the whole range",
            Error::WriteExecute => "writable and executable at once is refused",
            Error::AccountExhausted => "the account has too little left",
            Error::OutOfMemory => "the machine has too little free memory",
            Error::TableFull => "the capability table has no free slot",
            Error::NotShared => "instruction and stack pointer lie in tables the two spaces do not share",
            Error::BadState => "the object is in a state that does not allow this",
            Error::Gone => "the object is gone",
            Error::Faulted => "the thread stopped by a fault",
            Error::Deadlock => "the thread would wait for itself",
            Error::BadText => "a text is no valid UTF-8, too long, or not for a name",
            Error::LimitReached => "a fixed limit of the kernel is reached",
            Error::NotSupported => "this machine or boot configuration does not offer that",
            Error::WrongCpu => "the space is local to another CPU",
            Error::WrongLevel => "the subtree's level does not fit there",
            Error::TooDeep => "subtrees or calls would be nested too deep",
            Error::Sealed => "the subtree is sealed",
            Error::Busy => "all stacks of the gate are taken, another thread runs the guest, or others hold the lock",
            Error::Exists => "something of this name is there already",
            Error::NotFound => "nothing has this name",
            Error::TimedOut => "what was waited for did not happen in time",
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.describe())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn numbers_are_dense_and_survive_the_boundary() {
        for (index, error) in Error::ALL.into_iter().enumerate() {
            assert_eq!(error.status(), index as u64 + 1);
            assert_eq!(Error::from_status(error.status()), Err(error));
        }
        assert_eq!(Error::from_status(0), Ok(()));
        assert_eq!(Error::from_status(Error::ALL.len() as u64 + 1), Err(Error::BadCall));
        assert_eq!(Error::from_status(u64::MAX), Err(Error::BadCall));
    }
}
