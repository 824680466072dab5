//! A space with a page that comes and goes, and the counting of what its going takes.

use crate::others::{Others, Where};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, counters, program};

/// Unmaps that are counted.
const UNMAPS: u64 = 100;

/// Attempts for that, since those during which a thread was switched somewhere do not count.
const ATTEMPTS_MAX: u64 = 100_000;

/// Where the page that stays is, and, where the page is the space's own, behind it the one that comes and goes.
const ANCHOR: u64 = 40 * TOP_SLOT_BYTES;

/// Where the core window is.
const WINDOW: u64 = 41 * TOP_SLOT_BYTES;

/// Whose page comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A space that any CPU may enter.
    Ordinary,
    /// A space that is local to CPU 0.
    Local,
    /// A core window of CPU 0, in an ordinary space.
    Window,
}

/// What was counted, over all CPUs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) unmaps: u64,
    pub(crate) sent: u64,
    pub(crate) marks: u64,
    pub(crate) pages: u64,
}

/// The space and the memory.
pub(crate) struct Bench {
    kind: Kind,
    space: Cap<Space>,
    window: Cap<Subtree>,
    segment: Cap<Segment>,
}

impl Bench {
    /// A space with the program, an anchor page, and the window if there is to be one.
    pub(crate) fn new(kind: Kind) -> Result<Bench, Error> {
        let account = program().account();
        let (window, segment) = (Subtree::new(account)?, Segment::new(account, PAGE_BYTES)?);
        let space = match kind {
            Kind::Local => {
                let space = Space::new_local(account, 0)?;
                space.attach(0, program().subtree(), Rights::ACCESS)?;
                space
            }
            Kind::Ordinary | Kind::Window => program().new_space()?,
        };
        space.map(ANCHOR, &segment, 0..PAGE_BYTES, Rights::READ)?;
        if kind == Kind::Window {
            space.attach_core(WINDOW, &window, Rights::READ, 0)?;
        }
        Ok(Bench { kind, space, window, segment })
    }

    fn map(&self) -> Result<(), Error> {
        let (segment, range) = (&self.segment, 0..PAGE_BYTES);
        match self.kind {
            Kind::Window => self.window.map(PAGE_BYTES, segment, range, Rights::READ),
            _ => self.space.map(ANCHOR + PAGE_BYTES, segment, range, Rights::READ),
        }
    }

    fn unmap(&self) -> Result<(), Error> {
        match self.kind {
            Kind::Window => self.window.unmap(PAGE_BYTES..2 * PAGE_BYTES),
            _ => self.space.unmap(ANCHOR + PAGE_BYTES..ANCHOR + 2 * PAGE_BYTES),
        }
    }

    /// Unmaps the page again and again, from inside the space, while so many other CPUs are where they are told.
    pub(crate) fn count(&self, others: u64, place: Where) -> Result<Figures, Error> {
        let others = Others::start(others, place, &self.space, ANCHOR)?;
        let figures = self.space.enter(|| self.count_inside(&others, place))?;
        others.end()?;
        figures
    }

    fn count_inside(&self, others: &Others, place: Where) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        for _ in 0..ATTEMPTS_MAX {
            if figures.unmaps == UNMAPS {
                return Ok(figures);
            }
            self.map()?;
            if place == Where::Left {
                others.turn()?;
            }
            let before = counters::total()?;
            self.unmap()?;
            let after = counters::total()?;
            if after.thread_switches == before.thread_switches {
                figures.unmaps += 1;
                figures.sent += after.shootdowns_sent - before.shootdowns_sent;
                figures.marks += after.stale_marks - before.stale_marks;
                figures.pages += after.page_flushes - before.page_flushes;
            }
        }
        Err(Error::Gone)
    }
}
