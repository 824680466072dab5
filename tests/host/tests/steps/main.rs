//! Long calls, cut wherever they can be: they do what they would do at once, whoever acts in between.

mod alone;
mod check;
mod counting;
mod ends;
mod far_attachments;
mod interrupted;
mod scene;
