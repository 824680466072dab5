//! What benchmarks print: the lines that `./x.py bench` reads, the same as those of the program `bench`.

use alloc::string::String;
use core::fmt::Write;

use crate::base::console::Console;
use crate::base::log::last_line;
use crate::bench::benchmark::Point;

/// Bytes of a line, at most, behind the kernel's prefix.
const LINE_BYTES: usize = 190;

/// Room for a run of samples.
const RUN_BYTES: usize = 40;

/// Prints the samples of a benchmark in the order they were taken, as they are: all statistics is the host's.
pub(crate) fn report(console: &Console, point: Point, samples: &[u64]) {
    for_each_line(point, samples, &mut |line| last_line(console, format_args!("{line}")));
}

/// Calls `each` with every line: equal neighbours stand as `VALUExCOUNT`; the last line ends the benchmark.
fn for_each_line(point: Point, samples: &[u64], each: &mut dyn FnMut(&str)) {
    let (mut line, mut run) = (String::with_capacity(LINE_BYTES), String::with_capacity(RUN_BYTES));
    let result = samples.chunk_by(|one, other| one == other).try_for_each(|equal| {
        run.clear();
        match equal {
            [value] => write!(run, "{value}")?,
            _ => write!(run, "{}x{}", equal[0], equal.len())?,
        }
        if !line.is_empty() && line.len() + 1 + run.len() > LINE_BYTES {
            each(&line);
            line.clear();
        }
        if line.is_empty() { write!(line, "bench {point} {run}") } else { write!(line, ",{run}") }
    });
    if !line.is_empty() {
        each(&line);
        line.clear();
    }
    let result = result.and_then(|()| write!(line, "bench {point} end n={}", samples.len()));
    result.expect("a string takes what is written to it");
    each(&line);
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, for_each_line};
    use crate::bench::BENCHMARKS;
    use crate::bench::benchmark::Benchmark;

    fn lines(samples: &[u64]) -> Vec<String> {
        let point = BENCHMARKS.iter().flat_map(Benchmark::points).next().expect("there are some");
        let mut lines = Vec::new();
        for_each_line(point, samples, &mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn equal_neighbours_stand_together() {
        let name = BENCHMARKS[0].name;
        let samples = [5, 5, 5, 7, 5, u64::MAX];
        let runs = format!("bench {name} 5x3,7,5,{}", u64::MAX);
        assert_eq!(lines(&samples), [runs, format!("bench {name} end n=6")]);
        assert_eq!(lines(&[]), [format!("bench {name} end n=0")]);
    }

    #[test]
    fn long_ones_go_over_several_lines_and_none_is_lost() {
        let samples: Vec<u64> = (0..500).map(|number| u64::MAX - number).collect();
        let lines = lines(&samples);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES));
        let prefix = format!("bench {} ", BENCHMARKS[0].name);
        let words = |line: &String| line.strip_prefix(&prefix).expect("each line has the name").to_owned();
        let (end, runs) = lines.split_last().expect("there are some");
        let read: Vec<u64> = runs
            .iter()
            .flat_map(|line| words(line).split(',').map(|run| run.parse().expect("a number")).collect::<Vec<u64>>())
            .collect();
        assert_eq!((read, words(end)), (samples, "end n=500".to_owned()));
    }
}
