//! Tells the linker how the kernel lies in memory, as the build script of the kernel itself does.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("Cargo sets it for every build script");
    let here = env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it for every build script");
    let script = Path::new(&here).join("../../arch").join(architecture).join("kernel.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
