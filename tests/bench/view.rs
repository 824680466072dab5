//! Read-only views of the program's own space.

use crate::measure::Benchmark;
use libvas::{Cap, Error, Rights, View, program};

pub(crate) const BENCHMARKS: &[Benchmark] =
    &[("view_create", |meter| meter.call(view)), ("view_create_destroy", |meter| meter.call(|| view()?.delete()))];

#[inline(always)]
fn view() -> Result<Cap<View>, Error> {
    View::new(program().account(), program().space(), Rights::READ)
}
