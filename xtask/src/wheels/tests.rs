//! Wheels with a Python whose pip is played by a shell script: it copies files from a folder instead of asking an index.

use super::*;
use std::fs;

/// A folder that plays the index, and a Python whose pip downloads from it.
pub(crate) struct Index {
    pub(crate) folder: tempfile::TempDir,
}

impl Index {
    /// `None`, with a remark, where there is no Python to unpack with.
    pub(crate) fn new() -> Option<Self> {
        if !crate::succeeds(python(), &["-c", "import zipfile"]) {
            say("skipped: there is no python3");
            return None;
        }
        let index = Self { folder: tempfile::tempdir().unwrap() };
        let script = format!(
            "#!/bin/sh\n[ \"$2\" = pip ] || exec {} \"$@\"\necho \"$@\" >> {log}\n[ \"$3\" = --version ] && exit 0\n\
             [ -e {offline} ] && {{ echo 'no network' >&2; exit 1; }}\n\
             while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n\
             name=$(echo \"$1\" | sed 's/==/-/; s/[a-z]-[a-z]/_/')\ncp {folder}/\"$name\"-*.whl \"$dest\"\n",
            python(),
            log = index.at("log").display(),
            offline = index.at("offline").display(),
            folder = index.folder.path().display(),
        );
        fs::write(index.python(), script).unwrap();
        #[cfg(unix)]
        fs::set_permissions(index.python(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(index)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.at("python")
    }

    /// Puts a wheel of these files into the index.
    pub(crate) fn add(
        &self,
        package: &'static str,
        wanted: &'static [&'static str],
        files: &[(&str, &str)],
    ) -> Wheel {
        let path = self.at(&format!("{package}-1.0-py3-none-any.whl"));
        let make = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w')\n\
                    [z.writestr(*pair.split('=')) for pair in sys.argv[2:]]\nz.close()\n\
                    import hashlib\nprint(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())";
        let pairs = files.iter().map(|(name, text)| format!("{name}={text}"));
        let output = Command::new(python()).args(["-c", make]).arg(&path).args(pairs).output().unwrap();
        let sha256 = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Wheel { package, version: "1.0", sha256: sha256.leak(), bytes: 1, wanted }
    }

    /// Requirements that pip was asked to download.
    pub(crate) fn downloads(&self) -> Vec<String> {
        let log = fs::read_to_string(self.at("log")).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(" download "));
        lines.filter_map(|line| line.split(' ').next_back().map(str::to_owned)).collect()
    }
}

#[test]
fn wheels_are_known_by_name_and_version() {
    let wheel = Wheel { package: "nvidia-cuda-cupti", version: "13.0.85", sha256: "", bytes: 0, wanted: &[] };
    assert!(wheel.is_named("nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl"));
    assert!(!wheel.is_named("nvidia_cuda_cupti-13.0.8-py3-none-any.whl"));
    assert!(!wheel.is_named("nvidia_cuda_cupti-13.0.850-py3-none-any.whl"));
    assert!(!wheel.is_named("nvidia_cuda_cupti-13.0.85-py3-none-any.whl.part"));
}

#[cfg(unix)]
#[test]
fn what_is_wanted_is_unpacked_and_nothing_else() {
    let Some(index) = Index::new() else { return };
    let wheel = index.add(
        "one",
        &["a/x.so", "a/include/"],
        &[("a/x.so", "x"), ("a/y.so", "y"), ("a/include/b/c.h", "c")],
    );
    let root = index.at("root");
    bring(&index.python(), &[wheel], &["any"], &index.at("staging"), &root).unwrap();
    assert_eq!(fs::read_to_string(root.join("a/x.so")).unwrap(), "x");
    assert_eq!(fs::read_to_string(root.join("a/include/b/c.h")).unwrap(), "c");
    assert!(!root.join("a/y.so").exists());
    let log = fs::read_to_string(index.at("log")).unwrap();
    assert!(log.contains("--no-deps") && log.contains("--platform any"), "{log}");

    let lacking = index.add("two", &["a/gone.so"], &[("a/x.so", "x")]);
    let error = bring(&index.python(), &[lacking], &["any"], &index.at("staging"), &root).unwrap_err();
    assert!(error.to_string().contains("does not hold a/gone.so"), "{error}");
}

#[cfg(unix)]
#[test]
fn another_wheel_than_the_pinned_one_is_refused_and_nothing_of_it_unpacked() {
    let Some(index) = Index::new() else { return };
    let wheel = index.add("one", &["x"], &[("x", "good")]);
    let pinned = Wheel { sha256: index.add("one", &["x"], &[("x", "evil")]).sha256, ..wheel };
    index.add("one", &["x"], &[("x", "good")]);
    let (staging, root) = (index.at("staging"), index.at("root"));
    let error = bring(&index.python(), &[pinned], &["any"], &staging, &root).unwrap_err().to_string();
    assert!(error.contains("SHA-256 is") && error.contains("nothing of it is used"), "{error}");
    assert!(!root.join("x").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_call_goes_on_with_what_is_missing() {
    let Some(index) = Index::new() else { return };
    let wheels = [index.add("one", &["x"], &[("x", "1")]), index.add("two", &["y"], &[("y", "2")])];
    let (staging, root) = (index.at("staging"), index.at("root"));
    bring(&index.python(), &wheels[..1], &["any"], &staging, &root).unwrap();
    fs::write(index.at("offline"), "").unwrap();
    let error = bring(&index.python(), &wheels, &["any"], &staging, &root).unwrap_err().to_string();
    assert!(error.starts_with("two==1.0: pip could not download it"), "{error}");
    fs::remove_file(index.at("offline")).unwrap();
    bring(&index.python(), &wheels, &["any"], &staging, &root).unwrap();
    assert_eq!(index.downloads(), ["one==1.0", "two==1.0", "two==1.0"], "the first came once");
    // One that was cut is brought again.
    fs::write(staging.join("one-1.0-py3-none-any.whl"), "PK").unwrap();
    bring(&index.python(), &wheels, &["any"], &staging, &root).unwrap();
    assert_eq!(index.downloads().len(), 4);
}

#[test]
fn without_pip_or_python_the_error_says_how_to_get_it() {
    let error =
        bring(Path::new("no-such-python"), &[], &[], Path::new("."), Path::new(".")).unwrap_err().to_string();
    assert!(
        error.contains("there is no `no-such-python`") && error.contains("apt-get install python3-pip"),
        "{error}"
    );
}
