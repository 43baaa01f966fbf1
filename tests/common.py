# SPDX-License-Identifier: GPL-2.0
"""What tests share: those of the tree scripts a scratch copy of the repository on
a kernel of a dozen lines, so that nothing of the real one is needed or touched."""

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def kunit_folder() -> Path:
    """That of a kernel tree, for its KTAP parser."""
    for path in (os.environ.get("TREE", ""), ROOT / "build" / "tree"):
        kunit = Path(path) / "tools" / "testing" / "kunit"
        if path and (kunit / "kunit_parser.py").is_file():
            return kunit
    raise FileNotFoundError("no kernel tree: run make tree first")


LINES = "".join(f"int line_{n};\n" for n in range(1, 41))

KERNEL = {
    ".gitignore": "*.o\n.*\n/*\n!/debian/\n",
    ".gitattributes": "*.[ch] diff=cpp\n",
    "Makefile": "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 3\n"
                "SUBLEVEL = 4\nEXTRAVERSION =\nNAME = Toy\n",
    "mm/Makefile": "obj-y := memory.o\n",
    "mm/memory.c": LINES,
    "mm/other.c": LINES.replace("line", "other"),
    "scripts/get_maintainer.pl": "#!/bin/sh\necho 'A Maintainer <a@kernel.invalid>'\n"
                                 "echo list@kernel.invalid\n",
}

# The settings of a user that would spoil diffs, commits or applying.
HOSTILE = """\
[user]
	name = Jane Doe
	email = jane@doe.invalid
[diff]
	noprefix = true
	mnemonicPrefix = true
	algorithm = patience
	context = 9
	external = false
[core]
	autocrlf = input
	abbrev = 7
[apply]
	whitespace = error-all
[format]
	signature = spoiled
	subjectPrefix = SPOILED
	signOff = true
[commit]
	gpgsign = true
"""

# Two series; neither needs the other.
STACK = """\
# name, needs, list, tree, stable
lines\t-\tlines@list.invalid\tmm\t-
last\t-\tlast@list.invalid,list@kernel.invalid\tmm\tstable
"""

SERIES = """\
# SPDX-License-Identifier: GPL-2.0
0001-mm-first-line.patch
0002-mm-add-a-test.patch # + mm/tests/toy.c mm/tests/.kunitconfig
"""


def patch(subject: str, path: str, old: str, new: str, line: int) -> str:
    """A stored patch that changes one line of LINES, in refresh.sh's format."""
    name = old.partition("_")[0]
    before = [f" int {name}_{n};\n" for n in range(max(1, line - 3), line)]
    after = [f" int {name}_{n};\n" for n in range(line + 1, min(40, line + 3) + 1)]
    hunk = "".join(before) + f"-int {old};\n+int {new};\n" + "".join(after)
    start, count = line - len(before), len(before) + 1 + len(after)
    return (f"Subject: {subject}\n\nThe body of it — with a dash.\n\n---\n"
            f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
            f"@@ -{start},{count} +{start},{count} @@\n{hunk}")


def write_tar(path: Path, files: dict[str, str], top: str = "linux-source-7.3/") -> None:
    """FILES as a .tar.xz, as the Debian package has it."""
    with tarfile.open(path, "w:xz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(top + name)
            data = text.encode()
            info.size, info.mtime = len(data), 1700000000
            info.mode = 0o755 if name.endswith(".pl") else 0o644
            tar.addfile(info, io.BytesIO(data))


def script(root: Path, name: str) -> Path:
    """A script of the copy of harness/ there, in whichever of its rooms."""
    return next((root / "harness").glob(f"*/{name}"))


class Harness(unittest.TestCase):
    """A copy of harness/, and what its scripts say of mistakes before they begin."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        shutil.copytree(ROOT / "harness", self.root / "harness")

    def mistake(self, name: str, *args: str, **knobs: str) -> str:
        """The one line of an error, with nothing built."""
        run = subprocess.run(
            ["bash", str(script(self.root, name)), *args],
            env={**os.environ, **knobs}, capture_output=True, text=True, check=False,
            timeout=30)
        self.assertEqual(run.returncode, 1, run.stderr)
        errors = [line for line in run.stderr.splitlines() if line]
        self.assertEqual(len(errors), 1, run.stderr)
        self.assertFalse((self.root / "build").exists(), "something was built")
        return errors[0]


class Repo(unittest.TestCase):
    """A scratch repository with three patches, and ways to run its scripts."""

    _shared: tempfile.TemporaryDirectory[str]
    begins: tuple[str, ...] = ()  # the scripts that have run when a test begins

    @classmethod
    def setUpClass(cls) -> None:
        cls._shared = tempfile.TemporaryDirectory(prefix="ptlock-test-")
        cls.shared = Path(cls._shared.name).resolve()
        cls.tarball = cls.shared / "linux.tar.xz"
        write_tar(cls.tarball, KERNEL)

    @classmethod
    def tearDownClass(cls) -> None:
        cls._shared.cleanup()

    def setUp(self) -> None:
        # The same path for each test of a class: a work tree knows its own.
        self.tmp = self.shared / "tmp"
        self.tmp.mkdir()
        self.addCleanup(shutil.rmtree, self.tmp)
        self.root = self.tmp / "repo"
        self.tree = self.root / "build/tree"
        self.patches = self.root / "patches"
        (self.tmp / "gitconfig").write_text(HOSTILE)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("GIT_") and k not in
                    ("BASE", "LINUX", "EMAIL", "FORCE", "V", "BRANCH", "SERIES", "PTLOCK_START")}
        self.env.update(HOME=str(self.tmp), GIT_CONFIG_NOSYSTEM="1",
                        GIT_CONFIG_GLOBAL=str(self.tmp / "gitconfig"),
                        BASE_FILE=str(self.tarball))
        ready = self.shared / "ready"
        if not ready.exists():
            self.make()
            shutil.copytree(self.root, ready, symlinks=True)
        else:
            shutil.copytree(ready, self.root, symlinks=True)

    def make(self) -> None:
        """The repository, once for all tests of a class."""
        shutil.copytree(ROOT / "harness", self.root / "harness",
                        ignore=shutil.ignore_patterns("__pycache__"))
        self.write("patches/stack", STACK)
        self.write("patches/lines/series", SERIES)
        self.write("patches/last/series", "0001-mm-last-line.patch\n")
        for name in ("lines", "last"):
            self.write(f"patches/{name}/0000-cover-letter.txt",
                       f"mm: toy {name}\n\nWhat it is — all of it.\n")
        self.store("lines/0001-mm-first-line.patch",
                   patch("mm: first line", "mm/memory.c", "line_1", "first", 1))
        self.store("lines/0002-mm-add-a-test.patch",
                   patch("mm: add a test", "mm/other.c", "other_20", "twenty", 20))
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "last", 40))
        self.write("mm/tests/toy.c", "// toy\n")
        self.write("mm/tests/.kunitconfig", "CONFIG_KUNIT=y\n")
        for name in self.begins:
            self.ok(name)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def store(self, name: str, text: str) -> None:
        self.write(f"patches/{name}", text)

    def shim(self, name: str, script: str) -> None:
        """A command of the system's replaced by a script."""
        folder = self.tmp / "shims"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("#!/bin/bash\n" + script)
        (folder / name).chmod(0o755)
        self.env["PATH"] = f"{folder}:{os.environ['PATH']}"

    def run_script(self, name: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(script(self.root, name)), *args], text=True,
                              capture_output=True, env=self.env | env, cwd=self.tmp,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)

    def ok(self, name: str, *args: str, **env: str) -> str:
        """Run, expect success, give stdout."""
        done = self.run_script(name, *args, **env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def fails(self, name: str, *args: str, **env: str) -> str:
        """Run, expect exit 1 and exactly one error line; give that line."""
        done = self.run_script(name, *args, **env)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("[")
                 and not line.startswith("note: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("error: "), done.stderr)
        return lines[0]

    def git(self, *args: str, cwd: Path | None = None) -> str:
        """git as a user runs it, in the tree unless told; no signing key here."""
        done = subprocess.run(["git", "-c", "commit.gpgsign=false", *args], text=True,
                              capture_output=True, cwd=cwd or self.tree, env=self.env,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def snapshot(self) -> dict[str, bytes]:
        """Everything in the repository that is not generated."""
        return {str(f.relative_to(self.root)): f.read_bytes()
                for f in self.root.rglob("*")
                if f.is_file() and "build" not in f.relative_to(self.root).parts[:1]}

    def user_tree(self) -> Path:
        """A git tree of a user's, on his branch, with an edit not committed."""
        tree = self.tmp / "user tree"
        for name, text in KERNEL.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        self.git("init", "-q", "-b", "work", cwd=tree)
        self.git("add", "-A", "-f", cwd=tree)
        self.git("commit", "-qm", "toy kernel", cwd=tree)
        with open(tree / "Makefile", "a", encoding="utf-8") as makefile:
            makefile.write("# edited\n")
        return tree
