//! What libtorch consists of, by platform: the pinned wheels and the files taken from them.
//!
//! Pure data. The version is that of the pinned `tch`.

use crate::wheels::Wheel;

/// The PyTorch that the pinned `tch` is made for.
pub(crate) const VERSION: &str = "2.11.0";

/// What a platform needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The wheels.
    pub(crate) wheels: &'static [Wheel],
    /// Names pip knows the platform by.
    pub(crate) platforms: &'static [&'static str],
    /// Libraries that must be there at the end.
    pub(crate) libraries: &'static [&'static str],
    /// Whether `libtorch.so` has to be made: the real one drags in the CUDA libraries, 2 GB that no linker needs, and holds
    /// nothing that anybody calls.
    pub(crate) stub: bool,
    /// Room needed while it is made, in bytes: the wheels twice, since pip copies, and what is unpacked.
    pub(crate) room: u64,
}

/// What `os` and `arch`, as `std::env::consts` names them, need; `None` where only the user's own libtorch will do.
pub(crate) fn parts(os: &str, arch: &str) -> Option<Parts> {
    match (os, arch) {
        ("linux", "x86_64") => Some(LINUX_X86_64),
        ("macos", "aarch64") => Some(MACOS_AARCH64),
        _ => None,
    }
}

// The wheel of this platform is the CUDA build. Its CPU half needs two small CUDA libraries to start, and no GPU.
const LINUX_X86_64: Parts = Parts {
    wheels: &[
        Wheel {
            package: "nvidia-cuda-cupti",
            version: "13.0.85",
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            bytes: 10_715_597,
            wanted: &[
                "nvidia/cu13/lib/libcupti.so.13",
                "nvidia_cuda_cupti-13.0.85.dist-info/METADATA",
                "nvidia_cuda_cupti-13.0.85.dist-info/licenses/",
            ],
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            bytes: 2_243_632,
            wanted: &[
                "nvidia/cu13/lib/libcudart.so.13",
                "nvidia_cuda_runtime-13.0.96.dist-info/METADATA",
                "nvidia_cuda_runtime-13.0.96.dist-info/licenses/",
            ],
        },
        Wheel {
            package: "torch",
            version: VERSION,
            sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
            bytes: 530_712_279,
            wanted: &[
                "torch/lib/libc10.so",
                "torch/lib/libgomp.so.1",
                "torch/lib/libtorch_cpu.so",
                "torch/include/",
                "torch/version.py",
                "torch-2.11.0.dist-info/METADATA",
                "torch-2.11.0.dist-info/licenses/",
            ],
        },
    ],
    platforms: &[
        "manylinux_2_5_x86_64",
        "manylinux_2_12_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux_2_18_x86_64",
        "manylinux_2_24_x86_64",
        "manylinux_2_25_x86_64",
        "manylinux_2_26_x86_64",
        "manylinux_2_27_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux1_x86_64",
        "manylinux2014_x86_64",
        "any",
    ],
    libraries: &[
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch.so",
        "nvidia/cu13/lib/libcupti.so.13",
        "nvidia/cu13/lib/libcudart.so.13",
    ],
    stub: true,
    room: 1_650_000_000,
};

const MACOS_AARCH64: Parts = Parts {
    wheels: &[Wheel {
        package: "torch",
        version: VERSION,
        sha256: "4b5866312ee6e52ea625cd211dcb97d6a2cdc1131a5f15cc0d87eec948f6dd34",
        bytes: 80_606_338,
        wanted: &[
            "torch/lib/libc10.dylib",
            "torch/lib/libomp.dylib",
            "torch/lib/libtorch.dylib",
            "torch/lib/libtorch_cpu.dylib",
            "torch/include/",
            "torch/version.py",
            "torch-2.11.0.dist-info/METADATA",
            "torch-2.11.0.dist-info/licenses/",
        ],
    }],
    platforms: &["macosx_11_0_arm64"],
    libraries: &[
        "torch/lib/libc10.dylib",
        "torch/lib/libomp.dylib",
        "torch/lib/libtorch.dylib",
        "torch/lib/libtorch_cpu.dylib",
    ],
    stub: false,
    room: 500_000_000,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_of_the_table_takes_the_libraries_it_needs_with_their_licences() {
        for (os, arch) in [("linux", "x86_64"), ("macos", "aarch64")] {
            let parts = parts(os, arch).unwrap();
            let wanted: Vec<&str> = parts.wheels.iter().flat_map(|wheel| wheel.wanted).copied().collect();
            for library in parts.libraries {
                let made = parts.stub && *library == "torch/lib/libtorch.so";
                assert!(wanted.contains(library) || made, "{library}");
            }
            for wheel in parts.wheels {
                assert!(wheel.wanted.iter().any(|path| path.ends_with("licenses/")), "{}", wheel.package);
                assert!(
                    wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
                );
            }
            assert!(parts.wheels.iter().any(|wheel| (wheel.package, wheel.version) == ("torch", VERSION)));
            assert!(parts.room > 2 * parts.wheels.iter().map(|wheel| wheel.bytes).sum::<u64>());
        }
        assert_eq!(parts("linux", "aarch64"), None);
        assert_eq!(parts("windows", "x86_64"), None);
    }

    #[test]
    fn the_version_is_that_of_the_pinned_tch() {
        let manifest = std::fs::read_to_string(crate::workspace_root().unwrap().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("tch = { version = \"=0.24.0\""), "a newer tch wants another PyTorch");
    }
}
