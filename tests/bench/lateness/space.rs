//! How late a sleeper wakes while spaces go, and while what many views show changes.

use crate::measure::Benchmark;
use crate::support::crowd::{SPACES, THREADS, Threads, space_with_mappings, subtree_at_many_places};
use crate::support::lateness::lateness;
use crate::support::scene::{SLOT, subtree};
use alloc::vec::Vec;
use libvas::{Cap, Error, Rights, Space, Subtree, View, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_space_destroy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a space with 20,000 mappings",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, space_with_mappings, Cap::delete),
    },
    Benchmark {
        name: "lateness_space_destroy_attachments",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a space to which one subtree is attached 4,000 times",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_at_many_places, |(subtree, space)| space.delete().map(|()| subtree))
        },
    },
    Benchmark {
        name: "lateness_space_destroy_threads",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a space with 2,000 threads in it, all of which end",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, threads_inside, |(threads, space)| space.delete().map(|()| threads)),
    },
    Benchmark {
        name: "lateness_subtree_attach_views",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread attaches a subtree to a space with 3,000 views",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, viewed, |viewed| viewed.attach().map(|()| viewed)),
    },
    Benchmark {
        name: "lateness_subtree_detach_views",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread detaches a subtree from a space with 3,000 views",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(
                meter,
                || viewed().and_then(|viewed| viewed.attach().map(|()| viewed)),
                |viewed| viewed.detach().map(|()| viewed),
            )
        },
    },
];

fn threads_inside() -> Result<(Threads, Cap<Space>), Error> {
    let space = program().new_space()?;
    Ok((Threads::ready_in(&space, THREADS)?, space))
}

/// A space with many views, and a subtree for it.
struct Viewed {
    space: Cap<Space>,
    subtree: Cap<Subtree>,
    _views: Vec<Cap<View>>,
}

fn viewed() -> Result<Viewed, Error> {
    let (space, subtree) = (program().new_space()?, subtree()?);
    let view = |_| View::new(program().account(), &space, Rights::READ);
    let views = (0..SPACES).map(view).collect::<Result<_, _>>()?;
    Ok(Viewed { space, subtree, _views: views })
}

impl Viewed {
    fn attach(&self) -> Result<(), Error> {
        self.space.attach(SLOT, &self.subtree, Rights::READ)
    }

    fn detach(&self) -> Result<(), Error> {
        self.space.detach(SLOT)
    }
}
