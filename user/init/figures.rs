//! Figures of the machine, taken twice: what differs.

/// One figure: what it counts, and how much of it there was.
pub type Figure = (&'static str, u64);

/// The figures that changed: what each counts, how much there was before, how much after.
pub fn changed<const N: usize>(
    before: [Figure; N],
    after: [Figure; N],
) -> impl Iterator<Item = (&'static str, u64, u64)> {
    before.into_iter().zip(after).filter(|(before, after)| before.1 != after.1).map(|(b, a)| (b.0, b.1, a.1))
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn the_same_figures_are_no_change() {
        assert_eq!(changed([("spaces", 1), ("threads", 2)], [("spaces", 1), ("threads", 2)]).next(), None);
    }

    #[test]
    fn more_and_less_are_told_with_their_names() {
        let found =
            changed([("spaces", 1), ("threads", 2), ("tables", 3)], [("spaces", 2), ("threads", 2), ("tables", 1)]);
        assert!(found.eq([("spaces", 1, 2), ("tables", 3, 1)]));
    }
}
