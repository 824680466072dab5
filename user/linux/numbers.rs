//! The system calls of Linux that are served, and their numbers, which differ among processors.
//!
//! x86_64 has a table of its own (`arch/x86/entry/syscalls/syscall_64.tbl` in Linux); aarch64 has the one of all newer processors
//! (`include/uapi/asm-generic/unistd.h`), without calls that a newer one replaces.

/// The `e_machine` of x86_64.
pub const X86_64: u16 = 62;

/// That of aarch64.
pub const AARCH64: u16 = 183;

/// Where a processor has no such call.
const NONE: u64 = u64::MAX;

macro_rules! calls {
    ($($call:ident $name:literal $x86_64:tt $aarch64:tt;)*) => {
        /// A system call that is served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call {
            $(
                #[doc = concat!("`", $name, "`.")]
                $call,
            )*
        }

        /// Each with its name and its numbers on x86_64 and aarch64.
        const TABLE: &[(Call, &str, u64, u64)] = &[$((Call::$call, $name, $x86_64, $aarch64),)*];
    };
}

calls! {
    Read "read" 0 63;
    Write "write" 1 64;
    Open "open" 2 NONE;
    Close "close" 3 57;
    Stat "stat" 4 NONE;
    Fstat "fstat" 5 80;
    Lstat "lstat" 6 NONE;
    Poll "poll" 7 NONE;
    Lseek "lseek" 8 62;
    Mmap "mmap" 9 222;
    Mprotect "mprotect" 10 226;
    Munmap "munmap" 11 215;
    Brk "brk" 12 214;
    SignalAction "rt_sigaction" 13 134;
    SignalMask "rt_sigprocmask" 14 135;
    SignalReturn "rt_sigreturn" 15 139;
    Ioctl "ioctl" 16 29;
    Pread "pread64" 17 67;
    Readv "readv" 19 65;
    Writev "writev" 20 66;
    Access "access" 21 NONE;
    Pipe "pipe" 22 NONE;
    Select "select" 23 NONE;
    Yield "sched_yield" 24 124;
    Mremap "mremap" 25 216;
    Madvise "madvise" 28 233;
    Dup "dup" 32 23;
    Dup2 "dup2" 33 NONE;
    Pause "pause" 34 NONE;
    Nanosleep "nanosleep" 35 101;
    Getpid "getpid" 39 172;
    Sendfile "sendfile" 40 71;
    Clone "clone" 56 220;
    Fork "fork" 57 NONE;
    Vfork "vfork" 58 NONE;
    Execve "execve" 59 221;
    Exit "exit" 60 93;
    Wait4 "wait4" 61 260;
    Kill "kill" 62 129;
    Uname "uname" 63 160;
    Fcntl "fcntl" 72 25;
    Getcwd "getcwd" 79 17;
    Chdir "chdir" 80 49;
    Readlink "readlink" 89 NONE;
    Umask "umask" 95 166;
    Gettimeofday "gettimeofday" 96 169;
    Getrusage "getrusage" 98 165;
    Sysinfo "sysinfo" 99 179;
    Times "times" 100 153;
    Getuid "getuid" 102 174;
    Getgid "getgid" 104 176;
    Geteuid "geteuid" 107 175;
    Getegid "getegid" 108 177;
    Setpgid "setpgid" 109 154;
    Getppid "getppid" 110 173;
    Getpgrp "getpgrp" 111 NONE;
    Setsid "setsid" 112 157;
    Getgroups "getgroups" 115 158;
    Getpgid "getpgid" 121 155;
    Getsid "getsid" 124 156;
    SignalPending "rt_sigpending" 127 136;
    SignalSuspend "rt_sigsuspend" 130 133;
    SignalStack "sigaltstack" 131 132;
    Prctl "prctl" 157 167;
    ArchPrctl "arch_prctl" 158 NONE;
    Gettid "gettid" 186 178;
    Tkill "tkill" 200 130;
    Time "time" 201 NONE;
    Futex "futex" 202 98;
    Affinity "sched_getaffinity" 204 123;
    Getdents "getdents64" 217 61;
    SetTidAddress "set_tid_address" 218 96;
    Fadvise "fadvise64" 221 223;
    ClockGettime "clock_gettime" 228 113;
    ClockGetres "clock_getres" 229 114;
    ClockNanosleep "clock_nanosleep" 230 115;
    ExitGroup "exit_group" 231 94;
    Tgkill "tgkill" 234 131;
    Openat "openat" 257 56;
    Newfstatat "newfstatat" 262 79;
    Readlinkat "readlinkat" 267 78;
    Faccessat "faccessat" 269 48;
    Pselect "pselect6" 270 72;
    Ppoll "ppoll" 271 73;
    SetRobustList "set_robust_list" 273 99;
    Dup3 "dup3" 292 24;
    Pipe2 "pipe2" 293 59;
    Prlimit "prlimit64" 302 261;
    Getrandom "getrandom" 318 278;
    Rseq "rseq" 334 293;
    Clone3 "clone3" 435 435;
    Faccessat2 "faccessat2" 439 439;
}

impl Call {
    /// The call with this number on a processor, by its `e_machine`.
    pub fn from_number(machine: u16, number: u64) -> Option<Call> {
        let is_meant = |x86_64: u64, aarch64: u64| number == if machine == AARCH64 { aarch64 } else { x86_64 };
        let found = TABLE.iter().find(|(_, _, x86_64, aarch64)| is_meant(*x86_64, *aarch64));
        found.filter(|_| number != NONE).map(|(call, ..)| *call)
    }

    /// Its number on a processor, by its `e_machine`.
    pub fn number(self, machine: u16) -> Option<u64> {
        let (_, _, x86_64, aarch64) = TABLE.iter().find(|(call, ..)| *call == self)?;
        Some(if machine == AARCH64 { *aarch64 } else { *x86_64 }).filter(|number| *number != NONE)
    }

    /// What Linux calls it.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(call, ..)| *call == self).map_or("?", |(_, name, ..)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::{AARCH64, Call, NONE, TABLE, X86_64};

    #[test]
    fn no_number_means_two_calls() {
        for machine in [X86_64, AARCH64] {
            let number = |entry: &(Call, &str, u64, u64)| if machine == X86_64 { entry.2 } else { entry.3 };
            for entry in TABLE.iter().filter(|entry| number(entry) != NONE) {
                assert_eq!(Call::from_number(machine, number(entry)), Some(entry.0), "{}", entry.1);
                assert_eq!((entry.0.name(), entry.0.number(machine)), (entry.1, Some(number(entry))));
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_no_call() {
        assert_eq!([165, 9999, u64::MAX].map(|number| Call::from_number(X86_64, number)), [None; 3]);
        assert_eq!([40, 9999, u64::MAX].map(|number| Call::from_number(AARCH64, number)), [None; 3]);
        assert_eq!([X86_64, AARCH64].map(|machine| Call::from_number(machine, 0)), [Some(Call::Read), None]);
        assert_eq!([X86_64, AARCH64].map(|machine| Call::Open.number(machine)), [Some(2), None]);
    }
}
