//! Tells the linker how the kernel lies in memory: `arch/<architecture>/kernel.ld`. Nothing else.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // On a host there is no kernel image to link, only libraries and tests.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("Cargo sets it for every build script");
    let root = env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it for every build script");
    let script = Path::new(&root).join("arch").join(architecture).join("kernel.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bin=tessera=-T{}", script.display());
}
