//! SpaceJMP's experiment with random updates (GUPS): memory of N windows of 1 MiB, only one of which is seen at a
//! time, as there is too little address space for more. To see another one takes a switch to another space, or
//! mapping it in place of the one before.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::SLOT;
use crate::support::spaces::{go_home, spaces};
use alloc::vec::Vec;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "gups_windows",
        points: &[1, 2, 4, 8, 16, 32, 64, 128],
        axis: "windows",
        what: "1,024 updates of random words, 64 in each window visited, windows taken at random, by switching \
            among spaces",
        leaves_out: "refilling the TLB, which takes no instructions",
        measure: |meter, windows| {
            let (spaces, memory) = (spaces(windows)?, memory(windows)?);
            for (space, window) in spaces.iter().zip(&memory) {
                space.map(START, window, 0..WINDOW_BYTES, Rights::READ_WRITE)?;
            }
            let measured = measure(meter, windows, |to| spaces[to].switch().map(|_| ()));
            go_home()?;
            measured
        },
    },
    Benchmark {
        name: "gups_remap",
        points: &[1, 2, 4, 8, 16, 32, 64, 128],
        axis: "windows",
        what: "1,024 updates of random words, 64 in each window visited, windows taken at random, by mapping \
            each in place of the one before",
        leaves_out: "refilling the TLB, which takes no instructions",
        measure: |meter, windows| {
            let (space, memory) = (program().new_space()?, memory(windows)?);
            space.map(START, &memory[0], 0..WINDOW_BYTES, Rights::READ_WRITE)?;
            space.enter(|| {
                measure(meter, windows, |to| {
                    space.unmap(START..START + WINDOW_BYTES)?;
                    space.map(START, &memory[to], 0..WINDOW_BYTES, Rights::READ_WRITE)
                })
            })?
        },
    },
];

/// Where each window is seen: off 2 MiB, so that no large page is used.
const START: u64 = SLOT + PAGE_BYTES;
const WINDOW_BYTES: u64 = 1 << 20;
const VISITS: u64 = 16;
const UPDATES: u64 = 64;
/// What a visit takes, roughly.
const VISIT_TICKS: u64 = 5000;

fn memory(windows: u64) -> Result<Vec<Cap<Segment>>, Error> {
    (0..windows).map(|_| Segment::new(program().account(), WINDOW_BYTES)).collect()
}

/// Measures visits to windows and updates in them; `go` brings one into sight.
#[inline(always)]
fn measure(meter: &mut Meter, windows: u64, go: impl Fn(usize) -> Result<(), Error>) -> Measured {
    let (mut random, mut current) = (Random(1), 0);
    go(current)?;
    meter.at_cost(VISITS * VISIT_TICKS);
    meter.sample(
        1,
        || Ok(()),
        |()| {
            for _ in 0..VISITS {
                let next = (random.next() % windows) as usize;
                if next != current {
                    go(next)?;
                    current = next;
                }
                for _ in 0..UPDATES {
                    let number = random.next();
                    let place = Place::<u64>::new(START + number % WINDOW_BYTES / 8 * 8)?;
                    place.set(place.get() ^ number);
                }
            }
            Ok(())
        },
    )
}

/// Marsaglia's xorshift ("Xorshift RNGs", Journal of Statistical Software 8, 2003), with 64 bits.
struct Random(u64);

impl Random {
    #[inline(always)]
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
