//! Page tables: the tables that tell the hardware, large pages, entries that show a shared table.

pub mod large_page;
pub mod page_table;
pub mod piece;
pub mod range;
pub mod shared_entry;
