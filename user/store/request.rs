//! What clients ask of the store and what it answers, also as six words, for where only words cross.

/// The most words of a value.
pub(crate) const VALUE_WORDS: usize = 4;

/// What crosses.
pub(crate) type Words = [u64; 6];

/// Numbers of what is asked, in the low byte of the first word; the rest of it is the length of the value.
const GET: u64 = 1;
/// See [`GET`].
const SET: u64 = 2;
/// See [`GET`].
const DELETE: u64 = 3;

/// Why the store did not do what it was asked. It has changed nothing then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Fault {
    /// No such request.
    BadRequest = 1,
    /// The key is 0.
    BadKey = 2,
    /// A value of no words, or of more than four.
    BadLength = 3,
    /// There is nothing under this key.
    NotFound = 4,
    /// There is no room for it.
    Full = 5,
    /// A pointer of the store leads out of it.
    Torn = 6,
    /// The kernel did not let the store's own code do its work.
    Closed = 7,
}

impl Fault {
    fn from_number(number: u64) -> Fault {
        use Fault::{BadKey, BadLength, BadRequest, Closed, Full, NotFound, Torn};
        let all = [BadRequest, BadKey, BadLength, NotFound, Full, Torn];
        all.into_iter().find(|fault| *fault as u64 == number).unwrap_or(Closed)
    }
}

/// One to four words; or none, for what there was before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    words: [u64; VALUE_WORDS],
    count: usize,
}

impl Value {
    /// A value of these words.
    pub(crate) fn new(words: &[u64]) -> Result<Value, Fault> {
        if words.is_empty() {
            return Err(Fault::BadLength);
        }
        let mut value = Value { words: [0; VALUE_WORDS], count: words.len() };
        value.words.get_mut(..words.len()).ok_or(Fault::BadLength)?.copy_from_slice(words);
        Ok(value)
    }

    /// Its words.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.count]
    }
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The value under a key.
    Get { key: u64 },
    /// To keep a value under a key; the answer is what was there before.
    Set { key: u64, value: Value },
    /// To forget a key; the answer is what was there.
    Delete { key: u64 },
}

/// What it is answered.
pub(crate) type Answer = Result<Value, Fault>;

impl Request {
    /// Whether the store changes by it.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Request::Get { .. })
    }

    /// As words.
    pub(crate) fn to_words(self) -> Words {
        match self {
            Request::Get { key } => [GET, key, 0, 0, 0, 0],
            Request::Delete { key } => [DELETE, key, 0, 0, 0, 0],
            Request::Set { key, value: Value { words: [first, second, third, fourth], count } } => {
                [SET | (count as u64) << 8, key, first, second, third, fourth]
            }
        }
    }

    /// From words, of which nothing is believed.
    pub(crate) fn from_words([what, key, value @ ..]: &Words) -> Result<Request, Fault> {
        match (what & 0xff, what >> 8) {
            (GET, 0) => Ok(Request::Get { key: *key }),
            (DELETE, 0) => Ok(Request::Delete { key: *key }),
            (SET, length) => {
                let words = usize::try_from(length).ok().and_then(|length| value.get(..length));
                Ok(Request::Set { key: *key, value: Value::new(words.ok_or(Fault::BadLength)?)? })
            }
            _ => Err(Fault::BadRequest),
        }
    }
}

/// An answer as words.
pub(crate) fn answer_to_words(answer: Answer) -> Words {
    match answer {
        Ok(Value { words: [first, second, third, fourth], count }) => {
            [(count as u64) << 8, first, second, third, fourth, 0]
        }
        Err(fault) => [fault as u64, 0, 0, 0, 0, 0],
    }
}

/// An answer from words.
pub(crate) fn answer_from_words([what, value @ .., _]: &Words) -> Answer {
    match (what & 0xff, (what >> 8) as usize) {
        (0, 0) => Ok(Value::default()),
        (0, length) => Value::new(value.get(..length).ok_or(Fault::Closed)?),
        (number, _) => Err(Fault::from_number(number)),
    }
}
