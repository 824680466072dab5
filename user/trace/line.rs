//! How a call is shown.

use core::fmt;
use libvas::{Error, Handle};
use tessera_abi::syscall::DESCRIPTIONS;

/// A call with its arguments, as the table of calls has it. The text is what an argument of that name points to.
pub(crate) struct CallLine<'a> {
    pub(crate) number: u64,
    pub(crate) arguments: Option<[u64; 6]>,
    pub(crate) text: Option<&'a str>,
}

impl fmt::Display for CallLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(description) = DESCRIPTIONS.iter().find(|call| call.number == self.number) else {
            return write!(formatter, "call {}(?)", self.number);
        };
        write!(formatter, "{}(", description.name)?;
        let Some(words) = self.arguments else {
            return formatter.write_str("...)");
        };
        let mut comma = "";
        for ((name, kind), word) in description.arguments.iter().zip(words) {
            write!(formatter, "{comma}{name}: ")?;
            comma = ", ";
            match (*kind, *name, self.text) {
                ("Handle", ..) => write!(formatter, "{}", HandleWord(word))?,
                (_, "text", Some(text)) => write!(formatter, "{text:?}")?,
                _ => write!(formatter, "{}", Number(word))?,
            }
        }
        formatter.write_str(")")
    }
}

/// What came of a call.
pub(crate) struct Outcome(pub(crate) Result<u64, u64>);

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(value) => write!(formatter, "{}", Number(value)),
            Err(status) => match Error::from_status(status) {
                Err(error) => write!(formatter, "{error:?}"),
                Ok(()) => formatter.write_str("?"),
            },
        }
    }
}

/// A handle: its slot, and how often that was used.
struct HandleWord(u64);

impl fmt::Display for HandleWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Handle::from_bits(self.0) {
            Handle::NONE => formatter.write_str("none"),
            handle => write!(formatter, "#{}.{}", handle.slot(), handle.generation()),
        }
    }
}

/// A number: small ones as people count, others as addresses are written.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            word @ ..4096 => write!(formatter, "{word}"),
            word => write!(formatter, "{word:#x}"),
        }
    }
}
