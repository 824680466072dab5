//! Fuzzing: calls that make no sense, in large numbers, leave the kernel in order.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, LEVELS, Random, Room, SpareStack, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq,
    fresh_address, run, start_at, takes, the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::layout::program::SCRATCH;
use libvas::sync::Mutex;
use libvas::{
    Account, Cap, CapTable, Error, Object, ObjectKind, PAGE_BYTES, Rights, Segment, Space, Subtree, Thread, USER_END,
    View, program, thread,
};
use tessera_abi::syscall::{DESCRIPTIONS, number};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(random_calls_leave_the_kernel_in_order),
        claim!(random_memory_calls_leave_the_kernel_in_order),
        claim!(the_program_goes_on_after_the_noise),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("fuzz", CLAIMS)
}

/// How many calls each round makes.
const CALLS: u64 = 20_000;

/// Calls that end or move their caller, or wait for what may never come; and two that print or take long.
const LEFT_OUT: [u64; 9] = [
    number::space_jump,
    number::sleep,
    number::console_write,
    number::thread_start,
    number::thread_exit,
    number::thread_join,
    number::thread_set_fallback,
    number::machine_check,
    number::gate_call,
];

/// Calls on memory: the ones with the most to get wrong.
const ON_MEMORY: [u64; 11] = [
    number::map,
    number::unmap,
    number::protect,
    number::subtree_attach,
    number::subtree_detach,
    number::subtree_create,
    number::subtree_withdraw,
    number::view_create,
    number::memory_read,
    number::memory_write,
    number::segment_create,
];

/// What the noisy thread picks its arguments from.
struct Noise {
    random: Random,
    /// Those of the toys, which stay.
    handles: Vec<(ObjectKind, u64)>,
    /// What calls returned, the last few of them.
    made: [u64; 16],
    addresses: Vec<u64>,
    calls: &'static [u64],
}

static NOISE: Mutex<Option<Noise>> = Mutex::new(None);
static DONE: AtomicU64 = AtomicU64::new(0);
static GRANTED: AtomicU64 = AtomicU64::new(0);

impl Noise {
    /// A handle for an argument of this name: mostly a good one, or a little wrong, or nothing at all.
    fn handle(&mut self, name: &str) -> u64 {
        let mut known = match self.random.below(8) {
            0 => self.random.one_of(&self.made),
            _ => self.random.one_of(&self.handles).1,
        };
        if self.random.below(4) != 0 {
            let fitting = |(kind, _): &&(ObjectKind, u64)| takes(name, *kind);
            let count = self.handles.iter().filter(fitting).count() as u64;
            let chosen = self.random.below(count.max(1)) as usize;
            known = self.handles.iter().filter(fitting).nth(chosen).map_or(known, |(_, handle)| *handle);
        }
        match self.random.below(16) {
            0 => self.random.next_word(),
            1 => known ^ 1 << self.random.below(64),
            2 => self.random.below(64) | 1 << 32,
            _ => known,
        }
    }

    /// An address that may be used, is next to one, or is anything outside of the program.
    fn address(&mut self) -> u64 {
        let known = self.random.one_of(&self.addresses);
        let address = match self.random.below(8) {
            0 => self.random.next_word(),
            1 => known.wrapping_add(self.random.below(64)),
            2 => known.wrapping_add(self.random.below(16) * PAGE_BYTES),
            _ => known,
        };
        if (PAGE_BYTES..SCRATCH).contains(&address) { UNMAPPED } else { address }
    }

    /// A length or offset, mostly of a few pages.
    fn length(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.word(),
            _ => self.random.below(6) * PAGE_BYTES,
        }
    }

    /// A set of rights, mostly of those that memory has.
    fn rights(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.word(),
            _ => u64::from(self.random.one_of(&[Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE]).bits()),
        }
    }

    /// A number.
    fn word(&mut self) -> u64 {
        match self.random.below(6) {
            0 => self.random.next_word(),
            1 => 1 << self.random.below(64),
            2 => self.random.below(64) * PAGE_BYTES,
            3 => self.random.below(1 << 19),
            _ => self.random.below(8),
        }
    }

    /// One call, whatever comes of it; says whether it was granted.
    fn call(&mut self) -> bool {
        let beyond = self.random.below(50) == 0;
        let call = if beyond { self.random.next_word() } else { self.random.one_of(self.calls) };
        let description = DESCRIPTIONS.get(usize::try_from(call).unwrap_or(usize::MAX));
        let arguments = description.map_or(&[][..], |description| description.arguments);
        let mut words = [0; 6];
        for (index, word) in words.iter_mut().enumerate() {
            *word = match arguments.get(index) {
                Some((name, "Handle")) => self.handle(name),
                Some((_, "Rights")) => self.rights(),
                Some(("address" | "to_address" | "buffer" | "text" | "value" | "from", _)) => self.address(),
                Some(("length_bytes" | "offset" | "bytes", _)) => self.length(),
                _ => self.word(),
            };
        }
        let result = attempt(call, words);
        let gives_handle =
            description.is_some_and(|call| call.name.ends_with("_create") || call.name.contains("derive"));
        if let (true, Ok(handle)) = (gives_handle, result) {
            let place = self.random.below(self.made.len() as u64) as usize;
            self.made[place] = handle;
        }
        result.is_ok()
    }
}

/// The thread that makes the noise: its table holds nothing but toys.
extern "C" fn make_noise(_: u64, _: u64) -> ! {
    if let Some(mut noise) = NOISE.lock(Option::take) {
        for _ in 0..CALLS {
            let granted = noise.call();
            GRANTED.fetch_add(u64::from(granted), Ordering::Relaxed);
            DONE.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread::exit(0)
}

/// The objects that the noise may damage, and the table through which it names them.
struct Toys {
    table: Cap<CapTable>,
    account: Cap<Account>,
    home: Cap<Space>,
    room: Room,
    handles: Vec<(ObjectKind, u64)>,
}

impl Toys {
    fn new() -> Result<Toys, Error> {
        let account = program().account().split(8 << 20)?;
        let table = CapTable::new(program().account(), 512)?;
        let mut toys = Toys { table, account, home: program().new_space()?, room: Room::new(4)?, handles: Vec::new() };
        let (room, home) = (&toys.room, &toys.home);
        home.map(room.address(), room.segment(), 0..4 * PAGE_BYTES, Rights::READ_WRITE)?;
        // The noisy thread's own space may be looked at, but the ground under the thread stays.
        let in_home = home.copy_into(&toys.table, Rights::SWITCH | Rights::INSPECT | Rights::GRANT, 0)?;
        toys.handles.push((ObjectKind::Space, in_home.bits()));
        let sleeper = CapTable::new(&toys.account, 4)?;
        let idle = Thread::new(&toys.account, &sleeper, &toys.home, 0)?;
        toys.add(&idle)?;
        toys.add(&sleeper)?;
        for _ in 0..3 {
            let space = Space::new(&toys.account)?;
            toys.add(&View::new(&toys.account, &space, Rights::READ)?)?;
            toys.add(&space)?;
            for level in LEVELS {
                toys.add(&Subtree::with_level(&toys.account, level)?)?;
            }
            toys.add(&Segment::new_lazy(&toys.account, 64 * PAGE_BYTES)?)?;
            toys.add(&Segment::new(&toys.account, 8 * PAGE_BYTES)?)?;
        }
        let account = toys.account.derive(Rights::all(), 0)?;
        toys.add(&account)?;
        Ok(toys)
    }

    fn add<T: Object>(&mut self, toy: &Cap<T>) -> Result<(), Error> {
        self.handles.push((T::KIND, toy.copy_into(&self.table, toy.rights()?, 0)?.bits()));
        Ok(())
    }

    /// Lets a thread make noise with the toys; gives how joining it ended.
    fn make_noise(&self, seed: u64, calls: &'static [u64]) -> Result<Result<u64, Error>, Error> {
        let bad = [0, UNMAPPED, USER_END, 0_u64.wrapping_sub(64)];
        let mut addresses = Vec::from_iter(KERNEL_ADDRESSES.into_iter().step_by(3).chain(bad));
        let free = fresh_address();
        addresses.extend([self.room.address(), USER_END - 8 * PAGE_BYTES, 30 << 39, 31 << 39, 77 << 39]);
        addresses.extend([free, free + 4 * PAGE_BYTES, free + 8 * PAGE_BYTES, free + (2 << 20), free + (64 << 20)]);
        let (random, handles) = (Random::new(seed), self.handles.clone());
        let noise = Noise { random, made: [0; 16], handles, addresses, calls };
        NOISE.lock(|shared| *shared = Some(noise));
        DONE.store(0, Ordering::Relaxed);
        GRANTED.store(0, Ordering::Relaxed);
        let thread = Thread::new(program().account(), &self.table, &self.home, 5)?;
        start_at(&thread, make_noise, SpareStack::new(), 0)?;
        Ok(thread.join())
    }
}

/// Makes noise from several seeds and lets the kernel check itself after each.
fn noise_is_survived(calls: &'static [u64], least_granted: u64) -> Verdict {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    for seed in [1, 0x5eed, 0xfeed_face] {
        let toys = Toys::new()?;
        let ended = toys.make_noise(seed, calls)?;
        let (done, granted) = (DONE.load(Ordering::Relaxed), GRANTED.load(Ordering::Relaxed));
        ensure!(ended == Ok(0), "seed {seed:#x}: the noisy thread ended with {ended:?} after {done} calls");
        ensure_eq!(done, CALLS);
        // Noise that is always refused at the door would prove little.
        ensure!(granted >= least_granted, "seed {seed:#x}: only {granted} calls were granted");
        machine.check()?;
    }
    Ok(())
}

/// Every call that comes back to its caller, with numbers, handles and addresses that are good, wrong or nonsense.
fn random_calls_leave_the_kernel_in_order() -> Verdict {
    let calls = (0..DESCRIPTIONS.len() as u64).filter(|call| !LEFT_OUT.contains(call));
    let calls: &'static [u64] = Vec::leak(calls.collect());
    noise_is_survived(calls, CALLS / 20)
}

/// The calls that change memory, again and again on the same few objects.
fn random_memory_calls_leave_the_kernel_in_order() -> Verdict {
    noise_is_survived(&ON_MEMORY, CALLS / 100)
}

/// Afterwards spaces can be made, mapped, entered and given up as before.
fn the_program_goes_on_after_the_noise() -> Verdict {
    let (space, room) = (program().new_space()?, Room::new(1)?);
    space.map(room.address(), room.segment(), 0..PAGE_BYTES, Rights::READ)?;
    let word = room.word(0)?;
    word.set(12);
    ensure_eq!(space.enter(|| word.get())?, 12);
    ensure_eq!(thread::spawn_in(&space, move || word.get())?.join()?, 12);
    Ok(())
}
