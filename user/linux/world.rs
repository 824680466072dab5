//! The processes that come of one program: who is whose child, what has ended, and who is told.

use crate::errno::Errno;
use crate::files::Files;
use crate::image::{Images, Ready, Refusal, Words};
use crate::output::Output;
use crate::process::{Ended, FIRST, Identity, NO_PARENT, Process, Progress};
use crate::signals::Signals;
use crate::tree::Tree;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use demonstration::Random;
use libvas::process_vm_exec::Context as Registers;
use libvas::{Account, Cap, Error, GuestContext, clock};
use rt::println;

/// All processes of a program.
pub struct World<'a> {
    tree: &'a Tree<'a>,
    account: &'a Cap<Account>,
    images: Images<'a>,
    /// All threads but the one whose turn it is, by their own numbers.
    pub(crate) processes: BTreeMap<u64, Process<'a>>,
    /// Those that have ended, until their parents ask.
    pub(crate) dead: BTreeMap<u64, (Identity, Ended)>,
    /// How first threads ended of processes whose others run: that is how these will have ended.
    pub(crate) first_threads: BTreeMap<u64, Ended>,
    next_number: u64,
    /// The first process of those that are run, and how it ended.
    pub(crate) leader: (u64, Option<Ended>),
    /// The registers that a program begins with, but for two.
    fresh: Registers,
    /// The calls that were told not to be there.
    unknown: BTreeSet<u64>,
}

/// What a child has of its parent, and what not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fork {
    /// It uses its parent's memory, which the parent does not until the child has become another program or ended.
    pub(crate) is_borrower: bool,
    /// It is no process of its own, but a thread.
    pub(crate) is_thread: bool,
    /// The word that is cleared when it ends.
    pub(crate) clears: u64,
    /// Another stack pointer, if not 0.
    pub(crate) stack_pointer: u64,
    /// Another thread pointer.
    pub(crate) thread_pointer: Option<u64>,
}

impl<'a> World<'a> {
    /// One without processes; the account pays for what they have.
    ///
    /// # Errors
    /// What making a guest can fail with.
    pub fn new(tree: &'a Tree<'a>, account: &'a Cap<Account>) -> Result<World<'a>, Error> {
        Ok(World {
            tree,
            account,
            images: Images::new(account),
            processes: BTreeMap::new(),
            dead: BTreeMap::new(),
            first_threads: BTreeMap::new(),
            next_number: FIRST,
            leader: (FIRST, None),
            fresh: GuestContext::new(account)?.state(),
            unknown: BTreeSet::new(),
        })
    }

    /// Makes a process that nobody started, with the program at a path, whose file is this.
    ///
    /// # Errors
    /// Why it cannot be run.
    pub fn first(
        &mut self,
        path: &str,
        file: &'a [u8],
        words: &Words<'_>,
        output: &Output,
    ) -> Result<Process<'a>, Refusal> {
        // Different each time, though nobody should rely on it.
        let mut random = Random::new(clock::ticks() | 1);
        let ready = self.images.ready(path, file, words, &mut random)?;
        let number = self.take_number();
        let mut process = Process {
            identity: Identity { number, thread: number, parent: NO_PARENT, group: number, session: number },
            name: String::new(),
            path: String::new(),
            guest: GuestContext::new(self.account)?,
            memory: ready.memory.clone(),
            is_borrower: false,
            files: Files::new(self.tree, output),
            signals: Signals::default(),
            random,
            waits_in: None,
            progress: Progress::default(),
            is_stopped: false,
            clears: 0,
            ended: None,
            is_alone: false,
        };
        self.begin(&mut process, path, words, ready);
        Ok(process)
    }

    /// Has a process become another program, whose file this is.
    pub(crate) fn execute(
        &mut self,
        process: &mut Process<'a>,
        path: &str,
        file: &'a [u8],
        words: &Words<'_>,
    ) -> Result<(), Refusal> {
        let ready = self.images.ready(path, file, words, &mut process.random)?;
        // Of its threads this one goes on, as the first.
        let number = process.identity.number;
        self.processes.retain(|_, other| other.identity.number != number);
        self.first_threads.remove(&number);
        process.identity.thread = number;
        self.begin(process, path, words, ready);
        Ok(())
    }

    fn begin(&self, process: &mut Process<'a>, path: &str, words: &Words<'_>, ready: Ready<'a>) {
        process.name = words.arguments.first().copied().unwrap_or(path).to_string();
        process.path = path.to_string();
        process.memory = ready.memory;
        process.is_borrower = false;
        process.clears = 0;
        process.files.close_own();
        process.signals.forget_handlers();
        process.guest.set_state(&self.fresh);
        process.guest.set_instruction_pointer(ready.entry);
        process.guest.set_stack_pointer(ready.stack_pointer);
    }

    /// Makes a child of a process, or another thread, which goes on where that is; gives its number.
    pub(crate) fn fork(&mut self, parent: &mut Process<'a>, wish: &Fork) -> Result<u64, Errno> {
        let memory = if wish.is_borrower || wish.is_thread { Ok(parent.memory.clone()) } else { parent.memory.fork() };
        let made = memory.and_then(|memory| Ok((memory, GuestContext::new(self.account)?)));
        let (memory, guest) = made.map_err(|error| match error {
            Error::AccountExhausted | Error::OutOfMemory => Errno::ENOMEM,
            _ => Errno::EAGAIN,
        })?;
        guest.set_state(&parent.guest.state());
        guest.set_call_result(0);
        if wish.stack_pointer != 0 {
            guest.set_stack_pointer(wish.stack_pointer);
        }
        wish.thread_pointer.into_iter().for_each(|pointer| guest.set_thread_pointer(pointer));
        let (thread, whose) = (self.take_number(), parent.identity);
        let identity = if wish.is_thread {
            Identity { thread, ..whose }
        } else {
            Identity { number: thread, thread, parent: whose.number, ..whose }
        };
        let child = Process {
            identity,
            name: parent.name.clone(),
            path: parent.path.clone(),
            guest,
            memory,
            is_borrower: wish.is_borrower,
            files: if wish.is_thread { parent.files.clone() } else { parent.files.fork() },
            signals: if wish.is_thread { parent.signals.of_thread() } else { parent.signals.of_child() },
            random: Random::new(parent.random.next()),
            waits_in: None,
            progress: Progress::default(),
            is_stopped: false,
            clears: wish.clears,
            ended: None,
            is_alone: false,
        };
        self.processes.insert(thread, child);
        Ok(thread)
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// From now on this is the first process.
    pub(crate) fn lead(&mut self, number: u64) {
        self.leader = (number, None);
    }

    /// How the process ended that was run last, with all that came of it.
    pub fn outcome(&self) -> Option<Ended> {
        self.leader.1
    }

    /// Refuses a call that is not served, and says so when a program makes it first.
    pub(crate) fn refuse(&mut self, process: &Process<'_>, number: u64) -> Errno {
        if self.unknown.insert(number) {
            println!("linux: {}: system call {number} is not served: ENOSYS", process.name);
        }
        Errno::ENOSYS
    }
}
