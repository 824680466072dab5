//! What is done with a question. All of it is done with the lock held; what is given up on the way is so behind it.

use crate::clients::Clients;
use crate::directory::{Directory, Entry, Key};
use crate::service::gate_for;
use libvas::gate::{Along, Answer, Called, GateWords};
use libvas::layout::{CapabilityInfo, LentKind};
use libvas::names::{NameInfo, Operation, Question, name_of};
use libvas::{Cap, Error, Handle, Rights, Segment, Space};

/// What the service knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) directory: Directory,
    pub(crate) clients: Clients,
    /// Where the gates lead. No gate keeps it.
    pub(crate) space: Option<Cap<Space>>,
    /// What was given up, to be deleted when the lock is free: what goes with it may be much.
    pub(crate) given_up: Option<Handle>,
}

/// A capability of this service, of whatever kind: none is asked for here that depends on it.
fn held(handle: Handle) -> core::mem::ManuallyDrop<Cap<Segment>> {
    core::mem::ManuallyDrop::new(Cap::from_handle(handle))
}

fn key_of(question: &Question) -> Key {
    Key { class: question.class, words: question.name }
}

fn plain(words: GateWords) -> Answer {
    Answer { words, given: None }
}

impl State {
    /// Nothing known.
    pub(crate) const fn new() -> State {
        State { directory: Directory::new(), clients: Clients::new(), space: None, given_up: None }
    }

    /// Answers a client. An error is the first word of the answer.
    #[inline]
    pub(crate) fn answer(&mut self, client: usize, called: &Called) -> Result<Answer, Error> {
        self.clients.take_pending(client);
        match Question::decode(called.words) {
            Some(question) if question.operation == Operation::Find => self.find(client, &question),
            question => self.answer_other(client, question, called.given),
        }
    }

    #[inline(never)]
    fn answer_other(&mut self, client: usize, question: Option<Question>, given: Handle) -> Result<Answer, Error> {
        // Unless it is given a name, what came along does not stay.
        self.given_up = (given != Handle::NONE).then_some(given);
        let question = &question.ok_or(Error::BadArgument)?;
        match question.operation {
            Operation::Register => self.register(client, question, given),
            Operation::Find => self.find(client, question),
            Operation::Claim => self.claim(client, question),
            Operation::Unregister => self.unregister(client, question),
            Operation::Remove => self.remove(client, question),
            Operation::Info => self.info(client, question),
            Operation::SetMode => self.set_mode(client, question),
            Operation::List => self.list(question),
            Operation::Admit if client == 0 => self.admit(),
            Operation::Dismiss if client == 0 => self.clients.dismiss(question.value).map(|()| plain([0; 6])),
            Operation::Admit | Operation::Dismiss => Err(Error::MissingRight),
        }
    }

    /// What a name stands for, if the client may have it so.
    #[inline]
    fn look_up(&self, client: usize, question: &Question) -> Result<&Entry, Error> {
        let entry = self.directory.find(&key_of(question))?;
        if question.kind != 0 && question.kind != entry.kind {
            return Err(Error::WrongObject);
        }
        if !entry.allowed(client).contains(question.rights) {
            return Err(Error::MissingRight);
        }
        Ok(entry)
    }

    #[inline]
    fn find(&self, client: usize, question: &Question) -> Result<Answer, Error> {
        let entry = self.look_up(client, question)?;
        let given = Along { handle: entry.handle, rights: question.rights, moves: false };
        Ok(Answer { words: [0, entry.value, 0, 0, 0, 0], given: Some(given) })
    }

    /// What is out is looked up and the capability made under one lock, so that of two claims that do not go together one is refused.
    fn claim(&mut self, client: usize, question: &Question) -> Result<Answer, Error> {
        let &Entry { handle, value, .. } = self.look_up(client, question)?;
        let users = Users::of(handle)?;
        if users.writers != 0 || (question.rights.contains(Rights::WRITE) && users.readers != 0) {
            return Err(Error::Busy);
        }
        let rights = question.rights;
        let made = held(handle).derive(rights | Rights::GRANT, 0)?.into_handle();
        self.clients.set_pending(client, made);
        Ok(Answer { words: [0, value, 0, 0, 0, 0], given: Some(Along { handle: made, rights, moves: true }) })
    }

    fn admit(&mut self) -> Result<Answer, Error> {
        let number = self.clients.free(|number| self.directory.count_of(number) != 0).ok_or(Error::LimitReached)?;
        let gate = gate_for(self.space.as_ref().ok_or(Error::BadState)?, number)?;
        let given = Along::derived(&gate, Rights::CALL | Rights::GRANT);
        self.clients.admit(number, gate);
        Ok(Answer { words: [0, number as u64, 0, 0, 0, 0], given: Some(given) })
    }

    fn register(&mut self, client: usize, question: &Question, given: Handle) -> Result<Answer, Error> {
        let info = held(given).capability_info().map_err(|_| Error::BadArgument)?;
        name_of(question.name).ok_or(Error::BadText)?;
        let held_rights = Rights::from_bits_truncate(info.rights as u32);
        if !held_rights.contains(question.rights | Rights::GRANT) {
            return Err(Error::MissingRight);
        }
        let entry = entry_for(client, question, given, &info);
        match self.directory.insert(entry) {
            Err(Error::Exists) => self.forget_if_gone(&entry.key).and_then(|()| self.directory.insert(entry))?,
            inserted => inserted?,
        }
        self.given_up = None;
        Ok(plain([0; 6]))
    }

    /// Forgets a name whose object is gone, because the account that paid for it was ended.
    fn forget_if_gone(&mut self, key: &Key) -> Result<(), Error> {
        let handle = self.directory.find(key)?.handle;
        if held(handle).capability_info().is_ok() {
            return Err(Error::Exists);
        }
        self.directory.remove(key).map(|_| ())
    }

    fn unregister(&mut self, client: usize, question: &Question) -> Result<Answer, Error> {
        let key = key_of(question);
        if !self.directory.find(&key)?.may_change(client) {
            return Err(Error::MissingRight);
        }
        self.given_up = Some(self.directory.remove(&key)?.handle);
        Ok(plain([0; 6]))
    }

    fn remove(&mut self, client: usize, question: &Question) -> Result<Answer, Error> {
        let entry = self.directory.find(&key_of(question))?;
        if !entry.may_change(client) {
            return Err(Error::MissingRight);
        }
        // What is gone nobody uses.
        if Users::of(entry.handle).is_ok_and(|users| users.writers + users.readers != 0) {
            return Err(Error::Busy);
        }
        self.unregister(client, question)
    }

    fn info(&mut self, client: usize, question: &Question) -> Result<Answer, Error> {
        let entry = self.directory.find(&key_of(question))?;
        let &Entry { kind, mode, value, .. } = entry;
        let is_own = usize::from(entry.owner) == client;
        Ok(plain(NameInfo { kind, mode, rights: entry.allowed(client), is_own, value }.encode()))
    }

    fn set_mode(&mut self, client: usize, question: &Question) -> Result<Answer, Error> {
        let key = key_of(question);
        if !self.directory.find(&key)?.may_change(client) {
            return Err(Error::MissingRight);
        }
        self.directory.set_mode(&key, question.mode).map(|()| plain([0; 6]))
    }

    fn list(&self, question: &Question) -> Result<Answer, Error> {
        let (place, entry) = self.directory.from(question.value).ok_or(Error::NotFound)?;
        let [first, second, third, fourth] = entry.key.words;
        Ok(plain([0, first, second, third, fourth, (place + 1) << 8 | entry.key.class as u64]))
    }
}

fn entry_for(client: usize, question: &Question, handle: Handle, info: &CapabilityInfo) -> Entry {
    Entry {
        key: key_of(question),
        handle,
        value: question.value,
        rights: question.rights,
        mode: question.mode,
        kind: info.kind as u8,
        owner: client as u8,
    }
}

/// How many there are who read or write what a name stands for. Nobody notes that: it is what the kernel lists as lent. So a program
/// that ends has given up what it had claimed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Users {
    readers: usize,
    writers: usize,
}

impl Users {
    /// Those of what a capability of the service leads to. The list is read to its end: only then the kernel forgets it.
    fn of(handle: Handle) -> Result<Users, Error> {
        let mut users = Users::default();
        for lent in held(handle).lent() {
            let lent = lent?;
            let rights = Rights::from_bits_truncate(lent.rights as u32);
            // Of an attachment nothing is told; whoever keeps to the rules has a capability as long as it is there.
            let reads = rights.contains(Rights::READ) || lent.kind == LentKind::Attachment as u64;
            users.writers += usize::from(rights.contains(Rights::WRITE));
            users.readers += usize::from(reads && !rights.contains(Rights::WRITE));
        }
        Ok(users)
    }
}
