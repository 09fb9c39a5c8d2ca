//! Tells the linker and the program where libtorch is; without the feature `torch` there is nothing to do.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
