//! Everything that is touched without the big lock: what each CPU knows, hardware tags, how CPUs reach each other, and the
//! switch itself.

pub mod activations;
pub mod cap_word;
pub mod debt_words;
pub mod gate_path;
pub mod gate_words;
pub mod handshake;
pub mod note;
pub mod per_cpu;
pub mod requests;
#[expect(unsafe_code, reason = "reads the current thread's capability slots without the lock")]
pub mod slice_pointer;
pub mod switch;
pub mod table_view;
pub mod tags;
