//! What is made of the table of system calls (`calls.rs`).
//!
//! The macro makes [`Call`] (a decoded call), [`Call::decode`], [`Call::encode`], and [`DESCRIPTIONS`], from which
//! `docs/abi.md` is generated; the kernel takes the table through [`with_system_calls`](crate::with_system_calls).

pub use crate::argument::Argument;
use crate::{Error, Handle, Rights};

/// What the table says about one call, for documentation and tracing.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The call's number.
    pub number: u64,
    /// The call's name.
    pub name: &'static str,
    /// Names and types of the arguments, in order.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The documentation, one string per line.
    pub documentation: &'static [&'static str],
}

macro_rules! system_calls {
    ($(
        $(#[doc = $doc:literal])*
        $number:literal $name:ident $variant:ident ( $($argument:ident : $type:ty),* );
    )*) => {
        /// A system call with its arguments, decoded but not yet checked against any object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call {
            $(
                $(#[doc = $doc])*
                $variant {
                    $(
                        #[doc = concat!("Argument `", stringify!($argument), "`.")]
                        $argument: $type,
                    )*
                },
            )*
        }

        impl Call {
            /// Reads a call from its number and argument words; words beyond its arguments are ignored.
            ///
            /// # Errors
            /// `BadCall` for an unknown number, `BadArgument` for a word its type does not allow.
            #[allow(unused_mut, unused_variables, reason = "calls without arguments use none of the words")]
            pub fn decode(number: u64, words: [u64; 6]) -> Result<Call, Error> {
                let mut words = words.into_iter();
                match number {
                    $(
                        $number => Ok(Call::$variant {
                            $($argument: <$type as Argument>::from_bits(words.next().unwrap_or(0))?,)*
                        }),
                    )*
                    _ => Err(Error::BadCall),
                }
            }

            /// The number and argument words that decode to this call.
            #[inline(always)]
            pub fn encode(self) -> (u64, [u64; 6]) {
                match self {
                    $(
                        Call::$variant { $($argument),* } => {
                            let arguments: &[u64] = &[$(Argument::bits($argument)),*];
                            let mut words = [0; 6];
                            words[..arguments.len()].copy_from_slice(arguments);
                            ($number, words)
                        }
                    )*
                }
            }
        }

        /// Every call's number by name, for callers that build the words themselves.
        pub mod number {
            $(
                #[doc = concat!("The number of `", stringify!($name), "`.")]
                #[allow(non_upper_case_globals, reason = "the constant is named as the call")]
                pub const $name: u64 = $number;
            )*
        }

        /// The table as data, in numeric order.
        pub const DESCRIPTIONS: &[Description] = &[
            $(
                Description {
                    number: $number,
                    name: stringify!($name),
                    arguments: &[$((stringify!($argument), stringify!($type))),*],
                    documentation: &[$($doc),*],
                },
            )*
        ];
    };
}

with_system_calls!(system_calls);
