//! The letter's two listings: a donor shares a region by a name, a consumer asks where it is, opens it, reads, and unlinks it.
//!
//! Both are this program, and so one client of the name service, as in the letter both have one user: the mode lets nobody else in.

use crate::region;
use demonstration::{Failure, Size, chapter, check, refused};
use libvas::mshare::{self, Options};
use libvas::names::{self, Mode};
use libvas::{Error, Names, PAGE_BYTES, Rights, Segment, program};
use rt::println;

/// Its name, and where it is: at two tebibytes, and one entry of a root table long.
const NAME: &str = "testregion";
const TB_2: u64 = 2 << 40;
const GB_512: u64 = 512 << 30;

/// The text, which lies one page further on: the first page of a program's address space is never mapped, nor is that of a region.
const TEXT: &str = "Some random shared text";

/// Both listings, and what is refused.
pub(crate) fn listings() -> Result<(), Failure> {
    let names = names::service()?;
    chapter("By name: the donor");
    donor(names)?;
    refused("making it once more, exclusively", options().open(names, NAME, TB_2..TB_2 + GB_512), Error::Exists)?;
    chapter("By name: the consumer");
    consumer(names)?;
    refused("asking for it by its name", mshare::info(names, NAME), Error::NotFound)?;
    check(region::holds_at(TB_2 + PAGE_BYTES, TEXT)?, "who has it mapped keeps it")?;
    let subtrees = || program().machine().ok_or(Error::MissingRight)?.info().map(|info| info.subtrees);
    let before = subtrees()?;
    program().space().detach(TB_2)?;
    println!("donor: let go of it as well");
    check(subtrees()? + 1 == before, "with the last who had it, the region is gone")
}

fn options() -> Options {
    Options::new().create().write().exclusive().mode(Mode::new(0o600))
}

/// `mshare("testregion", TB(2), GB(512), O_CREAT|O_RDWR|O_EXCL, 600)`, and a text.
fn donor(names: &Names) -> Result<(), Failure> {
    let region = options().open(names, NAME, TB_2..TB_2 + GB_512)?;
    let memory = Segment::new(program().account(), PAGE_BYTES)?;
    region.subtree().map(PAGE_BYTES, &memory, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    region.map(program().space())?;
    region::write_at(TB_2 + PAGE_BYTES, TEXT)?;
    println!("donor: mshare({NAME:?}, TB(2), GB(512), O_CREAT|O_RDWR|O_EXCL, 600), and wrote: {TEXT:?}");
    Ok(())
}

/// Reads where it is, `mshare("testregion", start, size, O_RDWR, 600)`, reads the text, `mshare_unlink("testregion")`.
fn consumer(names: &Names) -> Result<(), Failure> {
    let info = mshare::info(names, NAME)?;
    println!("consumer: INFO: {} shared at addr {:#x}", Size(info.size_bytes), info.start);
    check((info.start, info.size_bytes) == (TB_2, GB_512), "it is told where the donor has it")?;
    let region = Options::new().write().open(names, NAME, info.start..info.start + info.size_bytes)?;
    let space = program().new_space()?;
    region.map(&space)?;
    let mut bytes = [0; 64];
    let text = space.enter(|| region::read_at(info.start + PAGE_BYTES, &mut bytes))??;
    println!("consumer: in a space of its own, at {:#x}: {text}", info.start + PAGE_BYTES);
    check(text == TEXT, "it reads what the donor wrote")?;
    mshare::unlink(names, NAME)?;
    println!("consumer: mshare_unlink({NAME:?})");
    Ok(())
}
