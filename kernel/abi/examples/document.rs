//! Prints `docs/abi.md` from the tables of this crate: `cargo run -p tessera-abi --example document`.

use std::fmt::{self, Write};

use tessera_abi::syscall::{DESCRIPTIONS, Description};
use tessera_abi::{Error, ObjectKind, Rights};

const INTRODUCTION: &str = "\
# The ABI

*Generated from `kernel/abi` by its example `document`; a test fails when this page is not what that prints.
`docs/testing.md` says how to write it anew.*

A call takes a number and up to six 64-bit arguments, and gives a status (0, or an error's number) and a 64-bit
value, which means something only when the status is 0.

| | number | arguments | status, value | may be changed by the call |
|---|---|---|---|---|
| x86_64, `syscall` | `rax` | `rdi rsi rdx r10 r8 r9` | `rax`, `rdx` | the arguments, `rcx`, `r11` |
| aarch64, `svc #0` | `x8` | `x0` to `x5` | `x0`, `x1` | `x0` to `x17` |

A `Handle` holds a slot index in its low half and the slot's generation in its high half; 0 is never valid. A `u64`
that is called `buffer` or `text` is an address in the space the caller is in. The structures that calls fill in, and
the page that a program finds at its start, are in `kernel/abi/layout.rs`: 64-bit words in the order written there.

A refused call has changed no object and written to no buffer (pages that get their memory on first touch may have got
it). Besides the errors listed with a call, a word that its type does not allow (unknown bits in `Rights`) is
`BadArgument`. There is no number of objects that ends before memory does. The first page of a space and of a subtree is
never mapped, so that null pointers fault.
";

fn main() {
    print!("{}", document());
}

/// The whole page.
pub(crate) fn document() -> String {
    let mut page = String::from(INTRODUCTION);
    write(&mut page).expect("a String takes everything");
    page
}

fn write(page: &mut String) -> fmt::Result {
    writeln!(page, "\n## Calls\n\n| number | name | arguments |\n|---|---|---|")?;
    for call in DESCRIPTIONS {
        let names: Vec<&str> = call.arguments.iter().map(|(name, _)| *name).collect();
        writeln!(page, "| {} | `{}` | {} |", call.number, call.name, names.join(", "))?;
    }
    DESCRIPTIONS.iter().try_for_each(|call| write_call(page, call))?;
    writeln!(page, "\n## Errors\n\n| number | name | meaning |\n|---|---|---|")?;
    for error in Error::ALL {
        writeln!(page, "| {} | `{error:?}` | {error} |", error.status())?;
    }
    writeln!(page, "\n## Rights\n\nWhich object uses which: `docs/architecture.md`, section 1.\n")?;
    writeln!(page, "| bit | name |\n|---|---|")?;
    for (name, right) in Rights::all().iter_names() {
        writeln!(page, "| {} | `{name}` |", right.bits().trailing_zeros())?;
    }
    writeln!(page, "\n## Kinds of object\n\n| number | name |\n|---|---|")?;
    ObjectKind::ALL.into_iter().try_for_each(|kind| writeln!(page, "| {} | `{kind:?}` |", kind as u8))
}

fn write_call(page: &mut String, call: &Description) -> fmt::Result {
    let arguments: Vec<String> = call.arguments.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    writeln!(page, "\n### {}: `{}`\n", call.number, call.name)?;
    writeln!(page, "`{}({})`\n", call.name, arguments.join(", "))?;
    call.documentation.iter().try_for_each(|line| writeln!(page, "{}", line.strip_prefix(' ').unwrap_or(line)))
}
