//! The boot archive's `cmdline`: one line of `key=value` words.

use libvas::Rights;

/// What to run, and how. Words that are not for `init` (kernel options) are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    run: &'a str,
    /// `args=`: the rest of the line, handed to every program.
    pub arguments: &'a str,
    /// `leakcheck=1`: compare what exists before and after each program.
    pub leak_check: bool,
    /// `machine=control`: programs get all rights to the machine instead of a look at it.
    pub machine_control: bool,
    /// `archive=read`: programs can read the boot archive, and start what they find there: they may hand on the machine.
    pub archive_read: bool,
    /// `names=start`: start the name service, and give each program a way to it.
    pub names_start: bool,
}

impl<'a> Plan<'a> {
    /// Reads the line. `args=` takes all that follows it, spaces included; of a word given twice the last counts.
    pub fn parse(line: &'a str) -> Plan<'a> {
        let mut plan = Plan {
            run: "tour",
            arguments: "",
            leak_check: false,
            machine_control: false,
            archive_read: false,
            names_start: false,
        };
        // Blanks at the end may be the arguments' own; the line's end is not.
        let mut rest = line.strip_suffix('\n').unwrap_or(line).trim_start();
        while !rest.is_empty() {
            if let Some(arguments) = rest.strip_prefix("args=") {
                plan.arguments = arguments;
                break;
            }
            let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            plan.take(word);
            rest = behind.trim_start();
        }
        plan
    }

    fn take(&mut self, word: &'a str) {
        match word.split_once('=') {
            Some(("run", programs)) => self.run = programs,
            Some(("leakcheck", value)) => self.leak_check = value == "1",
            Some(("machine", value)) => self.machine_control = value == "control",
            Some(("archive", value)) => self.archive_read = value == "read",
            Some(("names", value)) => self.names_start = value == "start",
            _ => {}
        }
    }

    /// What programs may do with the machine.
    pub fn machine_rights(&self) -> Rights {
        let mut rights = Rights::INSPECT;
        rights.set(Rights::CONTROL, self.machine_control);
        rights.set(Rights::GRANT, self.archive_read);
        rights
    }

    /// `run=`: the programs to run, one after another; `tour` if the line does not say.
    pub fn programs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.run.split(',').filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Rights};

    #[test]
    fn the_tour_is_the_default() {
        let plan = Plan::parse("  \n");
        assert!(plan.programs().eq(["tour"]));
        assert_eq!((plan.arguments, plan.leak_check), ("", false));
        assert!(!plan.machine_control && !plan.archive_read && !plan.names_start);
        assert_eq!(plan.machine_rights(), Rights::INSPECT);
    }

    #[test]
    fn words_in_any_order_and_arguments_to_the_end() {
        let plan =
            Plan::parse("tags=off leakcheck=1 run=a,,b machine=control archive=read names=start args=x=1 run=c  end\n");
        assert!(plan.programs().eq(["a", "b"]));
        assert_eq!(plan.arguments, "x=1 run=c  end");
        assert!(plan.leak_check && plan.machine_control && plan.archive_read && plan.names_start);
        assert_eq!(plan.machine_rights(), Rights::INSPECT | Rights::CONTROL | Rights::GRANT);
    }

    #[test]
    fn arguments_keep_their_blanks() {
        assert_eq!(Plan::parse("run=a args= x  y \n").arguments, " x  y ");
        assert_eq!(Plan::parse("run=a args=").arguments, "");
    }

    #[test]
    fn other_values_switch_nothing_on() {
        let plan = Plan::parse("leakcheck=0 machine=inspect archive=1 names=1 args");
        assert!(!plan.leak_check && !plan.machine_control && !plan.archive_read && !plan.names_start);
        assert_eq!(plan.arguments, "");
    }
}
