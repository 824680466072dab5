//! Signals: those that have come to a program, and what it wants to be done at each.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

/// A child has ended, stopped or gone on.
pub const CHILD: u8 = 17;
/// Nobody reads what was written.
pub const PIPE: u8 = 13;
/// What nobody can keep out: the end, and a stop.
pub const KILL: u8 = 9;
/// See above.
pub const STOP: u8 = 19;
/// A stopped program goes on.
pub const CONTINUE: u8 = 18;
/// What a program gets that executes what is no instruction.
pub const ILLEGAL: u8 = 4;
/// That comes to a breakpoint.
pub const TRAP: u8 = 5;
/// That uses an address as it cannot be used.
pub const BUS: u8 = 7;
/// That divides by zero.
pub const ARITHMETIC: u8 = 8;
/// That uses memory that is not there.
pub const SEGMENT: u8 = 11;
/// The last number of a signal.
pub const LAST: u64 = 64;

/// Bits of signals that cannot be kept out.
const UNMASKABLE: u64 = bit(KILL) | bit(STOP);

/// A signal's bit in a set.
pub const fn bit(number: u8) -> u64 {
    1 << (number - 1)
}

/// What a program has done at a signal: `struct sigaction` of the kernel's interface, the same on both processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// The function; 0 for what is done by default, 1 for nothing.
    pub handler: u64,
    /// `SA_...`.
    pub flags: u64,
    /// Where the function returns to.
    pub restorer: u64,
    /// The signals that are kept out meanwhile.
    pub mask: u64,
}

impl Action {
    /// `SA_NOCLDWAIT`: nobody waits for children.
    pub const NOBODY_WAITS: u64 = 0x2;
    /// `SA_RESTORER`: there is one.
    pub const HAS_RESTORER: u64 = 0x0400_0000;
    /// `SA_ONSTACK`: on the other stack, if there is one.
    pub const ON_OTHER_STACK: u64 = 0x0800_0000;
    /// `SA_RESTART`: a call that was interrupted is made anew.
    pub const RESTARTS: u64 = 0x1000_0000;
    /// `SA_NODEFER`: the signal itself is not kept out.
    pub const NOT_DEFERRED: u64 = 0x4000_0000;
    /// `SA_RESETHAND`: once only.
    pub const ONCE: u64 = 0x8000_0000;

    const NOTHING: u64 = 1;

    /// From its bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Action {
        let (words, _) = bytes.as_chunks::<8>();
        let [handler, flags, restorer, mask] = core::array::from_fn(|at| u64::from_le_bytes(words[at]));
        Action { handler, flags, restorer, mask }
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.handler, self.flags, self.restorer, self.mask];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }

    /// What is done at a signal with this action.
    pub fn effect(&self, number: u8) -> Effect {
        match self.handler {
            0 => by_default(number),
            Action::NOTHING => Effect::Nothing,
            _ => Effect::Handler,
        }
    }
}

/// What a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It ends the program.
    End,
    /// Nothing.
    Nothing,
    /// The program stops.
    Stop,
    /// The program's own function runs.
    Handler,
}

fn by_default(number: u8) -> Effect {
    match number {
        // A child's end, going on, urgent data, the window's size.
        CHILD | CONTINUE | 23 | 28 => Effect::Nothing,
        // From somebody, from the terminal, at reading and at writing there.
        STOP | 20 | 21 | 22 => Effect::Stop,
        _ => Effect::End,
    }
}

/// Why a signal came: what is behind the number in `siginfo_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// `si_code`.
    pub code: i32,
    /// The words behind: who sent it (a process and a user, an `int` each) and a child's status, or an address.
    pub words: [u64; 2],
}

impl Reason {
    /// A process sent it.
    pub fn sent_by(process: u64) -> Reason {
        Reason { code: 0, words: [process, 0] }
    }

    /// A process sent it to a thread.
    pub fn sent_to_thread_by(process: u64) -> Reason {
        Reason { code: -6, ..Reason::sent_by(process) }
    }

    /// A child ended by itself, with a status.
    pub fn exited(process: u64, status: u8) -> Reason {
        Reason { code: 1, words: [process, u64::from(status)] }
    }

    /// A child ended by a signal.
    pub fn killed(process: u64, signal: u8) -> Reason {
        Reason { code: 2, words: [process, u64::from(signal)] }
    }

    /// The program itself did something with an address.
    pub fn at(address: u64) -> Reason {
        Reason { code: 1, words: [address, 0] }
    }
}

/// Another stack for handlers: `stack_t` of the kernel's interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherStack {
    /// Where it begins.
    pub start: u64,
    /// How long it is; 0 if there is none.
    pub length_bytes: u64,
}

impl OtherStack {
    /// `SS_ONSTACK`, `SS_DISABLE`.
    pub const IN_USE: u64 = 1;
    /// See above.
    pub const NONE: u64 = 2;

    /// The three words of it, with how it stands for a stack pointer.
    pub fn words(&self, stack_pointer: u64) -> [u64; 3] {
        let flags = match self.length_bytes {
            0 => OtherStack::NONE,
            _ if self.holds(stack_pointer) => OtherStack::IN_USE,
            _ => 0,
        };
        [self.start, flags, self.length_bytes]
    }

    /// Whether a stack pointer is there.
    pub fn holds(&self, stack_pointer: u64) -> bool {
        stack_pointer.wrapping_sub(self.start).wrapping_sub(1) < self.length_bytes
    }

    /// Where a handler with an action begins to use a stack that was used down to a pointer.
    pub fn top(&self, action: &Action, stack_pointer: u64) -> u64 {
        let is_wanted = action.flags & Action::ON_OTHER_STACK != 0 && self.length_bytes > 0;
        if is_wanted && !self.holds(stack_pointer) { self.start.wrapping_add(self.length_bytes) } else { stack_pointer }
    }
}

/// A thread's signals.
#[derive(Debug, Default)]
pub struct Signals {
    /// Those that it does not want now.
    mask: u64,
    /// The same as it was before a call that waits with another one.
    mask_before: Option<u64>,
    pending: BTreeMap<u8, Reason>,
    /// Where handlers run that want to.
    pub other_stack: OtherStack,
    /// Threads have them in common.
    actions: Rc<RefCell<BTreeMap<u8, Action>>>,
}

impl Signals {
    /// What is done at a signal.
    pub fn action(&self, number: u8) -> Action {
        self.actions.borrow().get(&number).copied().unwrap_or_default()
    }

    /// Changes it; what has come and does nothing from now on is forgotten. Of those that nobody can keep out it is not changed.
    pub fn set_action(&mut self, number: u8, action: Action) {
        self.actions.borrow_mut().insert(number, action);
        if action.effect(number) == Effect::Nothing {
            self.pending.remove(&number);
        }
    }

    /// The signals that are kept out.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Sets them.
    pub fn set_mask(&mut self, mask: u64) {
        self.mask = mask & !UNMASKABLE;
    }

    /// Sets them for a call that waits; doing so again does nothing.
    pub fn set_mask_while_waiting(&mut self, mask: u64) {
        if self.mask_before.is_none() {
            self.mask_before = Some(self.mask);
            self.set_mask(mask);
        }
    }

    /// A call has ended by itself that may have waited with another mask.
    pub fn end_wait(&mut self) {
        if let Some(mask) = self.mask_before.take() {
            self.mask = mask;
        }
    }

    /// A signal comes. One that comes again before it is taken is the same.
    pub fn raise(&mut self, number: u8, reason: Reason) {
        let is_kept_out = self.mask & bit(number) != 0;
        if is_kept_out || self.action(number).effect(number) != Effect::Nothing {
            self.pending.entry(number).or_insert(reason);
        }
    }

    /// The signals that have come and are kept out.
    pub fn kept_out(&self) -> u64 {
        self.pending.keys().map(|number| bit(*number)).sum::<u64>() & self.mask
    }

    /// Whether something is to be done.
    pub fn is_due(&self) -> bool {
        self.pending.keys().any(|number| self.mask & bit(*number) == 0)
    }

    /// Takes the next signal of which something is to be done, with its reason and action.
    pub fn take(&mut self) -> Option<(u8, Reason, Action)> {
        let free = |number: &u8| self.mask & bit(*number) == 0;
        let first = self.pending.contains_key(&KILL).then_some(KILL);
        let number = first.or_else(|| self.pending.keys().copied().find(free))?;
        let reason = self.pending.remove(&number)?;
        Some((number, reason, self.action(number)))
    }

    /// A handler begins: keeps out what it wants, and says what was kept out before and is afterwards.
    pub fn enter(&mut self, number: u8, action: &Action) -> u64 {
        let before = self.mask_before.take().unwrap_or(self.mask);
        let itself = if action.flags & Action::NOT_DEFERRED == 0 { bit(number) } else { 0 };
        self.set_mask(self.mask | action.mask | itself);
        if action.flags & Action::ONCE != 0 {
            self.actions.borrow_mut().remove(&number);
        }
        before
    }

    /// Those of a child.
    pub fn of_child(&self) -> Signals {
        let actions = self.actions.borrow().clone();
        Signals { actions: Rc::new(RefCell::new(actions)), other_stack: self.other_stack, ..self.of_thread() }
    }

    /// Those of another thread of the same process.
    pub fn of_thread(&self) -> Signals {
        Signals { mask: self.mask, actions: self.actions.clone(), ..Signals::default() }
    }

    /// The program has become another one: its functions are not there any more.
    pub fn forget_handlers(&mut self) {
        self.other_stack = OtherStack::default();
        self.actions.borrow_mut().retain(|_, action| action.handler == Action::NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, CHILD, Effect, KILL, OtherStack, PIPE, Reason, STOP, Signals, bit};

    const TERMINATE: u8 = 15;

    fn handled(flags: u64, mask: u64) -> Action {
        Action { handler: 0x1000, flags, restorer: 0, mask }
    }

    #[test]
    fn actions_are_four_words() {
        let action = Action { handler: 1, flags: 2, restorer: 3, mask: 4 };
        assert_eq!(Action::from_bytes(&action.to_bytes()), action);
        assert_eq!(action.to_bytes()[16..24], 3_u64.to_le_bytes());
    }

    #[test]
    fn what_does_nothing_does_not_come() {
        let mut signals = Signals::default();
        signals.raise(CHILD, Reason::default());
        assert!(!signals.is_due());
        signals.raise(PIPE, Reason::default());
        signals.set_action(PIPE, Action { handler: 1, ..Action::default() });
        assert_eq!(signals.take(), None);
        signals.raise(TERMINATE, Reason::sent_by(7));
        signals.raise(TERMINATE, Reason::sent_by(8));
        assert_eq!(signals.take(), Some((TERMINATE, Reason::sent_by(7), Action::default())));
        assert_eq!(signals.take(), None);
    }

    #[test]
    fn what_is_kept_out_waits_but_for_two() {
        let mut signals = Signals::default();
        signals.set_mask(u64::MAX);
        for number in [TERMINATE, CHILD, STOP, KILL] {
            signals.raise(number, Reason::default());
        }
        assert_eq!(signals.kept_out(), bit(TERMINATE) | bit(CHILD));
        assert_eq!(signals.take().map(|(number, ..)| number), Some(KILL));
        assert_eq!(signals.take().map(|(number, ..)| number), Some(STOP));
        assert!(!signals.is_due());
        signals.set_mask(0);
        assert_eq!(signals.take().map(|(number, ..)| number), Some(TERMINATE));
    }

    #[test]
    fn handlers_keep_signals_out() {
        let mut signals = Signals::default();
        signals.set_action(TERMINATE, handled(Action::ONCE, bit(PIPE)));
        signals.set_mask(bit(1));
        let action = signals.action(TERMINATE);
        assert_eq!(action.effect(TERMINATE), Effect::Handler);
        assert_eq!(signals.enter(TERMINATE, &action), bit(1));
        assert_eq!(signals.mask(), bit(1) | bit(PIPE) | bit(TERMINATE));
        assert_eq!(signals.action(TERMINATE), Action::default());
        let action = handled(Action::NOT_DEFERRED, 0);
        signals.set_mask(0);
        assert_eq!((signals.enter(CHILD, &action), signals.mask()), (0, 0));
    }

    #[test]
    fn who_waits_with_another_mask_gets_its_own_back() {
        let mut signals = Signals::default();
        signals.set_mask(bit(CHILD));
        signals.set_mask_while_waiting(0);
        signals.set_mask_while_waiting(bit(1));
        assert_eq!(signals.mask(), 0);
        assert_eq!(signals.of_child().mask(), 0);
        signals.end_wait();
        signals.set_mask_while_waiting(0);
        assert_eq!((signals.enter(CHILD, &handled(0, 0)), signals.mask()), (bit(CHILD), bit(CHILD)));
        signals.end_wait();
        assert_eq!(signals.mask(), bit(CHILD));
    }

    #[test]
    fn handlers_run_on_the_other_stack_once() {
        let other = OtherStack { start: 0x1000, length_bytes: 0x100 };
        let (wanting, not) = (handled(Action::ON_OTHER_STACK, 0), handled(0, 0));
        assert_eq!([0x1000, 0x1001, 0x1100, 0x1101].map(|pointer| other.holds(pointer)), [false, true, true, false]);
        assert_eq!((other.top(&wanting, 0x9000), other.top(&not, 0x9000)), (0x1100, 0x9000));
        assert_eq!((other.top(&wanting, 0x1080), OtherStack::default().top(&wanting, 0x9000)), (0x1080, 0x9000));
        assert_eq!((other.words(0x1080), other.words(0x9000)), ([0x1000, 1, 0x100], [0x1000, 0, 0x100]));
        assert_eq!(OtherStack::default().words(0x9000), [0, 2, 0]);
    }

    #[test]
    fn another_program_has_no_handlers() {
        let mut signals = Signals::default();
        signals.set_action(PIPE, Action { handler: 1, ..Action::default() });
        signals.set_action(TERMINATE, handled(0, 0));
        signals.raise(TERMINATE, Reason::default());
        assert!(!signals.of_child().is_due() && signals.is_due());
        let (mut thread, child) = (signals.of_thread(), signals.of_child());
        thread.set_action(STOP, handled(0, 0));
        assert_eq!([&signals, &child].map(|each| each.action(STOP) == Action::default()), [false, true]);
        signals.forget_handlers();
        assert_eq!([PIPE, TERMINATE].map(|each| signals.action(each).effect(each)), [Effect::Nothing, Effect::End]);
    }
}
