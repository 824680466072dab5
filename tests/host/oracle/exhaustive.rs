//! Every sequence of a few operations, on one machine: a de Bruijn sequence has each of them as a part.

use tessera_abi::Rights;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::set_entry_units;

use super::operation::{Kind, Operation, Part, Run, SPACES, Spot, Way};
use super::scene::Scene;

const CPUS: usize = 2;
/// On each CPU: enter a space, or change what all of them see.
const KINDS: usize = SPACES + 1;

/// Plays every sequence of so many switches and changes by two CPUs in five spaces with 2-bit tags, at so many units an
/// entry, one after the other; gives how many steps that took.
///
/// # Errors
/// The first breach of a rule.
pub fn play_all_sequences(length: usize, units: u32, flavour: Flavour, broadcasts: bool) -> Result<usize, String> {
    let mut scene = Scene::new(&Run { flavour, broadcasts, tag_bits: 2, cpus: CPUS, seed: 1, operations: Vec::new() });
    set_entry_units(units);
    scene.step(&Operation { cpu: 0, kind: map() });
    (0..SPACES).for_each(|space| scene.step(&Operation { cpu: 0, kind: attach(space) }));
    let symbols = all_sequences(CPUS * KINDS, length);
    for (number, symbol) in symbols.iter().enumerate() {
        let kind = match symbol / CPUS {
            space if space < SPACES => Kind::Enter { space, fast: true },
            // Rights come and go, so that each change can leave something false behind.
            _ => {
                let rights = if number % 2 == 0 { Rights::READ } else { Rights::READ_WRITE };
                Kind::Protect { target: SPACES, nth: 0, part: Part::Whole, rights }
            }
        };
        scene.step(&Operation { cpu: symbol % CPUS, kind });
        scene.find_breach().map_or(Ok(()), |breach| Err(format!("step {number}: {breach}")))?;
        scene.check();
    }
    Ok(symbols.len())
}

fn map() -> Kind {
    Kind::Map { target: SPACES, segment: 0, place: 0, pages: 1, rights: Rights::READ_WRITE }
}

fn attach(space: usize) -> Kind {
    Kind::Attach { target: space, subtree: 0, spot: Spot { slot: 2, unit: 0 }, bounds: Rights::ACCESS, way: Way::Plain }
}

/// Symbols below `count` such that every sequence of `length` is a part: the Lyndon words whose lengths divide it,
/// in order (Fredricksen and Maiorana, Discrete Mathematics 23, 1978), and the beginning once more.
fn all_sequences(count: usize, length: usize) -> Vec<usize> {
    let mut symbols = Vec::new();
    let mut word = vec![0];
    while !word.is_empty() {
        if length.is_multiple_of(word.len()) {
            symbols.extend(&word);
        }
        let period = word.len();
        while word.len() < length {
            word.push(word[word.len() - period]);
        }
        while word.last() == Some(&(count - 1)) {
            word.pop();
        }
        if let Some(last) = word.last_mut() {
            *last += 1;
        }
    }
    symbols.extend_from_within(..length - 1);
    symbols
}

#[cfg(test)]
mod tests {
    use super::all_sequences;
    use std::collections::BTreeSet;

    #[test]
    fn every_sequence_is_a_part() {
        let symbols = all_sequences(5, 3);
        let parts: BTreeSet<&[usize]> = symbols.windows(3).collect();
        assert_eq!((parts.len(), symbols.len()), (125, 127));
    }
}
