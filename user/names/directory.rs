//! Which name stands for what: places in lists by hash, all made at the start.

use libvas::names::{CLIENTS, Class, Mode, NAMES_OF_CLIENT};
use libvas::{Error, Handle, Rights};

/// Places in all.
const PLACES: usize = CLIENTS * NAMES_OF_CLIENT;

/// Lists of names with the same hash; a power of two.
const LISTS: usize = 1024;

/// No place: the end of a list.
const NOWHERE: u16 = u16::MAX;

/// What a name is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is for.
    pub class: Class,
    /// Its text, in four words.
    pub words: [u64; 4],
}

impl Key {
    /// Whether it is the same name. In one go: a comparison of memory would be a call.
    #[inline]
    fn is(&self, other: &Key) -> bool {
        let differing = self.words.iter().zip(other.words).fold(0, |found, (own, other)| found | (own ^ other));
        differing == 0 && self.class == other.class
    }

    /// Which list it is in. All that matters is that names which differ in a letter or two are spread (multiplicative hashing; Knuth,
    /// "The Art of Computer Programming", volume 3, section 6.4).
    #[inline]
    fn list(&self) -> usize {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed =
            self.words.iter().fold(self.class as u64, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR));
        (mixed >> 54) as usize % LISTS
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub key: Key,
    /// The capability, in the service's table.
    pub handle: Handle,
    /// The number that was registered with it.
    pub value: u64,
    /// The most that anybody may find it with.
    pub rights: Rights,
    /// Who may.
    pub mode: Mode,
    /// The object's kind, a number of `ObjectKind`.
    pub kind: u8,
    /// Which client has registered it.
    pub owner: u8,
}

impl Entry {
    /// The rights with which a client may find it at most.
    #[inline]
    pub fn allowed(&self, client: usize) -> Rights {
        self.rights & self.mode.limit(self.owner as usize == client)
    }

    /// Whether a client may forget the name and change its mode. Whoever started the service may.
    pub fn may_change(&self, client: usize) -> bool {
        client == 0 || self.owner as usize == client || self.mode.limit(false).contains(Mode::CHANGING)
    }
}

/// All names. Nothing in here allocates.
#[derive(Debug)]
pub struct Directory {
    places: [Option<Entry>; PLACES],
    /// The next place in the same list, or the next that is free.
    next: [u16; PLACES],
    first: [u16; LISTS],
    free: u16,
    counts: [u16; CLIENTS],
}

impl Default for Directory {
    fn default() -> Directory {
        Directory::new()
    }
}

impl Directory {
    /// One without names.
    pub const fn new() -> Directory {
        let (mut next, mut place) = ([NOWHERE; PLACES], 0);
        while place + 1 < PLACES {
            next[place] = place as u16 + 1;
            place += 1;
        }
        Directory { places: [None; PLACES], next, first: [NOWHERE; LISTS], free: 0, counts: [0; CLIENTS] }
    }

    /// How many names a client has registered.
    pub fn count_of(&self, client: usize) -> usize {
        usize::from(self.counts[client])
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// `NotFound`.
    #[inline]
    pub fn find(&self, key: &Key) -> Result<&Entry, Error> {
        let mut place = self.first[key.list()];
        while let Some(entry) = self.places.get(usize::from(place)).and_then(Option::as_ref) {
            if entry.key.is(key) {
                return Ok(entry);
            }
            place = self.next[usize::from(place)];
        }
        Err(Error::NotFound)
    }

    /// Takes a name in.
    ///
    /// # Errors
    /// `Exists`; `LimitReached` if its owner has as many as it may.
    pub fn insert(&mut self, entry: Entry) -> Result<(), Error> {
        if self.find(&entry.key).is_ok() {
            return Err(Error::Exists);
        }
        let count = &mut self.counts[usize::from(entry.owner)];
        if usize::from(*count) == NAMES_OF_CLIENT {
            return Err(Error::LimitReached);
        }
        *count += 1;
        // There are places for as many names as all clients may have.
        let place = usize::from(self.free);
        let list = &mut self.first[entry.key.list()];
        self.free = core::mem::replace(&mut self.next[place], *list);
        *list = place as u16;
        self.places[place] = Some(entry);
        Ok(())
    }

    /// Forgets a name; gives what it stood for.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove(&mut self, key: &Key) -> Result<Entry, Error> {
        let (list, mut before) = (key.list(), None);
        let mut place = self.first[list];
        while let Some(entry) = self.places.get(usize::from(place)).copied().flatten() {
            let at = usize::from(place);
            if entry.key == *key {
                let behind = core::mem::replace(&mut self.next[at], self.free);
                match before {
                    None => self.first[list] = behind,
                    Some(before) => self.next[before] = behind,
                }
                (self.free, self.places[at]) = (place, None);
                self.counts[usize::from(entry.owner)] -= 1;
                return Ok(entry);
            }
            (before, place) = (Some(at), self.next[at]);
        }
        Err(Error::NotFound)
    }

    /// Gives a name another mode.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_mode(&mut self, key: &Key, mode: Mode) -> Result<(), Error> {
        let place = self.places.iter_mut().flatten().find(|entry| entry.key == *key).ok_or(Error::NotFound)?;
        place.mode = mode;
        Ok(())
    }

    /// The first name at a place or behind it, and its place.
    pub fn from(&self, place: u64) -> Option<(u64, &Entry)> {
        let start = usize::try_from(place).ok()?;
        let (offset, entry) =
            self.places.get(start..)?.iter().enumerate().find_map(|(offset, entry)| Some((offset, entry.as_ref()?)))?;
        Some(((start + offset) as u64, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::{Directory, Entry, Key, PLACES};
    use libvas::names::{CLIENTS, Class, Mode, NAMES_OF_CLIENT, name_words};
    use libvas::{Error, Handle, Rights};

    fn key(number: usize) -> Key {
        Key { class: Class::Plain, words: name_words(&format!("name {number}")).expect("short enough") }
    }

    fn entry(number: usize, owner: usize) -> Entry {
        Entry {
            key: key(number),
            handle: Handle::new(number as u32, 1),
            value: 0,
            rights: Rights::READ_WRITE,
            mode: Mode::new(0o604),
            kind: 4,
            owner: owner as u8,
        }
    }

    #[test]
    fn every_client_has_room_for_its_names_and_no_more() {
        let mut directory = Directory::new();
        for number in 0..PLACES {
            assert_eq!(directory.insert(entry(number, number % CLIENTS)), Ok(()));
        }
        assert_eq!(directory.insert(entry(PLACES, 3)), Err(Error::LimitReached));
        assert_eq!(directory.insert(entry(5, 3)), Err(Error::Exists));
        assert!((0..PLACES).all(|number| directory.find(&key(number)) == Ok(&entry(number, number % CLIENTS))));
        assert_eq!(directory.remove(&key(3)).map(|entry| entry.handle), Ok(Handle::new(3, 1)));
        assert_eq!(directory.count_of(3), NAMES_OF_CLIENT - 1);
        assert_eq!(directory.insert(entry(PLACES, 3)), Ok(()));
    }

    #[test]
    fn it_is_as_a_list_would_be() {
        let (mut directory, mut model) = (Directory::new(), Vec::new());
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as usize % 90;
            if random >> 63 == 0 {
                let expected = if model.contains(&number) {
                    Err(Error::Exists)
                } else if model.len() == NAMES_OF_CLIENT {
                    Err(Error::LimitReached)
                } else {
                    model.push(number);
                    Ok(())
                };
                assert_eq!(directory.insert(entry(number, 1)), expected);
            } else {
                let found = model.iter().position(|other| *other == number);
                let expected = found.map(|index| entry(model.swap_remove(index), 1)).ok_or(Error::NotFound);
                assert_eq!(directory.remove(&key(number)), expected);
            }
            assert_eq!(directory.count_of(1), model.len());
            assert_eq!(directory.find(&key(number)).is_ok(), model.contains(&number));
        }
    }

    #[test]
    fn classes_do_not_meet_and_lists_have_all() {
        let mut directory = Directory::new();
        for (class, owner) in Class::ALL.into_iter().zip(0..) {
            let mut other = entry(7, owner);
            other.key.class = class;
            assert_eq!(directory.insert(other), Ok(()));
        }
        let (mut place, mut classes) = (0, Vec::new());
        while let Some((found, entry)) = directory.from(place) {
            (place, _) = (found + 1, classes.push(entry.key.class));
        }
        assert_eq!(classes, Class::ALL);
        assert_eq!(directory.from(u64::MAX), None);
    }

    #[test]
    fn others_may_do_what_the_mode_says() {
        let mut own = entry(1, 2);
        assert_eq!((own.allowed(2), own.allowed(3)), (Rights::READ_WRITE, Rights::READ));
        assert_eq!([0, 2, 3].map(|client| own.may_change(client)), [true, true, false]);
        own.mode = Mode::new(0o606);
        assert!(own.may_change(3));
        own.mode = Mode::new(0o060);
        assert_eq!((own.allowed(2), own.allowed(3), own.may_change(2)), (Rights::empty(), Rights::empty(), true));
    }
}
