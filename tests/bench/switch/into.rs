//! One switch from the program's own space into another kind of space, and what it must do before it can use a tag.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, SLOT, Scene, subtree};
use crate::support::spaces::{Visit, go_home};
use libvas::{Cap, Enterable, Rights, Space, View, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "switch_into_space",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into another one",
        leaves_out: "the way back",
        measure: |meter, _| into(meter, &program().new_space()?),
    },
    Benchmark {
        name: "switch_into_view",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into a read-only view of another one",
        leaves_out: "the way back",
        measure: |meter, _| {
            let base = program().new_space()?;
            into(meter, &View::new(program().account(), &base, Rights::READ)?)
        },
    },
    Benchmark {
        name: "switch_into_core_window",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into one with a core window, which has a root table for \
            each CPU",
        leaves_out: "the way back",
        measure: |meter, _| {
            let (space, subtree) = (program().new_space()?, subtree()?);
            space.attach_core(SLOT, &subtree, Rights::READ, 0)?;
            into(meter, &space)
        },
    },
    Benchmark {
        name: "switch_into_local",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into one that is local to the CPU",
        leaves_out: "the way back",
        measure: |meter, _| {
            let space = Space::new_local(program().account(), 0)?;
            space.attach_window(0, program().subtree(), Rights::ACCESS)?;
            into(meter, &space)
        },
    },
    Benchmark {
        name: "switch_cold_tag",
        points: &[],
        axis: "",
        what: "the first switch into a space, which has no tag yet",
        leaves_out: "the way back",
        measure: |meter, _| {
            let fresh = || program().new_space();
            meter.sample(1, fresh, |space| space.switch().map(|_| Visit(space)))
        },
    },
    Benchmark {
        name: "switch_stale_tag",
        points: &[],
        axis: "",
        what: "a switch into a space that was changed since it was left: where CPUs invalidate for themselves \
            only, its tag is flushed now",
        leaves_out: "the way back; and the flush itself on aarch64, where the change was broadcast",
        measure: |meter, _| {
            let scene = Scene::new()?;
            let change = || {
                go_home()?;
                scene.map(ADDRESS)?;
                scene.unmap(ADDRESS)
            };
            let measured = meter.sample(1, change, |()| scene.space.switch());
            go_home()?;
            measured
        },
    },
];

fn into(meter: &mut Meter, there: &Cap<impl Enterable>) -> Measured {
    let measured = meter.sample(1, go_home, |()| there.switch());
    go_home()?;
    measured
}
