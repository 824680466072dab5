//! Lets the linker find `program.ld` when it links a program with this library.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rustc-link-search=native={folder}");
    println!("cargo::rerun-if-changed=program.ld");
}
