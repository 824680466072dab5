//! What claims about several CPUs need: threads that stay on a CPU, and counts of what a call did to other CPUs.

use crate::{CLAIM_PRIORITY, Failure, Verdict, ensure_eq, refused, wait_for_state, wait_until};
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use libvas::layout::{Counters, Words};
use libvas::thread::{Builder, JoinHandle, ThreadState};
use libvas::{Cap, Enterable, Error, Place, Thread, counters, raw};

/// How often a count is taken anew because a thread was switched meanwhile.
const ATTEMPTS: u32 = 2000;

/// Ends the claim as not checked unless the machine runs so many CPUs.
///
/// # Errors
/// The reason why it is skipped.
pub fn needs_cpus(count: u64) -> Verdict {
    if counters::cpus()? < count { Err(Failure::skip(format!("needs {count} CPUs"))) } else { Ok(()) }
}

/// The set of all CPUs that run.
///
/// # Errors
/// None in practice: the machine is there.
pub fn running_cpus() -> Result<u64, Error> {
    Ok(u64::MAX >> (64 - counters::cpus()?))
}

/// How often each CPU does something that all do at once: so often with up to four, and with more as often in all. Where
/// each interrupts all others, what comes of it grows with the number of CPUs still.
///
/// # Errors
/// None in practice: the machine is there.
pub fn turns_of_each(turns: u64) -> Result<u64, Error> {
    Ok((4 * turns / counters::cpus()?.max(4)).max(2))
}

/// A thread for one CPU only, just less urgent than the claim itself.
pub fn on_cpu(cpu: u64) -> Builder<'static> {
    Builder::new().priority(CLAIM_PRIORITY - 1).cpus(1 << cpu)
}

/// How many shootdown interrupts it takes to reach so many CPUs: on aarch64 none, since the hardware reaches them all
/// by itself.
pub fn interrupts_for(cpus: u64) -> u64 {
    const X86_64: u16 = 62;
    if raw::ELF_MACHINE == X86_64 { cpus } else { 0 }
}

/// What all CPUs together counted while `work` ran. `prepare` is called before each attempt, and not counted; attempts
/// during which any CPU changed its thread do not count.
///
/// # Errors
/// A failure if there was no undisturbed attempt, and what the closures fail with.
pub fn counted(
    mut prepare: impl FnMut() -> Result<(), Error>,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<Counters, Failure> {
    for _ in 0..ATTEMPTS {
        prepare()?;
        let before = counters::total()?;
        work()?;
        let change = difference(&before, &counters::total()?);
        if change.thread_switches == 0 {
            return Ok(change);
        }
    }
    Err(Failure::new(format!("threads were switched during each of {ATTEMPTS} attempts")))
}

fn difference(before: &Counters, after: &Counters) -> Counters {
    let (mut first, mut last) = ([0; Counters::COUNT], [0; Counters::COUNT]);
    before.write(&mut first);
    after.write(&mut last);
    last.iter_mut().zip(first).for_each(|(last, first)| *last -= first);
    Counters::read(&last)
}

/// What a page holds that is to be taken from a reader, and what its memory holds afterwards.
pub const OLD: u64 = 0x01d0_1d01;
/// See [`OLD`].
pub const NEW: u64 = 0x0e20_2e20;

/// Waits until a spinner was stopped by a fault; the last thing it read is [`OLD`].
///
/// # Errors
/// A failure if it read something else, or ended otherwise.
#[track_caller]
pub fn has_faulted(spinner: Spinner) -> Verdict {
    wait_for_state(spinner.thread()?, ThreadState::Faulted)?;
    ensure_eq!(spinner.last(), OLD);
    refused(spinner.join(), Error::Faulted)
}

/// What a spinner and its maker share, on the heap, which is in every space of the program.
#[derive(Debug, Default)]
struct Watch {
    stop: AtomicBool,
    turns: AtomicU64,
    last: AtomicU64,
}

/// A thread that uses one word of memory over and over without ever entering the kernel by itself.
#[derive(Debug)]
pub struct Spinner {
    thread: Option<JoinHandle<()>>,
    watch: Arc<Watch>,
}

impl Spinner {
    /// Reads a word in `space`; `builder` says where it runs.
    ///
    /// # Errors
    /// What starting a thread can fail with.
    pub fn reading<'a>(builder: Builder<'a>, space: &'a Cap<impl Enterable>, address: u64) -> Result<Spinner, Error> {
        let place = Place::<u64>::new(address)?;
        Spinner::new(builder, space, move |_| place.get())
    }

    /// Writes numbers that grow to a word in `space`.
    ///
    /// # Errors
    /// What starting a thread can fail with.
    pub fn writing<'a>(builder: Builder<'a>, space: &'a Cap<impl Enterable>, address: u64) -> Result<Spinner, Error> {
        let place = Place::<u64>::new(address)?;
        Spinner::new(builder, space, move |turn| {
            place.set(turn);
            turn
        })
    }

    fn new<'a>(
        builder: Builder<'a>,
        space: &'a Cap<impl Enterable>,
        act: impl Fn(u64) -> u64 + Send + 'static,
    ) -> Result<Spinner, Error> {
        let watch = Arc::new(Watch::default());
        let shared = Arc::clone(&watch);
        let body = move || {
            while !shared.stop.load(Ordering::Relaxed) {
                let turn = shared.turns.load(Ordering::Relaxed) + 1;
                shared.last.store(act(turn), Ordering::Relaxed);
                shared.turns.store(turn, Ordering::Release);
            }
        };
        Ok(Spinner { thread: Some(builder.space(space).spawn(body)?), watch })
    }

    /// How often it has used the word.
    pub fn turns(&self) -> u64 {
        self.watch.turns.load(Ordering::Acquire)
    }

    /// What it read or wrote last.
    pub fn last(&self) -> u64 {
        self.watch.last.load(Ordering::Relaxed)
    }

    /// Waits until it has used the word again, from beginning to end.
    ///
    /// # Errors
    /// A failure if it does not.
    #[track_caller]
    pub fn wait(&self) -> Verdict {
        let before = self.turns();
        wait_until(|| Ok(self.turns() > before + 1))
    }

    /// The thread.
    ///
    /// # Errors
    /// None in practice: it is there until the spinner is used up.
    pub fn thread(&self) -> Result<&Cap<Thread>, Error> {
        self.thread.as_ref().map(JoinHandle::thread).ok_or(Error::Gone)
    }

    /// Lets it end and waits for that.
    ///
    /// # Errors
    /// `Faulted` or `Gone` if it ended otherwise.
    pub fn end(mut self) -> Result<(), Error> {
        self.watch.stop.store(true, Ordering::Relaxed);
        self.thread.take().ok_or(Error::Gone)?.join()
    }

    /// Waits for it without telling it to end.
    ///
    /// # Errors
    /// `Faulted` or `Gone`, the two ways in which it can end by itself.
    pub fn join(mut self) -> Result<(), Error> {
        self.thread.take().ok_or(Error::Gone)?.join()
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.watch.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A claim that failed leaves it behind; it must not disturb the next one.
            let _ = thread.thread().stop();
        }
    }
}
