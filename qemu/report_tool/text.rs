//! What the page says of its own figures: what each unit is, and what an emulator cannot show.

use crate::data::Data;
use crate::html::escaped;
use crate::input::Figures;
use crate::numbers::whole;

/// One kind of figure.
struct Kind {
    title: &'static str,
    text: &'static str,
    is_it: fn(&Figures) -> bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        title: "Instructions",
        text: "QEMU's counter, under -icount shift=0, goes up by one for each instruction that the guest executes, however \
               busy the host is. These are lengths of paths and not times. A rep instruction of x86_64 counts once for \
               each repetition. A write of the root register, an invalidation, a system call's entry and a miss of any \
               kind count like every other instruction: as one, or as nothing.",
        is_it: |figures| figures.unit == "instructions",
    },
    Kind {
        title: "Events",
        text: "Bytes, tables, interrupts, invalidations, faults and the like: counted by the kernel or by the program \
               itself. They are exact, and say how often something happens, not what it costs.",
        is_it: |figures| figures.unit != "instructions" && !is_time(&figures.unit),
    },
    Kind {
        title: "Modelled cycles",
        text: "Misses, walks and their cycles come from a model of a TLB that sees each access of the emulated machine. \
               They are the stated model's: its sizes and what it charges for a miss, a walk and an invalidation are \
               parameters, listed below for each profile that was used. No processor was measured.",
        is_it: |figures| figures.model.is_some(),
    },
    Kind {
        title: "Cycles of the machine",
        text: "Read from the processor's own counter (TSC, PMCCNTR), under KVM or on a board. They contain everything \
               that the machine does, interrupts and other guests included, and differ from run to run.",
        is_it: |figures| is_time(&figures.unit),
    },
];

/// What this page's emulated figures do not show.
const HIDDEN: [&str; 5] = [
    "Time. The emulator has neither pipeline nor caches nor memory behind them; seconds in it are never reported.",
    "What a TLB refill, a write of the root with or without a flush, an invalidation or a barrier costs on a processor. \
     The model's cycles are an account by stated prices, not a measurement.",
    "Stale entries of a TLB: the emulator drops entries more often than a processor does, so a forgotten invalidation \
     need not show.",
    "What CPUs cost each other: their caches, their interconnect, the way of an interrupt. Emulated CPUs take turns, \
     and what one waits for another depends on these turns.",
    "On x86_64, tags: QEMU has no PCID, so a kernel there runs untagged unless the model is told the tags.",
];

fn is_time(unit: &str) -> bool {
    matches!(unit, "cycles" | "ticks" | "nanoseconds")
}

/// The section, without its heading.
pub(crate) fn units(data: &Data) -> String {
    let mut html = "<dl>\n".to_string();
    for kind in &KINDS {
        let count = data.results().filter(|figures| (kind.is_it)(figures)).count();
        let here = match count {
            0 => "none in this report".to_string(),
            1 => "1 result in this report".to_string(),
            _ => format!("{} results in this report", whole(count as u64)),
        };
        html += &format!("<dt>{} <small>{here}</small></dt>\n<dd>{}</dd>\n", kind.title, escaped(kind.text));
    }
    html + "</dl>\n"
}

/// What cannot be seen, as a list.
pub(crate) fn hidden() -> String {
    let items = HIDDEN.iter().map(|text| format!("<li>{}</li>\n", escaped(text)));
    format!("<ul>\n{}</ul>\n", items.collect::<String>())
}
