//! Builds the small C++ files over libtorch and tells the linker and the program where libtorch is; without the feature
//! `torch` there is nothing to do.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "torch")]
    torch::build();
}

/// What needs libtorch.
#[cfg(feature = "torch")]
mod torch {
    use std::env;
    use std::path::{Path, PathBuf};

    /// Where an installed program finds libtorch, as seen from its own folder.
    const BESIDE: [&str; 2] = ["../lib/torch/lib", "lib/torch/lib"];
    const HEADERS: [&str; 7] = [
        "native/attention.h",
        "native/decode.h",
        "native/guard.h",
        "native/kernels.h",
        "native/layer.h",
        "native/meeting.h",
        "native/vector.h",
    ];
    const SOURCES: [&str; 7] = [
        "native/attention.cpp",
        "native/decode.cpp",
        "native/kernels.cpp",
        "native/ops.cpp",
        "native/product.cpp",
        "native/room.cpp",
        "native/step.cpp",
    ];

    pub(super) fn build() {
        for source in HEADERS.iter().chain(&SOURCES) {
            println!("cargo:rerun-if-changed={source}");
        }
        println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
        println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
        // torch-sys tells its direct dependants where it found libtorch; its own search path does not reach them.
        let libraries = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
        let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
        compile(libraries.as_deref(), &os);
        link(libraries.as_deref(), &os);
    }

    fn compile(libraries: Option<&Path>, os: &str) {
        let headers = env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
        let headers = headers.or_else(|| env::var_os("LIBTORCH").map(PathBuf::from));
        let headers = libraries.and_then(Path::parent).map(Path::to_path_buf).or(headers).unwrap_or_default();
        let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
        let mut build = cc::Build::new();
        build.cpp(true).pic(true).warnings(false).files(SOURCES);
        // Arithmetic that every token waits for is optimised in every profile.
        build.opt_level(3);
        build.include(headers.join("include")).include(headers.join("include/torch/csrc/api/include"));
        build
            .std("c++17")
            .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
            .define("GLOG_USE_GLOG_EXPORT", None);
        if os == "linux" {
            build.flag("-fopenmp");
        }
        if os == "windows" {
            build.flag("/permissive-");
        }
        build.compile("ai_energy_ops");
    }

    /// The run-time search path of the program, the tests, the benches and the examples of this package.
    fn link(libraries: Option<&Path>, os: &str) {
        let origin = match os {
            "linux" => "$ORIGIN",
            "macos" => "@loader_path",
            _ => return,
        };
        for folder in BESIDE {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{origin}/{folder}");
        }
        if os == "linux" {
            println!("cargo:rustc-link-arg={}", threads(libraries));
        }
        if let Some(folder) = libraries {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
    }

    /// The OpenMP library that libtorch brings, so that both share one set of threads; else the system's.
    fn threads(libraries: Option<&Path>) -> String {
        let names = libraries.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> =
            names.map(|entry| entry.path()).filter(|path| is_openmp(path)).collect();
        found.sort();
        found.first().map_or_else(|| "-lgomp".to_owned(), |path| path.display().to_string())
    }

    fn is_openmp(path: &Path) -> bool {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libgomp"))
    }
}
