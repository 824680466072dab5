//! Application buffers: memory whose every word says whose it is.

use alloc::vec::Vec;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, program};

/// How many buffers each CPU's applications have.
pub(crate) const BUFFERS: u64 = 4;

/// The first word of a buffer is for the receipt; the others hold its pattern.
const WORDS: u64 = PAGE_BYTES / 8;

/// Every so many words are looked at in each round; all are by and by.
const STRIDE: u64 = 37;

/// The buffers of one CPU's applications.
pub(crate) struct Buffers {
    cpu: u64,
    pages: u64,
    segments: Vec<Cap<Segment>>,
}

/// What a word holds: it names the CPU, the buffer and the place in it.
fn pattern(cpu: u64, buffer: u64, word: u64) -> u64 {
    0x5a << 56 | cpu << 40 | buffer << 32 | word
}

impl Buffers {
    /// Makes them and fills them in.
    pub(crate) fn new(cpu: u64, pages: u64) -> Result<Buffers, Error> {
        let mut segments = Vec::new();
        for buffer in 0..BUFFERS {
            let segment = Segment::new(program().account(), pages * PAGE_BYTES)?;
            let words = (0..pages * WORDS).map(|word| pattern(cpu, buffer, word));
            let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
            segment.write(0, &bytes)?;
            segments.push(segment);
        }
        Ok(Buffers { cpu, pages, segments })
    }

    /// The same buffers for a worker, which only maps them.
    pub(crate) fn lend(&self) -> Result<Buffers, Error> {
        let lent = self.segments.iter().map(|segment| segment.derive(Rights::READ_WRITE, 0));
        Ok(Buffers { segments: lent.collect::<Result<_, _>>()?, ..*self })
    }

    /// Bytes of a buffer.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.pages * PAGE_BYTES
    }

    /// The memory that is used in a round.
    pub(crate) fn of_round(&self, round: u64) -> &Cap<Segment> {
        &self.segments[(round % BUFFERS) as usize]
    }

    /// Looks at the round's buffer where it is mapped and leaves a receipt; gives how many words were wrong.
    pub(crate) fn use_at(&self, address: u64, round: u64) -> Result<u64, Error> {
        let place = Place::<u64>::new(address)?;
        let (buffer, mut wrong) = (round % BUFFERS, 0);
        for word in (1 + round % STRIDE..self.pages * WORDS).step_by(STRIDE as usize) {
            wrong += u64::from(place.at(word)?.get() != pattern(self.cpu, buffer, word));
        }
        place.set(round + 1);
        Ok(wrong)
    }

    /// How many buffers lack the receipt of the last round that used them.
    pub(crate) fn missing_receipts(&self, rounds: u64) -> Result<u64, Error> {
        let mut missing = 0;
        for (segment, buffer) in self.segments.iter().zip(0..BUFFERS) {
            let last = (0..rounds).rev().find(|round| round % BUFFERS == buffer);
            let expected = last.map_or(pattern(self.cpu, buffer, 0), |round| round + 1);
            let mut bytes = [0; 8];
            segment.read(0, &mut bytes)?;
            missing += u64::from(u64::from_le_bytes(bytes) != expected);
        }
        Ok(missing)
    }
}
