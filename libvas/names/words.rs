//! What is said to the name service and back: six words, of which four are the name.

use crate::gate::GateWords;
use crate::{Error, NAME_BYTES, ObjectKind, Rights};
use tessera_abi::layout::Name;

/// What is asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// To give a capability, which goes along, a name.
    Register = 1,
    /// For a capability derived from the one of this name.
    Find = 2,
    /// The same, if one who writes is alone, and those who read are with no one who writes.
    Claim = 3,
    /// To forget a name.
    Unregister = 4,
    /// The same, unless somebody reads or writes by it.
    Remove = 5,
    /// For what is known of a name.
    Info = 6,
    /// To give a name another mode.
    SetMode = 7,
    /// For the first name from a place on.
    List = 8,
    /// For a way in for one more client.
    Admit = 9,
    /// To end a client's way in.
    Dismiss = 10,
}

impl Operation {
    const ALL: [Operation; 10] = [
        Operation::Register,
        Operation::Find,
        Operation::Claim,
        Operation::Unregister,
        Operation::Remove,
        Operation::Info,
        Operation::SetMode,
        Operation::List,
        Operation::Admit,
        Operation::Dismiss,
    ];

    fn from_number(number: u64) -> Option<Operation> {
        Operation::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}

/// What a name is for. Names of different classes do not meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Whatever a program likes.
    #[default]
    Plain = 0,
    /// A first-class virtual address space ([`crate::vas`]).
    Space = 1,
    /// A segment of such ([`crate::vas`]).
    Segment = 2,
    /// A region whose page tables are shared ([`crate::mshare`]).
    Region = 3,
    /// The lock of a space ([`crate::vas`]).
    Lock = 4,
}

impl Class {
    /// Every class, in the order of their numbers.
    pub const ALL: [Class; 5] = [Class::Plain, Class::Space, Class::Segment, Class::Region, Class::Lock];
}

/// Who may do what with a name: nine bits, as files have them. The first three are for whoever registered it, the last three for
/// all others; those between mean nothing, as there are no groups.
///
/// Bit 4 of three lets find with all rights but [`Mode::CHANGING`], bit 2 with these, and lets forget the name and change its mode.
/// Whoever registered a name may always do that. Bit 1 means nothing: whether memory can be executed is told by the rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode(u16);

impl Mode {
    /// The rights by which what is named can be changed.
    pub const CHANGING: Rights = Rights::WRITE.union(Rights::MAP).union(Rights::CONTROL);

    /// A mode of nine bits, such as `0o644`; more are left out.
    pub const fn new(bits: u16) -> Mode {
        Mode(bits & 0o777)
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The rights with which the one who registered the name, or another one, may find what it names.
    pub const fn limit(self, is_owner: bool) -> Rights {
        let bits = if is_owner { self.0 >> 6 } else { self.0 };
        let reading = if bits & 4 != 0 { Rights::all().difference(Mode::CHANGING) } else { Rights::empty() };
        if bits & 2 != 0 { reading.union(Mode::CHANGING) } else { reading }
    }
}

/// Puts a text into the four words of a name; `BadText` if it is longer. What may be a name the service decides, when one is
/// registered.
///
/// # Errors
/// `BadText` for more than [`NAME_BYTES`] bytes.
#[inline]
pub fn name_words(text: &str) -> Result<[u64; 4], Error> {
    let bytes = text.as_bytes();
    if bytes.len() > NAME_BYTES {
        return Err(Error::BadText);
    }
    let mut words = [0; 4];
    // Whole words first: a copy of unknown length would be a call.
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*chunk);
    }
    if let Some(word) = words.get_mut(whole.len()) {
        *word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    Ok(words)
}

/// The text in the four words of a name, if it may be one: not empty, UTF-8, visible, and nothing behind its end.
pub fn name_of(words: [u64; 4]) -> Option<Name> {
    let mut bytes = [0; NAME_BYTES];
    bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(chunk, word)| *chunk = word.to_le_bytes());
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    let is_over = bytes[length..].iter().all(|byte| *byte == 0);
    let name = Name::new(core::str::from_utf8(&bytes[..length]).ok()?)?;
    (length != 0 && is_over).then_some(name)
}

/// A question, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub operation: Operation,
    /// What the name is for.
    pub class: Class,
    /// The kind of object that is wanted, a number of [`ObjectKind`]; 0 for any.
    pub kind: u8,
    /// Who may do what with the name.
    pub mode: Mode,
    /// The rights that are wanted, or that are given at most.
    pub rights: Rights,
    /// The name.
    pub name: [u64; 4],
    /// A number that is kept with the name; for a list, where to begin; for dismissing, which client.
    pub value: u64,
}

impl Question {
    /// A question about nothing in particular.
    pub const fn new(operation: Operation) -> Question {
        let (class, mode, rights) = (Class::Plain, Mode::new(0), Rights::empty());
        Question { operation, class, kind: 0, mode, rights, name: [0; 4], value: 0 }
    }

    /// The words.
    #[inline]
    pub fn encode(&self) -> GateWords {
        let head = self.operation as u64
            | (self.class as u64) << 8
            | u64::from(self.kind & 0xf) << 12
            | u64::from(self.mode.bits()) << 16
            | u64::from(self.rights.bits()) << 32;
        let [first, second, third, fourth] = self.name;
        [head, first, second, third, fourth, self.value]
    }

    /// The question that words are; `None` if they are none.
    #[inline]
    pub fn decode([head, first, second, third, fourth, value]: GateWords) -> Option<Question> {
        Some(Question {
            operation: Operation::from_number(head & 0xff)?,
            class: *Class::ALL.get((head >> 8 & 0xf) as usize)?,
            kind: (head >> 12 & 0xf) as u8,
            mode: Mode::new((head >> 16) as u16),
            rights: Rights::from_bits((head >> 32) as u32)?,
            name: [first, second, third, fourth],
            value,
        })
    }
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInfo {
    /// The object's kind, a number of [`ObjectKind`].
    pub kind: u8,
    /// Who may do what with it.
    pub mode: Mode,
    /// The rights with which whoever asks may find it at most.
    pub rights: Rights,
    /// Whether whoever asks has registered it.
    pub is_own: bool,
    /// The number that was registered with it.
    pub value: u64,
}

impl NameInfo {
    /// The words of an answer; the first says that there is one.
    pub fn encode(&self) -> GateWords {
        let head = u64::from(self.kind)
            | u64::from(self.is_own) << 8
            | u64::from(self.mode.bits()) << 16
            | u64::from(self.rights.bits()) << 32;
        [0, head, self.value, 0, 0, 0]
    }

    /// What the words of an answer say.
    pub fn decode([_, head, value, ..]: GateWords) -> NameInfo {
        NameInfo {
            kind: head as u8,
            mode: Mode::new((head >> 16) as u16),
            rights: Rights::from_bits_truncate((head >> 32) as u32),
            is_own: head >> 8 & 1 == 1,
            value,
        }
    }
}

const _: () = assert!((ObjectKind::Guest as u8) < 16, "a kind takes four bits");

#[cfg(test)]
mod tests {
    use super::{Class, Mode, NameInfo, Operation, Question, name_of, name_words};
    use crate::{Error, Rights};

    #[test]
    fn names_survive_in_four_words() {
        for text in ["a", "12345678", "123456789", "ß and 漢字", "01234567890123456789012345678901"] {
            let words = name_words(text).expect("short enough");
            assert_eq!(name_of(words).expect("a name").as_str(), text);
        }
        assert_eq!(name_words("012345678901234567890123456789012"), Err(Error::BadText));
    }

    #[test]
    fn what_is_no_name_is_found_out() {
        assert_eq!(name_of([0; 4]), None, "it is empty");
        assert_eq!(name_of(name_words("a\nb").expect("short enough")), None, "it has two lines");
        assert_eq!(name_of([u64::from(b'a'), 1, 0, 0]), None, "something stands behind its end");
        assert_eq!(name_of([0xff; 4]), None, "it is no UTF-8");
    }

    #[test]
    fn questions_survive_in_six_words() {
        for operation in Operation::ALL {
            let question = Question {
                class: Class::Region,
                kind: 3,
                mode: Mode::new(0o640),
                rights: Rights::READ | Rights::CALL,
                name: [1, 2, 3, 4],
                value: u64::MAX,
                ..Question::new(operation)
            };
            assert_eq!(Question::decode(question.encode()), Some(question));
        }
        let sound = Question::new(Operation::Find).encode();
        for wrong in [sound[0] & !0xff, sound[0] | 0xff, sound[0] | 0xf00, sound[0] | 1 << 63] {
            assert_eq!(Question::decode([wrong, 0, 0, 0, 0, 0]), None);
        }
    }

    #[test]
    fn answers_survive_as_well() {
        let info =
            NameInfo { kind: 4, mode: Mode::new(0o604), rights: Rights::READ_WRITE, is_own: true, value: 1 << 40 };
        assert_eq!(NameInfo::decode(info.encode()), info);
    }

    #[test]
    fn a_mode_has_three_bits_for_the_owner_and_three_for_others() {
        let mode = Mode::new(0o1640);
        assert_eq!(mode.bits(), 0o640);
        assert_eq!(mode.limit(true), Rights::all());
        assert_eq!(mode.limit(false), Rights::empty());
        assert_eq!(Mode::new(0o004).limit(false), Rights::all() - Mode::CHANGING);
        assert_eq!(Mode::new(0o002).limit(false), Mode::CHANGING);
    }
}
