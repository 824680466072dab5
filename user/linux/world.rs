//! The processes that come of one program: who is whose child, what has ended, and who is told.

use crate::errno::Errno;
use crate::files::Files;
use crate::image::{Images, Ready, Refusal, Words};
use crate::output::Output;
use crate::process::{Ended, FIRST, Identity, NO_PARENT, Process, Progress};
use crate::signals::{Action, CHILD, Effect, Reason, Signals};
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
    /// All but the one whose turn it is.
    pub(crate) processes: BTreeMap<u64, Process<'a>>,
    /// Those that have ended, until their parents ask.
    dead: BTreeMap<u64, (Identity, Ended)>,
    next_number: u64,
    /// The first process of those that are run, and how it ended.
    leader: (u64, Option<Ended>),
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
            identity: Identity { number, parent: NO_PARENT, group: number, session: number },
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
            ended: None,
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
        self.begin(process, path, words, ready);
        Ok(())
    }

    fn begin(&self, process: &mut Process<'a>, path: &str, words: &Words<'_>, ready: Ready<'a>) {
        process.name = words.arguments.first().copied().unwrap_or(path).to_string();
        process.path = path.to_string();
        process.memory = ready.memory;
        process.is_borrower = false;
        process.files.close_own();
        process.signals.forget_handlers();
        process.guest.set_state(&self.fresh);
        process.guest.set_instruction_pointer(ready.entry);
        process.guest.set_stack_pointer(ready.stack_pointer);
    }

    /// Makes a child of a process, which goes on where that is; gives its number.
    pub(crate) fn fork(&mut self, parent: &mut Process<'a>, wish: &Fork) -> Result<u64, Errno> {
        let memory = if wish.is_borrower { Ok(parent.memory.clone()) } else { parent.memory.fork() };
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
        let number = self.take_number();
        let child = Process {
            identity: Identity { number, parent: parent.identity.number, ..parent.identity },
            name: parent.name.clone(),
            path: parent.path.clone(),
            guest,
            memory,
            is_borrower: wish.is_borrower,
            files: parent.files.clone(),
            signals: parent.signals.of_child(),
            random: Random::new(parent.random.next()),
            waits_in: None,
            progress: Progress::default(),
            is_stopped: false,
            ended: None,
        };
        self.processes.insert(number, child);
        Ok(number)
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Puts away a process that has ended, with all it has, and tells its parent.
    pub(crate) fn bury(&mut self, process: &Process<'a>, ended: Ended) {
        let identity = process.identity;
        if identity.number == self.leader.0 {
            self.leader.1 = Some(ended);
        }
        for child in self.processes.values_mut().filter(|child| child.identity.parent == identity.number) {
            child.identity.parent = NO_PARENT;
        }
        self.dead.retain(|_, (child, _)| child.parent != identity.number);
        let Some(parent) = self.processes.get_mut(&identity.parent) else { return };
        let action = parent.signals.action(CHILD);
        let is_asked_for = action.handler == 0 || action.effect(CHILD) != Effect::Nothing;
        if is_asked_for && action.flags & Action::NOBODY_WAITS == 0 {
            self.dead.insert(identity.number, (identity, ended));
        }
        parent.raise(
            CHILD,
            match ended {
                Ended::Exited(status) => Reason::exited(identity.number, status),
                Ended::Killed(signal) => Reason::killed(identity.number, signal),
            },
        );
    }

    /// From now on this is the first process.
    pub(crate) fn lead(&mut self, number: u64) {
        self.leader = (number, None);
    }

    /// How the process ended that was run last, with all that came of it.
    pub fn outcome(&self) -> Option<Ended> {
        self.leader.1
    }

    /// Takes out a child that has ended and is among those that are meant, if there is one.
    pub(crate) fn take_dead(&mut self, is_meant: impl Fn(&Identity) -> bool) -> Option<(u64, Ended)> {
        let found = self.dead.values().find(|(identity, _)| is_meant(identity)).map(|(identity, _)| identity.number)?;
        self.dead.remove(&found).map(|(_, ended)| (found, ended))
    }

    /// Whether there is such a process that runs.
    pub(crate) fn has(&self, is_meant: impl Fn(&Identity) -> bool) -> bool {
        self.processes.values().any(|process| is_meant(&process.identity))
    }

    /// Sends a signal, 0 for none, to all that are meant, the sender among them; says whether there is one, even if it has ended.
    pub(crate) fn send(
        &mut self,
        from: &mut Process<'a>,
        number: u8,
        reason: Reason,
        is_meant: impl Fn(&Identity) -> bool,
    ) -> bool {
        let mut is_there = self.dead.values().any(|(identity, _)| is_meant(identity));
        for process in self.processes.values_mut().chain([from]).filter(|process| is_meant(&process.identity)) {
            is_there = true;
            if number != 0 {
                process.raise(number, reason);
            }
        }
        is_there
    }

    /// Refuses a call that is not served, and says so when a program makes it first.
    pub(crate) fn refuse(&mut self, process: &Process<'_>, number: u64) -> Errno {
        if self.unknown.insert(number) {
            println!("linux: {}: system call {number} is not served: ENOSYS", process.name);
        }
        Errno::ENOSYS
    }
}
