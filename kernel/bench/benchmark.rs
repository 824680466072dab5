//! What a benchmark is, and which are wanted.

use core::fmt;

use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

/// A benchmark, or a curve of them. `./x.py bench` reads these fields out of the source, for the table in its page.
#[derive(Clone, Copy, Debug)]
pub struct Benchmark {
    /// What it is called, for good.
    pub name: &'static str,
    /// Of a curve, the values of x; none if it is no curve.
    pub points: &'static [u64],
    /// What x counts.
    pub axis: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// What is not part of it.
    pub leaves_out: &'static str,
    /// Measures it at x, which is 0 if it is no curve; or says why not here.
    pub measure: fn(&mut Kernel, &mut Meter, u64) -> Result<(), &'static str>,
}

/// Why a benchmark is left out that needs memory.
pub(crate) const NO_MEMORY: &str = "there is too little memory";
/// Why one is left out that needs tags.
pub(crate) const NO_TAGS: &str = "this machine has no tags";

impl Benchmark {
    /// Its points; one if it is no curve.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let (name, is_curve) = (self.name, !self.points.is_empty());
        let values = if is_curve { self.points } else { &[0] };
        values.iter().map(move |x| Point { name, x: *x, is_curve })
    }
}

/// A benchmark, or a point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    name: &'static str,
    /// 0 if it is no curve.
    pub x: u64,
    is_curve: bool,
}

impl Point {
    /// Whether a word means it: its own name, or its curve's.
    fn is_named(&self, word: &str) -> bool {
        let Some(rest) = word.strip_prefix(self.name) else { return false };
        // Numbers are written in one way: `/8`, not `/08` nor `/+8`.
        let is_point = || rest.strip_prefix('/').is_some_and(|x| is_number(x) && x.parse() == Ok(self.x));
        rest.is_empty() || self.is_curve && is_point()
    }
}

fn is_number(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)?;
        if self.is_curve { write!(out, "/{}", self.x) } else { Ok(()) }
    }
}

/// Which are wanted: `all`, or those that words name, with commas between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a>(&'a str);

impl<'a> Wanted<'a> {
    /// Reads the words.
    ///
    /// # Errors
    /// The first that names nothing.
    pub(super) fn parse(words: &'a str, benchmarks: &[Benchmark]) -> Result<Wanted<'a>, &'a str> {
        let is_known = |word: &str| benchmarks.iter().flat_map(Benchmark::points).any(|point| point.is_named(word));
        let unknown = words.split(',').find(|word| *word != ALL && !is_known(word));
        unknown.map_or(Ok(Wanted(words)), Err)
    }

    /// Whether one is among them.
    pub fn includes(self, point: Point) -> bool {
        self.0.split(',').any(|word| word == ALL || point.is_named(word))
    }
}

/// What means all of them.
const ALL: &str = "all";

#[cfg(test)]
mod tests {
    use super::{Benchmark, Wanted};

    const SOME: [Benchmark; 2] = [benchmark("kernel_one", &[]), benchmark("kernel_one_more", &[2, 16])];

    const fn benchmark(name: &'static str, points: &'static [u64]) -> Benchmark {
        Benchmark { name, points, axis: "", what: "", leaves_out: "", measure: |_, _, _| Ok(()) }
    }

    fn chosen(words: &str) -> Result<Vec<String>, &str> {
        let wanted = Wanted::parse(words, &SOME)?;
        let points = SOME.iter().flat_map(Benchmark::points).filter(|point| wanted.includes(*point));
        Ok(points.map(|point| point.to_string()).collect())
    }

    #[test]
    fn a_word_is_a_name_a_curve_or_a_point() {
        let own = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(chosen("all"), own(&["kernel_one", "kernel_one_more/2", "kernel_one_more/16"]));
        assert_eq!(chosen("kernel_one"), own(&["kernel_one"]));
        assert_eq!(chosen("kernel_one_more"), own(&["kernel_one_more/2", "kernel_one_more/16"]));
        assert_eq!(chosen("kernel_one_more/16,kernel_one"), own(&["kernel_one", "kernel_one_more/16"]));
    }

    #[test]
    fn the_first_word_that_is_none_is_told() {
        for word in ["", "kernel", "kernel_one/0", "kernel_one_more/3", "kernel_one_more/", "kernel_one_more/02", "ALL"]
        {
            assert_eq!(chosen(word), Err(word));
        }
        assert_eq!(chosen("kernel_one,nothing,nobody"), Err("nothing"));
        assert_eq!(chosen("kernel_one,"), Err(""));
    }
}
