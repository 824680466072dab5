//! The kernel's own messages, and the end of the machine.

use core::fmt;

use tessera_abi::layout::Name;

use crate::base::console::Console;

/// Writes a line of the kernel's to a console.
#[macro_export]
macro_rules! log {
    ($console:expr, $($argument:tt)*) => { $console.line(format_args!($($argument)*)) };
}

pub use log;

/// Exit code of a machine on which no thread can ever run again.
pub const NOTHING_LEFT: u8 = 121;
/// Exit code of a machine whose first program cannot be started.
pub const CANNOT_START: u8 = 122;

/// Writes a line when nothing else goes on any more: at once, behind all that waits.
pub fn last_line(console: &Console, text: fmt::Arguments<'_>) {
    console.flush();
    console.line(text);
    console.flush();
}

/// Makes the calling CPU the only one that runs and writes, for good. No other is stopped in the middle of a line.
pub fn stand_alone(console: &Console) {
    console.seize();
    tessera_arch::stop_other_cpus();
}

/// Ends the machine with an exit code, and with all that was written on the line.
pub fn end_machine(console: &Console, code: u8) -> ! {
    stand_alone(console);
    last_line(console, format_args!("exit code {code}"));
    tessera_arch::power_off(code)
}

/// A name as a word of a line: what would end the word, or look like another part of the line, comes out as `_`.
#[derive(Clone, Copy, Debug)]
pub struct Word(pub Name);

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use core::fmt::Write;
        let ends_word = |character: char| character.is_whitespace() || matches!(character, '=' | ':' | '[' | ']');
        self.0
            .as_str()
            .chars()
            .try_for_each(|character| out.write_char(if ends_word(character) { '_' } else { character }))
    }
}

#[cfg(test)]
mod tests {
    use super::Word;
    use tessera_abi::layout::Name;

    #[test]
    fn a_name_is_one_word_whatever_is_in_it() {
        let shown = |text| Word(Name::new(text).expect("a name")).to_string();
        assert_eq!(shown("a ip=0x10 : [kernel]"), "a_ip_0x10____kernel_");
        assert_eq!(shown("b\u{a0}c\u{3000}d"), "b_c_d");
        assert_eq!(shown("Käse-7.漢"), "Käse-7.漢");
    }
}
