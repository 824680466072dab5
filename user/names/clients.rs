//! Who may ask: a gate for each client.

use libvas::names::CLIENTS;
use libvas::{Cap, Error, Gate, Handle};

/// A client.
#[derive(Debug, Default)]
struct Client {
    /// Its gate, while it may come in.
    gate: Option<Cap<Gate>>,
    /// What was derived for it last, to be moved to it along with the answer.
    pending: Option<Handle>,
}

/// All of them, by number.
#[derive(Debug)]
pub(crate) struct Clients([Client; CLIENTS]);

impl Clients {
    /// Nobody.
    pub(crate) const fn new() -> Clients {
        Clients([const { Client { gate: None, pending: None } }; CLIENTS])
    }

    /// A number that nobody has, if one is left. Who has names keeps the number.
    pub(crate) fn free(&self, has_names: impl Fn(usize) -> bool) -> Option<usize> {
        self.0.iter().enumerate().position(|(number, client)| client.gate.is_none() && !has_names(number))
    }

    /// Lets a client in by a gate.
    pub(crate) fn admit(&mut self, number: usize, gate: Cap<Gate>) {
        self.0[number].gate = Some(gate);
    }

    /// Ends a client's way in: nobody can call the gate any more, and who is inside is taken out, so that its stack can be another's. As
    /// this one has the lock, nobody else is where it would be missed. Not client 0's, who would have none to go out by.
    pub(crate) fn dismiss(&mut self, number: u64) -> Result<(), Error> {
        let number = usize::try_from(number).ok().filter(|number| *number != 0).ok_or(Error::BadArgument)?;
        let gate = self.0.get_mut(number).and_then(|client| client.gate.take()).ok_or(Error::BadArgument)?;
        let closed = gate.close_now();
        self.take_pending(number);
        closed
    }

    /// Ends all ways in.
    pub(crate) fn dismiss_all(&mut self) {
        for number in 0..CLIENTS {
            if let Some(gate) = self.0[number].gate.take() {
                // If it is closed already there is nothing to do.
                let _ = gate.close_now();
            }
            self.take_pending(number);
        }
    }

    /// Notes what is to be moved to a client. If there is no room for it in the client's table it is still here when the client
    /// comes again.
    pub(crate) fn set_pending(&mut self, number: usize, handle: Handle) {
        self.0[number].pending = Some(handle);
    }

    /// Gives up what was to be moved to a client and was not.
    #[inline]
    pub(crate) fn take_pending(&mut self, number: usize) {
        if let Some(handle) = self.0[number].pending.take() {
            // Its handle is stale if it was moved.
            drop(Cap::<Gate>::from_handle(handle));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clients;
    use libvas::names::CLIENTS;
    use libvas::{Cap, Error, Handle};

    #[test]
    fn numbers_are_given_until_none_is_left() {
        let mut clients = Clients::new();
        assert_eq!(clients.free(|number| number == 0), Some(1), "who has names keeps its number");
        for number in 0..CLIENTS {
            assert_eq!(clients.free(|_| false), Some(number));
            clients.admit(number, Cap::from_handle(Handle::new(number as u32, 1)));
        }
        assert_eq!(clients.free(|_| false), None);
        assert_eq!([0, CLIENTS as u64, u64::MAX].map(|number| clients.dismiss(number)), [Err(Error::BadArgument); 3]);
        // There is no kernel to close a gate.
        assert_eq!(clients.dismiss(5), Err(Error::BadCall));
        assert_eq!((clients.dismiss(5), clients.free(|_| false)), (Err(Error::BadArgument), Some(5)));
    }
}
