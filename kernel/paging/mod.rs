//! Page tables: the tables that tell the hardware, large pages, entries that show a shared table; looking up.

pub mod chunk;
pub mod cloned;
pub mod large_page;
pub mod page_table;
pub mod range;
pub mod shared_entry;
pub mod slots;
mod steps;
pub mod table_check;
pub mod walk;
