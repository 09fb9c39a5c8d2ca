//! Tells the linker and the program where libtorch is; without the feature `torch` there is nothing to do.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "torch")]
    torch::link();
}

/// What needs libtorch.
#[cfg(feature = "torch")]
mod torch {
    use std::env;

    /// Where the program looks for libtorch: beside itself once it is installed, else where it was built against.
    const BESIDE: [&str; 2] = ["../lib/torch/lib", "lib/torch/lib"];

    /// Passes the run-time search path to the linker, for the program, tests, benches and examples of this package.
    pub(super) fn link() {
        // torch-sys tells its direct dependants where it found libtorch; its own search path does not reach them.
        println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
        let family = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
        let origin = match family.as_str() {
            "linux" => "$ORIGIN",
            "macos" => "@loader_path",
            _ => return,
        };
        for folder in BESIDE {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{origin}/{folder}");
        }
        if let Ok(folder) = env::var("DEP_TCH_LIBTORCH_LIB") {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
        }
    }
}
