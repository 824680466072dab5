//! The program that is no supervisor. It cannot tell how many there are around it.

use crate::question::{DEADLY, PASS_ON, PLAIN, answer_to, ask};
use crate::task::{NOTHING, Task};
use core::hint::spin_loop;
use core::mem::ManuallyDrop;
use demonstration::{Failure, check, refused};
use libvas::{Cap, Error, Handle, Place, Rights, Segment, Space, program};
use rt::println;

/// Slots of a supervisor's table whose capabilities it tries to name.
const SLOTS: u32 = 256;

/// Does what it is to do.
pub(crate) fn perform(task: Task) -> Result<(), Failure> {
    match task {
        Task::Ask(count) => ask_all(PLAIN, count),
        Task::PassOn(count) => ask_all(PASS_ON, count),
        Task::Fault => {
            println!("the program reads where nothing is");
            read_nothing()
        }
        Task::Spin => {
            println!("the program runs for ever");
            loop {
                spin_loop();
            }
        }
        Task::Forge => forge(),
        Task::Kill => {
            println!("the program asks a question at which its supervisor makes a mistake");
            ask(DEADLY, 0)?;
            Err(Failure::NotAsTold("nobody answers that question"))
        }
    }
}

/// Does not come back.
pub(crate) fn read_nothing() -> Result<(), Failure> {
    let found = Place::<u64>::new(NOTHING)?.get();
    println!("there is {found} at {NOTHING:#x}");
    Err(Failure::NotAsTold("nothing is there"))
}

fn ask_all(how: u64, count: u64) -> Result<(), Failure> {
    let mut wrong = 0;
    for number in 0..count {
        wrong += u64::from(ask(how, number)? != answer_to(number));
    }
    println!("the program asked {count} times, and {wrong} answers were wrong");
    check(wrong == 0, "each answer is right")
}

/// Tries what its supervisor must not let it: its capabilities, and calls that only the kernel has.
fn forge() -> Result<(), Failure> {
    let info = program().info();
    let own = [info.account, info.space, info.program, info.archive];
    let memory = Segment::new(program().account(), 0x1000)?;
    for slot in 0..SLOTS {
        let handle = Handle::new(slot, 1);
        if own.contains(&handle.bits()) || handle == memory.handle() {
            continue;
        }
        let foreign = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        let mapped = foreign.map(NOTHING, &memory, 0..0x1000, Rights::READ);
        check(mapped == Err(Error::BadHandle), "nothing is mapped into a space of its supervisor's")?;
        let deleted = ManuallyDrop::into_inner(foreign).delete();
        check(deleted == Err(Error::BadHandle), "no capability of its supervisor's is deleted")?;
    }
    println!("the program named {SLOTS} slots of its supervisor's table, and reached what is its own alone");
    refused("the program asks for what only the kernel serves", program().space().info(), Error::BadCall)
}
