//! Axes: which scale suits some values, and where its marks stand.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::numbers::{short, whole};

/// Values spread by this factor or more are shown on a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 10.0;
/// The most marks of an axis that has no points to name.
const MOST_MARKS: usize = 7;

/// One axis.
#[derive(Clone)]
pub(crate) struct Axis {
    is_logarithmic: bool,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Where a mark stands, and what stands beside it.
    marks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis for these amounts, with round marks.
    pub(crate) fn of_amounts(values: &[f64]) -> Axis {
        let (low, high) = bounds(values);
        if low > 0.0 && high / low >= LOGARITHMIC_FROM { logarithmic(low, high) } else { linear(high) }
    }

    /// An axis for a curve's points, with marks at the points: as many as a width (in letters) has room for.
    pub(crate) fn of_points(points: &[u64], letters: usize) -> Axis {
        let values: Vec<f64> = points.iter().map(|point| *point as f64).collect();
        let (low, high) = bounds(&values);
        let is_logarithmic = low > 0.0 && high / low >= LOGARITHMIC_FROM;
        let marks = points.iter().map(|point| (*point as f64, point_text(*point))).collect();
        let mut axis = Axis { is_logarithmic, low, high, marks };
        let (from, to) = (axis.position(low), axis.position(high));
        let margin = if to > from { (to - from) * 0.03 } else { 1.0 };
        (axis.low, axis.high) = (axis.value(from - margin), axis.value(to + margin));
        let widest = axis.marks.iter().map(|(_, text)| text.len()).max().unwrap_or(1);
        axis.keep_apart((widest + 1) as f64 * (to - from + 2.0 * margin) / letters as f64);
        axis
    }

    /// An axis of rows with these texts, from the top: the first is at 0, the next at -1.
    pub(crate) fn of_rows(texts: &[&str]) -> Axis {
        let marks = texts.iter().enumerate().map(|(row, text)| (-(row as f64), (*text).to_string()));
        Axis { is_logarithmic: false, low: 0.5 - texts.len() as f64, high: 0.5, marks: marks.collect() }
    }

    fn position(&self, value: f64) -> f64 {
        if self.is_logarithmic { value.ln() } else { value }
    }

    fn value(&self, position: f64) -> f64 {
        if self.is_logarithmic { position.exp() } else { position }
    }

    /// Leaves the marks that stand far enough from each other; the last one always stays.
    fn keep_apart(&mut self, distance: f64) {
        let mut kept: Vec<(f64, String)> = Vec::new();
        let is_far = |a: f64, b: f64| self.position(b) - self.position(a) >= distance;
        for (index, mark) in self.marks.iter().enumerate() {
            if index + 1 == self.marks.len() {
                kept.retain(|other| is_far(other.0, mark.0));
            }
            if kept.last().is_none_or(|other| is_far(other.0, mark.0)) {
                kept.push(mark.clone());
            }
        }
        self.marks = kept;
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (low, high) = (self.position(self.low), self.position(self.high));
        let part = (self.position(*value) - low) / (high - low);
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.marks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.marks.iter().find(|(mark, _)| mark == value).map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    (low.min(high), high)
}

fn point_text(point: u64) -> String {
    if point < 1_000_000 { whole(point) } else { short(point as f64) }
}

/// From zero, in steps of one, two or five.
fn linear(high: f64) -> Axis {
    let high = if high > 0.0 { high } else { 1.0 };
    let rough = high / 4.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * decade);
    let count = (high * 1.02 / step).ceil();
    let marks = (0..=count as u64).map(|index| index as f64 * step).map(|value| (value, short(value)));
    Axis { is_logarithmic: false, low: 0.0, high: count * step, marks: marks.collect() }
}

/// Decades, with marks between them where there are few.
fn logarithmic(low: f64, high: f64) -> Axis {
    let (low, high) = (low / 1.3, high * 1.3);
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let values = |factors: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
        all.filter(|value| (low..=high).contains(value)).collect()
    };
    let tries = [values(&[1.0, 2.0, 5.0]), values(&[1.0, 3.0]), values(&[1.0])];
    let found = tries.iter().find(|values| values.len() <= MOST_MARKS).unwrap_or(&tries[2]);
    let every = found.len().div_ceil(MOST_MARKS);
    let marks = found.iter().step_by(every).map(|value| (*value, short(*value)));
    Axis { is_logarithmic: true, low, high, marks: marks.collect() }
}

#[cfg(test)]
mod tests {
    use plotters::coord::ranged1d::{Ranged, ValueFormatter};

    use super::Axis;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn amounts_far_apart_are_logarithmic() {
        assert_eq!(texts(&Axis::of_amounts(&[85.0, 1900.0])), ["100", "200", "500", "1,000", "2,000"]);
        assert_eq!(texts(&Axis::of_amounts(&[1.0, 1e6])), ["1", "10", "100", "1,000", "10k", "100k", "1M"]);
        assert!(Axis::of_amounts(&[1.0, u64::MAX as f64]).marks.len() <= 7);
    }

    #[test]
    fn amounts_near_each_other_begin_at_zero() {
        assert_eq!(texts(&Axis::of_amounts(&[85.0, 120.0])), ["0", "50", "100", "150"]);
        assert_eq!(texts(&Axis::of_amounts(&[0.0, 1000.0])), ["0", "500", "1,000", "1,500"]);
        assert_eq!(Axis::of_amounts(&[0.0, 0.0]).map(&0.0, (100, 0)), 100);
        assert!(Axis::of_amounts(&[]).high > 0.0);
    }

    #[test]
    fn marks_of_points_do_not_touch() {
        let powers: Vec<u64> = (1..=13).map(|power| 1 << power).collect();
        assert_eq!(texts(&Axis::of_points(&powers, 80)).len(), 13);
        let few = Axis::of_points(&powers, 40);
        assert_eq!(texts(&few).last(), Some(&"8,192"));
        assert!(few.marks.len() < 8);
        assert_eq!(texts(&Axis::of_points(&[1, 2, 3, 4], 40)), ["1", "2", "3", "4"]);
        assert_eq!(texts(&Axis::of_points(&[0], 40)), ["0"]);
        assert_eq!(texts(&Axis::of_points(&[1, u64::MAX], 40)).len(), 2);
    }

    #[test]
    fn values_stand_in_proportion() {
        let axis = Axis::of_amounts(&[10.0, 1000.0]);
        let places = [10.0, 100.0, 1000.0].map(|value| axis.map(&value, (0, 1000)));
        assert_eq!(places[1] - places[0], places[2] - places[1]);
    }

    #[test]
    fn rows_go_downwards() {
        let rows = Axis::of_rows(&["a", "b"]);
        assert_eq!((rows.low, rows.high), (-1.5, 0.5));
        assert_eq!(rows.format_ext(&-1.0), "b");
    }
}
