//! A name service of the program's own, and clients of it.

use libvas::{Error, Names, PAGE_BYTES, Segment, program};
use names::Service;

/// A service with two clients besides the one who started it.
#[derive(Debug)]
pub struct Naming {
    /// The service.
    pub service: Service,
    /// A client.
    pub one: Names,
    /// Another one.
    pub other: Names,
    /// The other one's number.
    pub number: u64,
}

impl Naming {
    /// Starts it.
    ///
    /// # Errors
    /// Those of starting it.
    pub fn new() -> Result<Naming, Error> {
        let service = Service::start()?;
        let (_, one) = service.names().admit()?;
        let (number, other) = service.names().admit()?;
        Ok(Naming { service, one: Names::new(one), other: Names::new(other), number })
    }

    /// One more client.
    ///
    /// # Errors
    /// Those of `Names::admit`.
    pub fn client(&self) -> Result<Names, Error> {
        self.service.names().admit().map(|(_, gate)| Names::new(gate))
    }
}

/// A page of memory, to be named.
///
/// # Errors
/// Those of `Segment::new`.
pub fn page() -> Result<libvas::Cap<Segment>, Error> {
    Segment::new(program().account(), PAGE_BYTES)
}
