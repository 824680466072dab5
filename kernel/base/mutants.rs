//! Bugs that tests can switch on, to see that the tests of invalidation catch them.
//!
//! On bare metal [`is_seeded`] is constantly false, so that nothing of this is left in the kernel. On a host a test
//! thread seeds one mutant at a time (`seed`); a kernel built with the feature `seeded` (`tests/seeded`) does so by
//! the option `seed=NAME`.

use core::fmt::Write;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What clones have in common can be written to.
    CloneMayWrite,
    /// A table that one more clone has is not counted for it.
    CloneUncounted,
    /// A table that clones have in common is replaced, and who holds what it showed is not told.
    CloneBreakUnflushed,
    /// A page is copied, and who holds what was shown before is not told.
    CopiedUnflushed,
    /// A page of a map's own that another one comes to have is not counted for it.
    PrivateUncounted,
    /// A page is written to that was copied before the map was cloned again.
    PrivateWrittenThrough,
    /// What is pinned is copied in clones.
    PinForgotten,
    /// What a clone may only read can be written to.
    FrozenMayWrite,
    /// Pages are given back, and who holds what showed them is not told.
    DiscardUnflushed,
    /// What is copied in any case is shown for writing.
    PrivateShared,
    /// What was moved is lent by nobody any more.
    MovedNotLent,
    /// What is lent to a space is not lent to its clones.
    CloneNotLent,
    /// What is taken back is unmapped from tables that clones have in common.
    TakenBackInCommon,
    /// Who held a lock exclusively holds it still when it has left.
    LockKept,
    /// A lock is free, and nobody who waits for it is told.
    LockWakesNobody,
    /// A space is entered by a good pass although it takes locks.
    LockPassedBy,
    /// Who leaves a space with locks by a switch holds them still.
    LockLeftByFastPath,
    /// A thread would wait for itself, and does.
    DeadlockUnseen,
    /// A new generation of tags begins without the CPUs having to flush.
    NoFlushAtRollOver,
    /// A new generation leaves the passes of the old one good.
    PassesSurviveRollOver,
    /// A tag that is live on a CPU is given to another space.
    LiveTagNotReserved,
    /// A CPU in the space is not interrupted.
    MissingInterrupt,
    /// The last CPU is left out.
    LastCpuForgotten,
    /// A capability to a space goes, and who was about to switch by it is not seen.
    WayInStaysOpen,
    /// Who runs in a space by a capability that goes is not noted.
    RunnerNotNoted,
    /// A thread is noted by the capability by which it came before.
    NotedByOldCapability,
    /// What is behind the place where a mapping was split is lent by nobody.
    PartNotLent,
    /// A use is put below its capability, not beside it.
    UseBelowItself,
    /// What is taken back by badge has any badge.
    BadgeIgnored,
    /// How far a call came in a list stays noted in another capability's.
    MarkerMistaken,
    /// What there is of a view that is taken back stays.
    ViewListForgotten,
    /// A thread that falls back to what is taken back still does.
    FallbackSurvives,
    /// A thread that was thrown out counts as inside by what it came by.
    LandingNotNoted,
    /// A caller that is itself inside by what it takes back goes first.
    CallerGoesFirst,
    /// What threads have suspended without the lock is not noted before something is taken away.
    FreshNotNoted,
    /// Who is on a stack of a gate that closes stays.
    HolderStays,
    /// A guest that is kicked while nobody runs it is run all the same.
    KickLost,
    /// Who runs a guest is not known before that is noted.
    FreshRunnerUnknown,
    /// Who runs a guest that is noted has its own registers still.
    GuestNotExchanged,
    /// Whoever comes next is not asked where a handler was taken out of a question.
    QuestionLost,
    /// A thread that was interrupted goes on with the registers of its handler.
    HandlersRegistersKept,
    /// A CPU that may hold translations is not marked.
    StaleMarkForgotten,
    /// Tables are freed before the invalidation.
    FreedBeforeFlush,
    /// A table that becomes empty is freed at once, not with the others after the invalidation.
    TableFreedAtOnce,
    /// What the CPU remembers of tables on the way stays: a change that frees tables is not flushed.
    TablesFreedUnflushed,
    /// The last page of a range is left out.
    RangeOnePageShort,
    /// A range that is too long for page after page is not flushed at all.
    LongRangeDropped,
    /// Detaching a subtree flushes nothing.
    DetachUnflushed,
    /// A core window is flushed on another CPU than its own.
    WindowFlushedElsewhere,
    /// A root of its own for each CPU makes stale marks go.
    WindowForgetsMarks,
    /// Rights shrink without a flush.
    ProtectUnflushed,
    /// One of the spaces that share a subtree is left out.
    SharerForgotten,
    /// A large page is split without having been invalidated.
    SplitWithoutBreak,
    /// The CPU that destroys the space it is in stays on its root.
    DestroyerStays,
    /// A CPU that is told to let go of its space stays on its root.
    ParkedStays,
    /// A fault that a CPU has not yet seen to is forgotten when it lets go of the thread.
    PendingFaultLost,
    /// What is untagged is not flushed when it is entered again.
    UntaggedKept,
    /// A subtree is attached without bounds.
    BoundsNotApplied,
    /// A view shows everything without bounds.
    ViewUnbounded,
    /// What is attached as a window is attenuated in views, and the rest is not.
    WindowsMistaken,
    /// A view does not show what its base gains.
    ViewMissesGain,
    /// A view goes on showing what its base loses.
    ViewMissesLoss,
    /// A change of a space is not flushed in its views.
    ViewUnflushed,
    /// Who sees a subtree only through another one is left out.
    NestedSharerForgotten,
    /// An attachment does not keep its subtree, which goes with its last capability.
    SharerNotHeld,
    /// Of several places at which a space or subtree shows a subtree, only the first is flushed.
    SecondPlaceForgotten,
    /// Behind an owner with several places the next one is skipped.
    NextOwnerSkipped,
    /// Of what a space sees in two ways, only the first is flushed.
    SecondWayForgotten,
    /// What a space sees in two ways is flushed on the CPUs of the first only.
    SecondWayOtherCpus,
    /// What a space sees in two ways is flushed in its views only if they see the first.
    SecondWayUnseenInViews,
    /// The tables above an attachment stay when it goes.
    AttachTableLeaked,
    /// Of the addresses at which spaces show a subtree, the first is not broadcast.
    AddressForgotten,
    /// A sealed subtree can be changed.
    SealIgnored,
    /// Withdrawing a subtree flushes nothing.
    WithdrawUnflushed,
    /// A new space does not show what is public.
    PublicMissing,
    /// What is public is not global.
    PublicNotGlobal,
    /// What was public stays global.
    PublicStaysGlobal,
    /// A change of what is public is flushed on the calling CPU only.
    PublicFlushedHereOnly,
    /// A table that goes from a public subtree is flushed like a page.
    PublicTableKept,
    /// Of what changes in a public subtree the last page is left out.
    PublicRangeShort,
    /// What is public is written into a new root that no walker need see.
    NewRootUnpublished,
    /// A CPU enters its copy of a root, which no walker need see.
    CopiedRootUnpublished,
    /// What is doomed can be found still.
    DoomedFound,
    /// Emptying a table goes on behind the slot at which it stopped.
    EmptyingForgetsSlot,
    /// A table that was cut loose counts as empty where a step ends in it.
    LooseTableForgotten,
    /// A space is taken apart without its translations having been invalidated.
    DismantledUnflushed,
    /// A CPU enters a space without looking at its pass again.
    NotLookedAgain,
    /// A check does not see that others have done something between its steps.
    ActivityUnseen,
    /// Who changes a space looks where CPUs are without a fence before.
    ChangerWithoutFence,
    /// A CPU that tries to switch counts as in the space it may enter only.
    TriedSwitchHides,
    /// What a CPU is asked is acknowledged before it is done.
    AcknowledgedBefore,
}

/// Those of taking objects apart by steps (`tests/host/tests/debts`).
pub const DEBT_MUTANTS: [Mutant; 4] =
    [Mutant::DoomedFound, Mutant::EmptyingForgetsSlot, Mutant::LooseTableForgotten, Mutant::DismantledUnflushed];

/// Those of changing segments and mappings (`tests/host/tests/segments`).
pub const SEGMENT_MUTANTS: [Mutant; 3] = [Mutant::DiscardUnflushed, Mutant::PrivateShared, Mutant::MovedNotLent];

/// Those of clones (`tests/host/tests/clones`).
pub const CLONE_MUTANTS: [Mutant; 10] = [
    Mutant::CloneMayWrite,
    Mutant::CloneUncounted,
    Mutant::CloneBreakUnflushed,
    Mutant::CopiedUnflushed,
    Mutant::PrivateUncounted,
    Mutant::PrivateWrittenThrough,
    Mutant::PinForgotten,
    Mutant::FrozenMayWrite,
    Mutant::CloneNotLent,
    Mutant::TakenBackInCommon,
];

/// Those of locks (`tests/host/tests/locks`).
pub const LOCK_MUTANTS: [Mutant; 5] = [
    Mutant::LockKept,
    Mutant::LockWakesNobody,
    Mutant::LockPassedBy,
    Mutant::LockLeftByFastPath,
    Mutant::DeadlockUnseen,
];

/// Those of checks that are made in steps (`tests/host/tests/steps`).
pub const CHECK_MUTANTS: [Mutant; 1] = [Mutant::ActivityUnseen];

/// Those of the handshake, which show only where CPUs run at the same time (`tests/loom`).
pub const HANDSHAKE_MUTANTS: [Mutant; 4] =
    [Mutant::NotLookedAgain, Mutant::ChangerWithoutFence, Mutant::TriedSwitchHides, Mutant::AcknowledgedBefore];

/// Those that concern threads alone (`tests/host/tests/threads`).
pub const THREAD_MUTANTS: [Mutant; 1] = [Mutant::PendingFaultLost];

/// Those that no CPU's translations show, but a model of what each space and view should show (`tests/host`).
pub const MODEL_MUTANTS: [Mutant; 6] = [
    Mutant::BoundsNotApplied,
    Mutant::ViewMissesGain,
    Mutant::AttachTableLeaked,
    Mutant::SealIgnored,
    Mutant::WindowsMistaken,
    Mutant::PublicNotGlobal,
];

/// Those of taking back, which a naive model of the derivation list shows (`tests/host/tests/lending`).
pub const LENDING_MUTANTS: [Mutant; 11] = [
    Mutant::WayInStaysOpen,
    Mutant::RunnerNotNoted,
    Mutant::NotedByOldCapability,
    Mutant::PartNotLent,
    Mutant::UseBelowItself,
    Mutant::BadgeIgnored,
    Mutant::MarkerMistaken,
    Mutant::ViewListForgotten,
    Mutant::FallbackSurvives,
    Mutant::LandingNotNoted,
    Mutant::CallerGoesFirst,
];

/// Those of gate calls, which a naive model of activations shows (`tests/host/tests/calls`).
pub const CALL_MUTANTS: [Mutant; 2] = [Mutant::FreshNotNoted, Mutant::HolderStays];

/// Those of guests, which a naive model shows (`tests/host/tests/guests`).
pub const GUEST_MUTANTS: [Mutant; 3] = [Mutant::KickLost, Mutant::FreshRunnerUnknown, Mutant::GuestNotExchanged];

/// Those of handlers (`tests/host/tests/handlers.rs`).
pub const HANDLER_MUTANTS: [Mutant; 2] = [Mutant::QuestionLost, Mutant::HandlersRegistersKept];

/// All others, which the oracle of the fake machine catches (`tests/host`).
pub const MUTANTS: [Mutant; 38] = [
    Mutant::NoFlushAtRollOver,
    Mutant::PassesSurviveRollOver,
    Mutant::LiveTagNotReserved,
    Mutant::MissingInterrupt,
    Mutant::LastCpuForgotten,
    Mutant::StaleMarkForgotten,
    Mutant::FreedBeforeFlush,
    Mutant::TableFreedAtOnce,
    Mutant::TablesFreedUnflushed,
    Mutant::RangeOnePageShort,
    Mutant::LongRangeDropped,
    Mutant::DetachUnflushed,
    Mutant::WindowFlushedElsewhere,
    Mutant::WindowForgetsMarks,
    Mutant::ProtectUnflushed,
    Mutant::SharerForgotten,
    Mutant::SplitWithoutBreak,
    Mutant::DestroyerStays,
    Mutant::ParkedStays,
    Mutant::UntaggedKept,
    Mutant::ViewUnbounded,
    Mutant::ViewMissesLoss,
    Mutant::ViewUnflushed,
    Mutant::NestedSharerForgotten,
    Mutant::SharerNotHeld,
    Mutant::SecondPlaceForgotten,
    Mutant::NextOwnerSkipped,
    Mutant::SecondWayForgotten,
    Mutant::SecondWayOtherCpus,
    Mutant::SecondWayUnseenInViews,
    Mutant::AddressForgotten,
    Mutant::WithdrawUnflushed,
    Mutant::PublicMissing,
    Mutant::PublicStaysGlobal,
    Mutant::PublicFlushedHereOnly,
    Mutant::PublicTableKept,
    Mutant::PublicRangeShort,
    Mutant::CopiedRootUnpublished,
];

/// Whether the kernel has this bug.
#[cfg(all(target_os = "none", not(feature = "seeded")))]
#[inline(always)]
pub const fn is_seeded(_mutant: Mutant) -> bool {
    false
}

/// A number of things to be done, one less if the kernel has this bug.
#[inline(always)]
pub fn cut_short<T: core::ops::Sub<Output = T> + From<bool>>(count: T, mutant: Mutant) -> T {
    if is_seeded(mutant) { count - T::from(true) } else { count }
}

/// Gives the kernel the bug of this name.
///
/// # Errors
/// If there is none, or this kernel can have none.
pub fn seed_by_name(name: &str) -> Result<(), &'static str> {
    /// What is left of a name that is compared, and whether it was the same so far.
    struct Rest<'a>(Option<&'a str>);
    impl Write for Rest<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0 = self.0.and_then(|rest| rest.strip_prefix(text));
            Ok(())
        }
    }
    let is_called = |mutant: &&Mutant| {
        let mut rest = Rest(Some(name));
        write!(rest, "{mutant:?}").is_ok() && rest.0 == Some("")
    };
    let mutant = MUTANTS.iter().find(is_called).ok_or("`seed=` names no bug that there is")?;
    seed(Some(*mutant));
    if is_seeded(*mutant) { Ok(()) } else { Err("`seed=` is for kernels of `tests/seeded`") }
}

#[cfg(not(target_os = "none"))]
pub use on_host::{is_seeded, seed};

#[cfg(all(target_os = "none", feature = "seeded"))]
pub use on_purpose::{is_seeded, seed};

#[cfg(all(target_os = "none", not(feature = "seeded")))]
const fn seed(_mutant: Option<Mutant>) {}

#[cfg(all(target_os = "none", feature = "seeded"))]
mod on_purpose {
    use super::Mutant;
    use core::sync::atomic::{AtomicU8, Ordering};

    const NONE: u8 = u8::MAX;
    static SEEDED: AtomicU8 = AtomicU8::new(NONE);

    /// Whether the kernel has this bug.
    #[inline(always)]
    pub fn is_seeded(mutant: Mutant) -> bool {
        SEEDED.load(Ordering::Relaxed) == mutant as u8
    }

    /// Gives the kernel a bug, or none.
    pub fn seed(mutant: Option<Mutant>) {
        SEEDED.store(mutant.map_or(NONE, |mutant| mutant as u8), Ordering::Relaxed);
    }
}

#[cfg(not(target_os = "none"))]
mod on_host {
    use super::Mutant;
    use std::cell::Cell;

    std::thread_local! {
        static SEEDED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether the calling test thread's kernel has this bug.
    pub fn is_seeded(mutant: Mutant) -> bool {
        SEEDED.get() == Some(mutant)
    }

    /// Gives the calling test thread's kernel a bug, or none.
    pub fn seed(mutant: Option<Mutant>) {
        SEEDED.set(mutant);
    }
}
