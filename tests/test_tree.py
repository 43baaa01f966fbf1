# SPDX-License-Identifier: GPL-2.0
"""base.sh, compose.sh, tree.sh, refresh.sh, series.sh, apply.sh on a toy kernel."""

import os
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from common import KERNEL, STACK, Repo, patch, write_tar


class Compose(Repo):
    def test_one_commit_a_patch(self) -> None:
        self.assertEqual(self.ok("tree.sh"), str(self.tree))
        self.assertEqual(self.git("log", "--format=%s %an <%ae>").splitlines(), [
            "mm: last line Jane Doe <jane@doe.invalid>",
            "mm: add a test Jane Doe <jane@doe.invalid>",
            "mm: first line Jane Doe <jane@doe.invalid>",
            "Linux 7.3.4 (linux.tar.xz) Linux <linux@base.invalid>"])
        self.assertEqual(self.git("symbolic-ref", "--short", "HEAD"), "series")
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.assertEqual(self.git("show", "--format=", "--name-only", "HEAD~1").splitlines(),
                         ["mm/other.c", "mm/tests/.kunitconfig", "mm/tests/toy.c"])
        self.assertIn("int first;", (self.tree / "mm/memory.c").read_text())
        self.assertTrue(os.access(self.tree / "scripts/get_maintainer.pl", os.X_OK))

    def test_new_files_are_seen(self) -> None:
        """Debian's .gitignore would hide whatever is added to the tree."""
        self.ok("tree.sh")
        (self.tree / "mm/new.c").write_text("")
        (self.tree / "mm/.kunitconfig").write_text("")
        self.assertEqual(self.git("status", "--porcelain").splitlines(),
                         ["?? mm/.kunitconfig", "?? mm/new.c"])

    def test_commit_ids_are_reproducible(self) -> None:
        self.ok("tree.sh")
        first = self.git("rev-parse", "HEAD")
        shutil.rmtree(self.root / "build")
        self.ok("tree.sh")
        self.assertEqual(self.git("rev-parse", "HEAD"), first)

    def test_nothing_changed_nothing_done(self) -> None:
        self.ok("tree.sh")
        before = {f: f.stat().st_mtime_ns for f in self.tree.rglob("*") if f.is_file()}
        start = time.monotonic()
        done = self.run_script("tree.sh")
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(before, {f: f.stat().st_mtime_ns for f in before})

    def test_only_what_differs_is_rewritten(self) -> None:
        self.ok("tree.sh")
        before = {f: f.stat().st_mtime_ns for f in self.tree.rglob("*") if f.is_file()}
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "final", 40))
        self.ok("tree.sh")
        changed = {str(f.relative_to(self.tree)) for f, t in before.items()
                   if f.stat().st_mtime_ns != t}
        self.assertEqual(changed, {"mm/memory.c"})
        self.assertIn("int final;", (self.tree / "mm/memory.c").read_text())

    def test_edit_of_an_added_file_reaches_the_tree(self) -> None:
        self.ok("tree.sh")
        self.write("mm/tests/toy.c", "// changed\n")
        self.ok("tree.sh")
        self.assertEqual((self.tree / "mm/tests/toy.c").read_text(), "// changed\n")

    def test_without_identity(self) -> None:
        """A machine that only builds needs none; nothing is guessed."""
        (self.tmp / "gitconfig").write_text("")
        self.ok("tree.sh")
        self.assertEqual(self.git("log", "-1", "--format=%an"), "ptlock")

    def test_identity_from_the_environment(self) -> None:
        self.ok("tree.sh", GIT_AUTHOR_NAME="John", GIT_AUTHOR_EMAIL="j@x.invalid")
        self.assertEqual(self.git("log", "-1", "--format=%an %ce"), "John j@x.invalid")


class BadInput(Repo):
    begins = ("tree.sh",)

    def refused(self, *words: str, **env: str) -> None:
        """A composed tree stays as it is, whatever is wrong with the new input."""
        line = self.fails("tree.sh", **env)
        for word in words:
            self.assertIn(word, line)
        self.assertEqual(self.git("rev-parse", "HEAD"), self.before)
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.assertFalse((self.root / "build/compose.tmp").exists())

    def setUp(self) -> None:
        super().setUp()
        self.before = self.git("rev-parse", "HEAD")

    def test_patch_does_not_apply(self) -> None:
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_39", "last", 40))
        stored = self.snapshot()
        self.refused("last/0001-mm-last-line.patch", "mm/memory.c", "@@ -37,4 +37,4 @@",
                     "Linux 7.3.4")
        self.assertEqual(self.snapshot(), stored)

    def test_patch_of_a_file_that_is_not_there(self) -> None:
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/gone.c", "line_40", "last", 40))
        self.refused("last/0001-mm-last-line.patch", "mm/gone.c")

    def test_damaged_patch(self) -> None:
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "last", 40)[:-30])
        self.refused("last/0001-mm-last-line.patch")

    def test_malformed_series_line(self) -> None:
        for bad in ("0003-mm-last-line.patch mm/tests/toy.c", "0003-mm-last-line.patch #mm/x",
                    "0003-mm-last-line.patch # +", "last line", " 0003-mm-last-line.patch"):
            with self.subTest(bad):
                self.write("patches/lines/series", "# order\n0001-mm-first-line.patch\n" + bad + "\n")
                self.refused("patches/lines/series:3", bad.strip())

    def test_series_names_a_patch_that_is_not_there(self) -> None:
        self.write("patches/lines/series", "0009-none.patch\n")
        self.refused("patches/lines/series:1", "0009-none.patch")

    def test_patch_listed_twice(self) -> None:
        self.write("patches/lines/series", "0001-mm-first-line.patch\n" * 2)
        self.refused("patches/lines/series:2", "twice")

    def test_patch_not_listed(self) -> None:
        self.store("lines/0004-more.patch", patch("mm: more", "mm/other.c", "other_1", "one", 1))
        self.refused("0004-more.patch", "not listed")

    def test_empty_series(self) -> None:
        self.write("patches/lines/series", "# nothing\n")
        self.refused("patches/lines/series", "no patch")

    def test_missing_added_file(self) -> None:
        (self.root / "mm/tests/toy.c").unlink()
        self.refused("patches/lines/series:3", "mm/tests/toy.c", "no such file")

    def test_added_file_that_the_base_has(self) -> None:
        self.write("mm/other.c", "// mine\n")
        self.write("patches/lines/series", (self.patches / "lines/series").read_text()
                   .replace("mm/tests/toy.c", "mm/other.c"))
        self.refused("0002-mm-add-a-test.patch", "mm/other.c", "already in")

    def test_added_file_outside(self) -> None:
        for path in ("../x", "harness/lib/lib.sh", "/etc/passwd", "mm/./tests/toy.c"):
            with self.subTest(path):
                self.write("patches/lines/series", "0001-mm-first-line.patch\n"
                           f"0002-mm-add-a-test.patch # + {path}\n")
                self.refused("patches/lines/series:2", path)

    def test_patch_without_subject_or_separator(self) -> None:
        text = (self.patches / "lines/0001-mm-first-line.patch").read_text()
        self.store("lines/0001-mm-first-line.patch", text.replace("Subject: ", "Title: "))
        self.refused("0001-mm-first-line.patch:1", "Subject")
        self.store("lines/0001-mm-first-line.patch", text.replace("\n---\n", "\n\n"))
        self.refused("0001-mm-first-line.patch", "---")

    def test_local_work_is_not_dropped(self) -> None:
        memory = self.tree / "mm/memory.c"
        memory.write_text(memory.read_text() + "int mine;\n")
        # Nothing new to put there: the developer's edit is what gets built.
        self.ok("tree.sh")
        self.assertIn("int mine;", memory.read_text())
        self.write("mm/tests/toy.c", "// changed\n")
        self.assertRegex(self.fails("tree.sh"), "uncommitted.*stash, make tree.*FORCE=1")
        self.git("commit", "-qam", "mm: mine")
        self.assertRegex(self.fails("tree.sh"), "commits.*make refresh.*FORCE=1")
        self.assertIn("int mine;", memory.read_text())
        self.ok("tree.sh", FORCE="1")
        self.assertNotIn("int mine;", memory.read_text())
        self.assertEqual((self.tree / "mm/tests/toy.c").read_text(), "// changed\n")

    def test_bad_arguments(self) -> None:
        for script in ("base.sh", "tree.sh", "refresh.sh", "series.sh",
                       "apply.sh", "lint.sh", "bisect.sh"):
            with self.subTest(script):
                self.assertIn(script, self.fails(script, "nonsense"))
        self.assertIn("compose.sh", self.fails("compose.sh", "lines", "last"))
        self.assertIn("SERIES=nonsense", self.fails("compose.sh", "nonsense"))
        self.assertIn("BASE=x.y", self.fails("tree.sh", BASE="x.y"))
        self.assertIn("no such directory", self.fails("tree.sh", LINUX="/nonexistent"))
        self.assertIn("not a Linux source tree", self.fails("tree.sh", LINUX=str(self.tmp)))
        self.assertIn("unknown cell 'nonsense'", self.fails("bisect.sh", CELLS="nonsense"))


class Refresh(Repo):
    begins = ("tree.sh",)

    def refused(self, *words: str) -> None:
        stored, head = self.snapshot(), self.git("rev-parse", "HEAD")
        line = self.fails("refresh.sh")
        for word in words:
            self.assertIn(word, line)
        self.assertEqual(self.snapshot(), stored)
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertFalse((self.root / "build/refresh.tmp").exists())

    def commit(self, path: str, text: str, message: str = "mm: more") -> None:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git("add", "-f", path)
        self.git("commit", "-qm", message)

    def test_round_trip(self) -> None:
        # The toy patches lack the index line; from then on nothing changes.
        self.ok("refresh.sh")
        stored, head = self.snapshot(), self.git("rev-parse", "HEAD")
        self.assertEqual(set(stored) & {"mm/tests/toy.c", "patches/last/0001-mm-last-line.patch"},
                         {"mm/tests/toy.c", "patches/last/0001-mm-last-line.patch"})
        self.ok("refresh.sh")
        self.assertEqual(self.snapshot(), stored)
        shutil.rmtree(self.root / "build")
        self.ok("tree.sh")
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.ok("refresh.sh")
        self.assertEqual(self.snapshot(), stored)

    def test_format(self) -> None:
        """The user's diff and format settings are hostile, see common.py."""
        self.ok("refresh.sh")
        self.assertRegex((self.patches / "lines/0002-mm-add-a-test.patch").read_text(),
                         r"\ASubject: mm: add a test\n\nThe body of it — with a dash\.\n\n---\n"
                         r"diff --git a/mm/other\.c b/mm/other\.c\n"
                         r"index [0-9a-f]{12}\.\.[0-9a-f]{12} 100644\n"
                         r"--- a/mm/other\.c\n\+\+\+ b/mm/other\.c\n"
                         r"@@ -17,7 \+17,7 @@.*\n(.*\n){8}\Z")
        self.assertEqual((self.patches / "lines/series").read_text().splitlines()[2],
                         "0002-mm-add-a-test.patch # + mm/tests/.kunitconfig mm/tests/toy.c")

    def test_new_changed_and_dropped_commits(self) -> None:
        self.git("reset", "-q", "--hard", "HEAD~2")
        self.commit("Documentation/mm/toy.rst", "Toy\n", "Documentation: a toy\n\nBody.\n\n  x\n")
        self.commit("mm/other.c", "// all new\n", "mm: other, rewritten: one, two")
        # Its line is the author's: nothing goes away without him.
        self.refused("of series last", "remove its line from patches/stack")
        self.write("patches/stack", STACK.rpartition("last")[0].rpartition("last")[0])
        self.ok("refresh.sh")
        self.assertEqual([p.name for p in (self.patches / "last").iterdir()],
                         ["0000-cover-letter.txt"])
        self.assertEqual(sorted(p.name for p in (self.patches / "lines").iterdir()), [
            "0000-cover-letter.txt", "0001-mm-first-line.patch", "0002-Documentation-a-toy.patch",
            "0003-mm-other-rewritten-one-two.patch", "series"])
        self.assertEqual((self.patches / "lines/0002-Documentation-a-toy.patch").read_text(),
                         "Subject: Documentation: a toy\n\nBody.\n\n  x\n\n---\n")
        self.assertEqual((self.patches / "lines/series").read_text(),
                         "# SPDX-License-Identifier: GPL-2.0\n0001-mm-first-line.patch\n"
                         "0002-Documentation-a-toy.patch # + Documentation/mm/toy.rst\n"
                         "0003-mm-other-rewritten-one-two.patch\n")
        self.assertFalse((self.root / "mm").exists())
        self.assertEqual((self.root / "Documentation/mm/toy.rst").read_text(), "Toy\n")
        # Stored and composed agree: nothing left to do, nobody's work in the way.
        self.assertEqual(self.run_script("tree.sh").stderr, "")

    def test_executable_added_file(self) -> None:
        (self.tree / "tools").mkdir()
        (self.tree / "tools/run.sh").write_text("#!/bin/sh\n")
        (self.tree / "tools/run.sh").chmod(0o755)
        self.git("add", "tools/run.sh")
        self.git("commit", "-qm", "tools: run")
        self.ok("refresh.sh")
        self.assertTrue(os.access(self.root / "tools/run.sh", os.X_OK))
        self.assertIn("100755", self.git("ls-tree", "HEAD", "tools/run.sh"))

    def test_later_edit_of_an_added_file(self) -> None:
        last = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", "HEAD~1")
        self.commit("mm/tests/toy.c", "// edited\n", "mm: more\n\nSeries: lines")
        self.git("cherry-pick", last)
        self.ok("refresh.sh")
        self.assertEqual((self.root / "mm/tests/toy.c").read_text(), "// toy\n")
        tree = self.git("rev-parse", "HEAD^{tree}")
        self.ok("tree.sh")
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"), tree)

    def test_merge(self) -> None:
        self.git("checkout", "-q", "-b", "side", "HEAD~1")
        self.commit("mm/third.c", "")
        self.git("checkout", "-q", "series")
        self.git("merge", "-q", "-m", "a merge", "side")
        self.refused("a merge", "linear")

    def test_tags(self) -> None:
        for tag in ("Signed-off-by", "Reviewed-by", "Acked-by", "Tested-by"):
            with self.subTest(tag):
                self.commit("mm/other.c", f"// {tag}\n", f"mm: x\n\n{tag}: A <a@b.invalid>")
                self.refused(tag, "mm: x")
                self.git("reset", "-q", "--hard", "HEAD~1")

    def test_uncommitted(self) -> None:
        (self.tree / "mm/other.c").write_text("")
        self.refused("uncommitted")

    def test_other_base(self) -> None:
        self.assertIn("BASE", self.fails("refresh.sh", BASE="7.2"))
        self.git("checkout", "-q", "--orphan", "elsewhere")
        self.git("commit", "-qm", "elsewhere")
        self.git("checkout", "-q", "-B", "series")
        self.refused("not on the base")

    def test_detached(self) -> None:
        self.git("checkout", "-q", "--detach")
        self.refused("not on branch series")

    def test_message_that_git_am_would_cut(self) -> None:
        self.commit("mm/other.c", "//\n", "mm: x\n\ntext\n---\nmore")
        self.refused("mm: x", "diff")

    def test_file_in_a_folder_of_ours(self) -> None:
        self.commit("harness/x", "")
        self.refused("harness/x")


class Stack(Repo):
    """Several series: what belongs to which, and in what order."""
    begins = ("tree.sh", "refresh.sh")

    refused = Refresh.refused
    commit = Refresh.commit

    def series_of(self) -> dict[str, str]:
        """Subject: series, as the tree has it."""
        lines = self.git("log", "--reverse", "--format=%s|%(trailers:key=Series,valueonly,"
                         "separator=%x2C)", "base/7.3..").splitlines()
        return dict(line.split("|") for line in lines)

    def reword(self, rev: str, old: str, new: str) -> None:
        """Replaces OLD in the message of REV, and what follows comes again."""
        later = self.git("rev-list", "--reverse", f"{rev}..HEAD").split()
        self.git("checkout", "-q", "-B", "series", rev)
        message = self.git("log", "-1", "--format=%B")
        self.git("commit", "-q", "--amend", "-m", message.replace(old, new))
        for commit in later:
            self.git("cherry-pick", commit)

    def test_trailers_are_in_the_tree_only(self) -> None:
        self.assertEqual(self.series_of(), {"mm: first line": "lines", "mm: add a test": "lines",
                                            "mm: last line": "last"})
        for path, text in self.snapshot().items():
            if path.endswith(".patch") and path.startswith("patches"):
                self.assertNotIn(b"Series:", text, path)
        for series, count in (("all", 3), ("lines", 2), ("last", 1)):
            base, start, tip, _ = self.ok("compose.sh", series).split()
            self.assertEqual(base, start)
            self.assertEqual(self.git("rev-list", "--count", f"{start}..{tip}"), str(count))
            self.assertNotIn("Series:", self.git("log", tip))
        self.assertEqual(self.ok("compose.sh").split()[2], self.git("rev-parse", "HEAD"))

    def test_start_is_after_what_it_needs(self) -> None:
        self.write("patches/stack", STACK.replace("last\t-", "last\tlines"))
        base, start, tip, _ = self.ok("compose.sh", SERIES="last").split()
        self.assertEqual(self.git("rev-list", "--count", f"{base}..{start}"), "2")
        self.assertEqual(self.git("rev-parse", f"{tip}~1"), start)
        before = time.monotonic()
        self.assertEqual(self.run_script("compose.sh", "last").stderr, "")
        self.assertLess(time.monotonic() - before, 5)

    def test_needs_more_than_it_says(self) -> None:
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/other.c", "other_20", "last", 20)
                   .replace("-int other_20", "-int twenty"))
        self.ok("compose.sh", "all")
        self.assertRegex(self.fails("compose.sh", "last"),
                         "last/0001.*patches/stack says that last needs: mm/other.c")

    def test_trailers_of_its_own(self) -> None:
        """Fixes: and Link: and the line of the series are one block, and come back."""
        message = ("mm: fix it\n\nBody.\n\nFixes: 0123456789ab (\"mm: x\")\n"
                   "Link: https://x.invalid/")
        self.commit("mm/other.c", "// fixed\n", message)
        self.ok("refresh.sh")
        stored = (self.patches / "last/0002-mm-fix-it.patch").read_text()
        self.assertTrue(stored.startswith(f"Subject: {message}\n\n---\n"), stored)
        self.assertTrue(self.git("log", "-1", "--format=%B").endswith("invalid/\nSeries: last"))
        for body in ("", "One line.", "A list:\n\n  x: y", "Note: of what\nthere is."):
            with self.subTest(body):
                self.git("commit", "-q", "--amend", "-m", f"mm: fix it\n\n{body}".strip())
                self.ok("refresh.sh")
                stored = self.snapshot()
                self.assertIn(f"Subject: mm: fix it\n\n{body}".strip() + "\n\n---\n",
                              stored["patches/last/0002-mm-fix-it.patch"].decode())
                self.assertEqual(self.git("log", "-1", "--format=%(trailers:key=Series,valueonly)"),
                                 "last")
                self.ok("refresh.sh")
                self.assertEqual(self.snapshot(), stored)

    def test_across_the_border(self) -> None:
        self.reword("HEAD~1", "Series: lines", "Series: last")
        self.ok("refresh.sh")
        self.assertEqual(sorted(p.name for p in self.patches.rglob("0*.patch")),
                         ["0001-mm-add-a-test.patch", "0001-mm-first-line.patch",
                          "0002-mm-last-line.patch"])
        self.assertIn("0001-mm-add-a-test.patch # + ", (self.patches / "last/series").read_text())

    def test_new_series(self) -> None:
        """One line in the stack, and commits that name it; without a cover letter."""
        self.write("patches/stack", STACK + "more\tlast\tx@y.invalid\tmm\t-\n")
        self.assertRegex(self.fails("compose.sh"), "patches/more/series: no such file.*refresh")
        self.commit("mm/third.c", "// third\n", "mm: third\n\nWhy.\n\nSeries: more")
        self.ok("refresh.sh")
        self.assertEqual((self.patches / "more/series").read_text(),
                         "0001-mm-third.patch # + mm/third.c\n")
        self.assertEqual(self.run_script("tree.sh").stderr, "")
        self.assertIn("more/0000-cover-letter.txt is missing", self.fails("series.sh", SERIES="more"))

    def test_later_series_edits_what_an_earlier_adds(self) -> None:
        self.commit("mm/tests/.kunitconfig", "CONFIG_KUNIT=y\nCONFIG_MORE=y\n")
        self.ok("refresh.sh")
        self.assertEqual((self.root / "mm/tests/.kunitconfig").read_text(), "CONFIG_KUNIT=y\n")
        self.assertIn("+CONFIG_MORE=y", (self.patches / "last/0002-mm-more.patch").read_text())
        stored = self.snapshot()
        shutil.rmtree(self.tree)
        self.ok("tree.sh")
        self.assertIn("CONFIG_MORE", (self.tree / "mm/tests/.kunitconfig").read_text())
        self.ok("refresh.sh")
        self.assertEqual(self.snapshot(), stored)

    def test_without_a_line(self) -> None:
        self.commit("mm/other.c", "// on top\n")
        self.ok("refresh.sh")
        self.assertEqual(self.series_of()["mm: more"], "last")
        self.reword("HEAD~3", "Series: lines", "")
        self.ok("refresh.sh")
        self.assertEqual(self.series_of()["mm: first line"], "lines")
        # Between two series, it may be of either.
        self.reword("HEAD~2", "Series: lines", "")
        self.refused("mm: add a test", "of lines or of last", "Series: lines", "rebase -i")

    def test_wrong_lines(self) -> None:
        head = self.git("rev-parse", "HEAD")
        for rev, new, words in (
                ("HEAD", "Series: none", ("mm: last line", "none", "patches/stack")),
                ("HEAD", "Series: last\nSeries: lines", ("mm: last line", "several")),
                ("HEAD~2", "Series: last", ("mm: add a test", "of lines", "after one of last"))):
            with self.subTest(new):
                old = "Series: last" if rev == "HEAD" else "Series: lines"
                self.reword(rev, old, new)
                self.refused(*words)
                self.git("checkout", "-q", "-B", "series", head)
        self.reword("HEAD", "Series: last", "Series: lines")
        self.refused("of series last", "remove its line")

    def test_wrong_stack(self) -> None:
        for line, words in (("more\t-\tx@y.invalid\tmm", ("more",)),
                            ("more last x@y.invalid mm -", ("more",)),
                            ("more\tnone\tx@y.invalid\tmm\t-", ("more needs none",)),
                            ("all\t-\tx@y.invalid\tmm\t-", ("all",)),
                            ("last\t-\tx@y.invalid\tmm\t-", ("twice",))):
            with self.subTest(line):
                self.write("patches/stack", STACK + line + "\n")
                error = self.fails("compose.sh")
                for word in ("patches/stack:4", *words):
                    self.assertIn(word, error)
        self.write("patches/stack", STACK.replace("last\t-", "last\tmore"))
        self.assertIn("patches/stack:3", self.fails("compose.sh"))
        self.write("patches/stack", STACK.rpartition("last")[0].rpartition("last")[0])
        self.assertIn("patches/last: in no line", self.fails("compose.sh"))
        (self.patches / "stack").unlink()
        self.assertIn("patches/stack", self.fails("compose.sh"))


class Backports(Repo):
    """BASE=6.12 with patches/last/6.12, on a kernel to which the patch for 7.3 does not apply."""

    def setUp(self) -> None:
        super().setUp()
        self.kernels = {"7.3": str(self.tarball)}
        for base in ("6.12", "7.2"):
            major, minor = base.split(".")
            files = {**KERNEL, "Makefile": KERNEL["Makefile"]
                     .replace("VERSION = 7", f"VERSION = {major}")
                     .replace("LEVEL = 3\n", f"LEVEL = {minor}\n")}
            if base == "6.12":
                files["mm/memory.c"] = files["mm/memory.c"].replace("line_38", "older")
            tarball = self.tmp / f"linux-{base}.tar.xz"
            write_tar(tarball, files, f"linux-source-{base}/")
            self.kernels[base] = str(tarball)
        self.store("last/6.12/series", "0001-mm-last-line.patch\n")
        self.store("last/6.12/0000-cover-letter.txt", "mm: toy last, older\n\nWhat differs.\n")
        self.store("last/6.12/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "last", 40)
                   .replace("line_38", "older"))

    def on_base(self, base: str) -> dict[str, str]:
        return {"BASE": base, "BASE_FILE": self.kernels[base]}

    def log_of(self, base: str) -> list[str]:
        tip = self.ok("compose.sh", **self.on_base(base)).split()[2]
        return self.git("--git-dir", str(self.root / "build/base.git"), "log",
                        "--format=%s %(trailers:key=Series,valueonly,separator=%x2C)", tip,
                        cwd=self.root).splitlines()

    def test_only_those_series(self) -> None:
        tree = Path(self.ok("tree.sh", **self.on_base("6.12")))
        self.assertEqual(tree, self.root / "build/tree-6.12")
        self.assertIn("int older;\nint line_39;\nint last;", (tree / "mm/memory.c").read_text())
        self.assertEqual(self.log_of("6.12"), ["mm: last line last",
                                               "Linux 6.12.4 (linux-6.12.tar.xz)"])

    def test_other_bases_have_the_stack(self) -> None:
        for base in ("7.2", "7.3"):
            with self.subTest(base):
                self.assertEqual(self.log_of(base)[:-1], [
                    "mm: last line last", "mm: add a test lines", "mm: first line lines"])

    def test_series_without_one(self) -> None:
        for name, arg in (("compose.sh", "lines"), ("series.sh", "")):
            error = self.fails(name, *filter(None, [arg]), SERIES="lines", **self.on_base("6.12"))
            for word in ("patches/lines/6.12", "BASE=6.12", "last"):
                self.assertIn(word, error)

    def test_what_it_needs_may_not_be_there(self) -> None:
        self.write("patches/stack", STACK.replace("last\t-", "last\tlines"))
        base, start, tip, _ = self.ok("compose.sh", "last", **self.on_base("6.12")).split()
        self.assertEqual(base, start)
        self.assertNotEqual(start, tip)

    def test_mistakes_name_the_folder(self) -> None:
        self.store("last/6.12/0002-more.patch", "Subject: x\n\n---\n")
        self.assertIn("patches/last/6.12/0002-more.patch: not listed in patches/last/6.12/series",
                      self.fails("compose.sh", **self.on_base("6.12")))
        (self.patches / "last/6.12/0002-more.patch").unlink()
        self.store("last/6.12/0001-mm-last-line.patch",
                   (self.patches / "last/0001-mm-last-line.patch").read_text())
        error = self.fails("compose.sh", **self.on_base("6.12"))
        self.assertIn("last/6.12/0001-mm-last-line.patch does not apply to Linux 6.12.4", error)
        self.assertIn("mm/memory.c, hunk @@ -37,4 +37,4 @@", error)

    def test_mails(self) -> None:
        self.ok("series.sh", SERIES="last")
        out = Path(self.ok("series.sh", SERIES="last", **self.on_base("6.12")))
        self.assertEqual(out, self.root / "build/post-6.12/last")
        cover = (out / "0000-cover-letter.patch").read_text()
        self.assertIn("Subject: [PATCH 6.12.y 0/1] mm: toy last, older\n", cover)
        self.assertRegex(cover, r"To: stable@vger\.kernel\.org,\s+last@list\.invalid,")
        self.assertIn("[PATCH 0/1] mm: toy last\n",
                      (self.root / "build/post/last/0000-cover-letter.patch").read_text())

    def test_refresh_leaves_them_alone(self) -> None:
        self.ok("tree.sh")
        self.ok("refresh.sh")
        stored = self.snapshot()
        self.store("last/6.12/0001-mm-last-line.patch", "Subject: edited meanwhile\n")
        self.ok("refresh.sh")
        self.assertEqual(self.snapshot(), stored | {
            "patches/last/6.12/0001-mm-last-line.patch": b"Subject: edited meanwhile\n"})

    def test_tests_of_the_stack_are_not_expected(self) -> None:
        """PARTIAL is what cells are told by; who sets it has his way."""
        for given, want in (({"BASE": "6.12"}, "1"), ({"BASE": "6.12", "PARTIAL": ""}, ""),
                            ({"BASE": "7.2"}, "none"), ({}, "none")):
            with self.subTest(given):
                env = {k: v for k, v in self.env.items() if k != "PARTIAL"}
                done = subprocess.run(
                    ["bash", "-c", '. "$0/lib/lib.sh"; echo "${PARTIAL-none}"',
                     str(self.root / "harness")],
                    env=env | given, capture_output=True, text=True, check=True)
                self.assertEqual(done.stdout.strip(), want)


class NothingIsLost(Repo):
    """Work on one side is never written over by the other."""
    begins = ("tree.sh", "refresh.sh")

    def setUp(self) -> None:
        super().setUp()
        memory = self.tree / "mm/memory.c"
        memory.write_text(memory.read_text().replace("line_20", "mine"))
        self.git("commit", "-qam", "mm: mine")

    refused = Refresh.refused

    def test_edits_of_the_repository(self) -> None:
        """Of a patch, of an added file, of the order; a file that was not there."""
        first = "patches/lines/0001-mm-first-line.patch"
        for path in (first, "mm/tests/toy.c", "patches/lines/series",
                     "patches/last/0002-mm-mine.patch", "patches/last/0009-mm-other.patch"):
            with self.subTest(path):
                file = self.root / path
                text = file.read_text() if file.exists() else None
                file.write_text((text or "") + "// theirs\n")
                self.refused(path, "make tree")
                if text is None:
                    file.unlink()
                else:
                    file.write_text(text)
        text = (self.root / first).read_text()
        (self.root / first).write_text(text.replace("Subject: ", "Subject: their "))
        self.assertIn("git stash", self.fails("tree.sh"))
        self.ok("refresh.sh", FORCE="1")
        self.assertEqual((self.root / first).read_text(), text)

    def test_series_file_keeps_its_comment(self) -> None:
        file = self.patches / "lines/series"
        file.write_text("# one more\n" + file.read_text())
        self.ok("refresh.sh")
        self.assertTrue(file.read_text().startswith("# one more\n"))

    def test_cut_short(self) -> None:
        """As if it was killed when half of it was stored."""
        before, sums = self.snapshot(), self.git("rev-parse", "refs/sums/series")
        self.ok("refresh.sh")
        after = self.snapshot()
        self.git("update-ref", "refs/sums/series", sums)
        (self.root / "patches/last/series").write_bytes(before["patches/last/series"])
        self.ok("refresh.sh")
        self.assertEqual(self.snapshot(), after)

    def test_tree_of_somebody_else(self) -> None:
        for name in ("tree.sh", "refresh.sh"):
            error = self.fails(name, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
            self.assertRegex(error, "build/tree belongs to .* and you are .*chown")
            self.assertNotIn("remove", error)

    def test_tree_without_its_git(self) -> None:
        """git must not find the repository around it."""
        self.git("init", "-q", cwd=self.root)
        self.git("commit", "-q", "--allow-empty", "-m", "outer", cwd=self.root)
        (self.tree / ".git").rename(self.tmp / ".git")
        for name in ("tree.sh", "refresh.sh"):
            self.assertRegex(self.fails(name), "build/tree is no git tree: .*move it away")
        self.assertTrue((self.tree / "mm/memory.c").exists())

    def test_base_of_another_version(self) -> None:
        error = self.fails("base.sh", BASE="7.2")
        self.assertRegex(error, r"Linux 7\.3\.4, not 7\.2.*BASE=")
        self.assertEqual(self.git("tag"), "base/7.3")
        self.assertEqual(self.git("for-each-ref", "refs/import"), "")

    def put(self, script: str) -> int:
        text = f'. "{self.root}/harness/lib/lib.sh"; half() {{ echo half; false; echo more; }}\n'
        return subprocess.run(["bash", "-c", text + script, str(self.root / "harness/lib/x")],
                              env=self.env, check=False).returncode

    def test_put(self) -> None:
        file = self.tmp / "file"
        for way in ("{}", "{} || exit", "if ! {}; then exit 1; fi"):
            with self.subTest(way):
                file.write_text("old\n")
                self.assertEqual(self.put(way.format(f"put {file} bash -c 'echo half; exit 1'")), 1)
                self.assertEqual(file.read_text(), "old\n")
        self.assertEqual(self.put(f"put {file} half"), 1)
        self.assertEqual(file.read_text(), "old\n")
        self.assertEqual(self.put(f"put {file} echo 'a  b'; echo c | put {file}2"), 0)
        self.assertEqual(file.read_text(), "a  b\n")
        self.assertEqual((self.tmp / "file2").read_text(), "c\n")


class TheTree(Repo):
    """the_tree: which tree is a command about?"""
    begins = ("base.sh",)

    def setUp(self) -> None:
        super().setUp()
        self.env.pop("TREE", None)

    def asked(self, what: str, **env: str) -> tuple[str, str]:
        script = f'. "{self.root}/harness/lib/lib.sh"; the_tree {what}; echo "$TREE_REV"'
        done = subprocess.run(["bash", "-c", script, str(self.root / "harness/lib/x")],
                              env=self.env | env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = [line for line in done.stderr.splitlines() if not line.startswith("[")]
        self.assertEqual(len(said), 1, done.stderr)
        return done.stdout.strip(), said[0]

    def test_work_head_patches(self) -> None:
        clean, said = self.asked("work")
        self.assertEqual(clean, self.git("rev-parse", "HEAD"))
        self.assertRegex(said, r"^tree: \S+build/tree at \w+ \(mm: last line\)$")
        self.assertEqual(self.asked("patches")[0], clean)
        (self.tree / "mm/new.c").write_text("int added;\n")
        (self.tree / "mm/memory.c").write_text("int edited;\n")
        rev, said = self.asked("work")
        self.assertIn("with the uncommitted mm/memory.c mm/new.c", said)
        self.assertEqual(self.git("show", f"{rev}:mm/new.c"), "int added;")
        self.assertEqual(self.git("show", f"{rev}:mm/memory.c"), "int edited;")
        self.assertEqual(self.asked("work")[0], rev, "it is the same commit again")
        self.assertEqual(len(self.git("status", "--porcelain").splitlines()), 2)
        rev, said = self.asked("head")
        self.assertEqual(rev, clean)
        self.assertIn("without the uncommitted mm/memory.c mm/new.c", said)
        rev, said = self.asked("patches")
        self.assertEqual(rev, clean)
        self.assertRegex(said, "what patches/ give on Linux 7.3.4.*has uncommitted changes, left out")


class Typed(Repo):
    """What is typed wrongly, or cannot work, is said at once."""

    def test_linux_and_base(self) -> None:
        self.assertIn("only one", self.fails("tree.sh", LINUX=str(self.user_tree()), BASE="7.3"))

    def test_percent_in_linux(self) -> None:
        user = self.user_tree().rename(self.tmp / "x%41%20y")
        self.ok("tree.sh", LINUX=str(user))

    def test_blobless_clone(self) -> None:
        user, clone = self.user_tree(), self.tmp / "clone"
        self.git("config", "uploadpack.allowFilter", "true", cwd=user)
        self.git("-c", "core.autocrlf=false", "clone", "-q", "--filter=blob:none", "--sparse",
                 f"file://{user}", str(clone), cwd=self.tmp)
        self.ok("tree.sh", LINUX=str(clone))
        self.assertTrue((self.root / "build/tree-linux/mm/other.c").exists())

    def test_old_git(self) -> None:
        self.shim("git", "echo git version 2.30.2\n")
        self.assertRegex(self.fails("base.sh"), r"git 2\.30\.2 is too old: 2\.\d+ ")

    def test_path_of_the_repository(self) -> None:
        for name in ("a b", "a:b"):
            root = self.root.rename(self.tmp / name)
            done = subprocess.run([str(root / "harness/source/base.sh")], env=self.env, text=True,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{root}: move the repository", done.stderr)
            self.assertFalse((root / "build").exists())
            root.rename(self.root)

    def test_second_user(self) -> None:
        self.ok("base.sh")
        build = self.root / "build"
        for folder, mode in ((build / "base.git", 0o555), (build, 0o555)):
            os.chmod(folder, mode)
            command = [str(self.root / "harness/source/base.sh")]
            if os.geteuid() == 0:
                os.chmod(self.shared, 0o755)
                command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
            done = subprocess.run(command, env=self.env, text=True, capture_output=True, check=False)
            os.chmod(folder, 0o755)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"^error: cannot write there: \S+/build\S* belongs to "
                                          r"\w+, and you are \w+: run as")
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_disk_is_blamed_only_when_it_is_full(self) -> None:
        self.ok("tree.sh")
        shutil.rmtree(self.tree)
        branch = self.root / "build/base.git/refs/heads/series.lock"
        branch.write_text("")
        error = self.fails("tree.sh")
        self.assertRegex(error, "cannot check out the tree: .*series.lock")
        self.assertNotIn("disk", error)


class Rebase(Repo):
    begins = ("base.sh",)

    def test_patches_changed_in_a_rebase(self) -> None:
        self.ok("tree.sh")
        self.git("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "-q", "-i", "HEAD~1")
        head = self.git("rev-parse", "HEAD")
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "final", 40))
        self.assertIn("in the middle of a rebase: finish it first", self.fails("tree.sh"))
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.ok("tree.sh", FORCE="1")
        self.assertNotIn("rebas", self.git("status"))
        self.assertEqual(self.git("symbolic-ref", "--short", "HEAD"), "series")

    def test_base_file_that_is_not_there(self) -> None:
        """Also when the base is, and it is not needed."""
        self.assertIn("BASE_FILE=/nope: no such file", self.fails("base.sh", BASE_FILE="/nope"))


class Posting(Repo):
    begins = ("tree.sh",)

    def test_edited_mails_are_kept(self) -> None:
        out = Path(self.ok("series.sh", SERIES="lines"))
        mail = next(out.glob("0001-*"))
        mail.write_text(mail.read_text() + "edited\n")
        self.ok("series.sh", SERIES="lines")
        self.assertNotIn("edited", mail.read_text())
        self.assertIn("edited", (out.parent / "lines.old" / mail.name).read_text())

    def test_series(self) -> None:
        done = self.run_script("series.sh", V="2", SERIES="lines")
        self.assertEqual(done.returncode, 0, done.stderr)
        out = Path(done.stdout.strip())
        self.assertEqual(out, self.root / "build/post/lines")
        self.assertIn(f"git send-email {out}\n", done.stderr)
        names = sorted(p.name for p in out.iterdir())
        self.assertEqual(names, ["v2-0000-cover-letter.patch", "v2-0001-mm-first-line.patch",
                                 "v2-0002-mm-add-a-test.patch"])
        cover = (out / names[0]).read_text()
        for text in ("Subject: [PATCH v2 0/2] mm: toy lines\n", "What it is — all of it.",
                     "Based on: Linux 7.3.4 (", "base-commit: ", "To: lines@list.invalid",
                     "list@kernel.invalid", "From: Jane Doe <jane@doe.invalid>",
                     "Content-Type: text/plain; charset=UTF-8", "4 files changed"):
            self.assertIn(text, cover)
        mail = (out / names[1]).read_text()
        for text in ("Subject: [PATCH v2 1/2] mm: first line\n", "list@kernel.invalid",
                     "A Maintainer <a@kernel.invalid>",
                     "\n\nSigned-off-by: Jane Doe <jane@doe.invalid>\n---\n",
                     "1 file changed"):
            self.assertIn(text, mail)
        self.assertEqual(mail.count("Signed-off-by"), 1)
        self.assertNotIn("Series:", cover + mail)
        self.assertNotIn("spoiled", mail.lower())
        # As a receiver does it.
        self.git("checkout", "-q", "--detach", "base/7.3")
        self.git("-c", "core.autocrlf=false", "-c", "apply.whitespace=warn", "am", "-q",
                 *(str(out / n) for n in names[1:]))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"),
                         self.git("rev-parse", "series~1^{tree}"))
        self.assertEqual(self.git("worktree", "list").count("\n"), 1)
        self.assertEqual(self.git("branch", "--format=%(refname)", "--list", "post/*"), "")

    def test_what_a_series_needs(self) -> None:
        """It is named by patch id; a series that needs nothing names nothing."""
        self.ok("tree.sh")
        self.write("patches/stack", STACK.replace("last\t-", "last\tlines"))
        needs = sorted(self.git("diff-tree", "-p", rev) for rev in ("HEAD~1", "HEAD~2"))
        ids = {subprocess.run(["git", "patch-id", "--stable"], input=text, text=True, env=self.env,
                              capture_output=True, check=True).stdout.split()[0] for text in needs}
        out = Path(self.ok("series.sh", SERIES="last"))
        cover = (out / "0000-cover-letter.patch").read_text()
        self.assertEqual({line.split()[1] for line in cover.splitlines()
                          if line.startswith("prerequisite-patch-id: ")}, ids)
        self.assertIn("[PATCH 0/1] mm: toy last\n", cover)
        self.assertRegex(cover, r"To: last@list\.invalid,\s+list@kernel\.invalid\n")
        self.write("patches/stack", STACK)
        cover = (Path(self.ok("series.sh", SERIES="last")) / "0000-cover-letter.patch").read_text()
        self.assertNotIn("prerequisite", cover)

    def test_cover_letter_alone_has_an_umlaut(self) -> None:
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "last", 40).replace("—", "-"))
        mails = Path(self.ok("series.sh", SERIES="last"))
        cover = (mails / "0000-cover-letter.patch").read_text()
        self.assertEqual(cover.count("Content-Type: text/plain; charset=UTF-8\n"), 1)

    def test_which_series(self) -> None:
        for args in ({}, {"SERIES": "none"}, {"SERIES": "all"}):
            self.assertIn("lines last", self.fails("series.sh", **args))

    def test_for_lint(self) -> None:
        out = self.tmp / "out"
        for name in ("lines", "last"):
            said = self.ok("series.sh", SERIES=name, NOSIGN="1", OUT=str(out))
            self.assertEqual(said, str(out / name))
        mails = {str(p.relative_to(out)) for p in out.rglob("*.patch")}
        self.assertEqual(mails, {"lines/0000-cover-letter.patch", "last/0000-cover-letter.patch",
                                 "lines/0001-mm-first-line.patch", "lines/0002-mm-add-a-test.patch",
                                 "last/0001-mm-last-line.patch"})
        text = "".join((out / name).read_text() for name in mails)
        self.assertNotRegex(text, "(?m)^(Signed-off-by|To|Cc):")

    def test_send_email_accepts(self) -> None:
        out = Path(self.ok("series.sh", SERIES="lines"))
        probe = subprocess.run(["git", "send-email", "-h"], capture_output=True, text=True,
                               env=self.env, check=False)
        if "Mail::Address" in probe.stderr or "not a git command" in probe.stderr:
            self.skipTest("git send-email does not run here: install git-email, libmailtools-perl")
        done = self.git("send-email", "--dry-run", "--confirm=never", "--to=x@y.invalid",
                        *(str(p) for p in sorted(out.iterdir())))
        self.assertEqual(done.count("Result: OK"), 3)

    def test_without_identity(self) -> None:
        (self.tmp / "gitconfig").write_text("")
        self.ok("tree.sh")
        self.assertIn("user.name", self.fails("series.sh", SERIES="lines"))
        self.assertFalse((self.root / "build/post").exists())

    def test_bad_input(self) -> None:
        self.ok("tree.sh")
        self.assertIn("V=x", self.fails("series.sh", V="x", SERIES="lines"))
        cover = self.patches / "lines/0000-cover-letter.txt"
        cover.write_text("subject\nno blank line\n")
        self.assertIn("lines/0000-cover-letter.txt", self.fails("series.sh", SERIES="lines"))
        cover.unlink()
        self.assertIn("lines/0000-cover-letter.txt", self.fails("series.sh", SERIES="lines"))

    def test_tree_with_more_than_patches(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/other.c").write_text("")
        self.assertIn("make refresh", self.fails("series.sh", SERIES="lines"))


class UserTree(Repo):
    def state(self, tree: Path) -> tuple[str, str, dict[str, bytes]]:
        """Branches, HEAD, index and files."""
        files = {str(f): f.read_bytes() for f in tree.rglob("*")
                 if f.is_file() and ".git" not in f.relative_to(tree).parts}
        files["index"] = (tree / ".git/index").read_bytes()
        return (self.git("show-ref", cwd=tree), self.git("symbolic-ref", "HEAD", cwd=tree), files)

    def test_tree_on_a_git_tree(self) -> None:
        user = self.user_tree()
        before = self.state(user)
        done = self.run_script("tree.sh", LINUX=str(user))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("uncommitted changes, they are not included", done.stderr)
        self.assertEqual(self.state(user), before)
        self.assertFalse((user / ".git/worktrees").exists())
        tree = self.root / "build/tree-linux"
        self.assertEqual(done.stdout.strip(), str(tree))
        self.assertEqual(self.git("rev-parse", "HEAD~3", cwd=tree),
                         self.git("rev-parse", "HEAD", cwd=user))
        self.assertNotIn("edited", (tree / "Makefile").read_text())
        # A later commit of the user's moves the base.
        self.git("commit", "-qam", "more", cwd=user)
        self.ok("tree.sh", LINUX=str(user))
        self.assertIn("edited", (tree / "Makefile").read_text())

    def test_tree_on_a_directory(self) -> None:
        user = self.user_tree()
        shutil.rmtree(user / ".git")
        self.ok("tree.sh", LINUX=str(user))
        tree = self.root / "build/tree-linux"
        self.assertIn("edited", (tree / "Makefile").read_text())
        self.assertIn("int first;", (tree / "mm/memory.c").read_text())
        self.assertNotIn("int first;", (user / "mm/memory.c").read_text())
        self.assertEqual(self.run_script("tree.sh", LINUX=str(user)).stderr, "")
        self.assertIn("another", self.fails("tree.sh", LINUX=str(tree)))
        (user / "mm/other.c").write_text(KERNEL["mm/other.c"] + "int added;\n")
        self.ok("tree.sh", LINUX=str(user))
        self.assertIn("int added;", (tree / "mm/other.c").read_text())
        (user / ".config").write_text("")
        self.assertIn("built in", self.fails("tree.sh", LINUX=str(user)))

    def test_apply(self) -> None:
        user = self.user_tree()
        refs, head, files = self.state(user)
        self.ok("apply.sh", LINUX=str(user))
        after = self.state(user)
        self.assertEqual(after[1:], (head, files))
        self.assertEqual({line for line in after[0].splitlines() if "ptlock-stack" not in line},
                         set(refs.splitlines()))
        self.assertEqual(self.git("rev-parse", "ptlock-stack~3", cwd=user),
                         self.git("rev-parse", "HEAD", cwd=user))
        self.git("fsck", "--strict", cwd=user)
        self.assertFalse((user / ".git/shallow").exists())
        self.assertIn("int first;", self.git("show", "ptlock-stack:mm/memory.c", cwd=user))
        self.assertIn("ptlock-stack already", self.fails("apply.sh", LINUX=str(user)))
        self.ok("apply.sh", LINUX=str(user), BRANCH="another")
        self.assertNotIn("Series:", self.git("log", "another", cwd=user))

    def test_apply_one_series(self) -> None:
        user = self.user_tree()
        self.ok("apply.sh", LINUX=str(user), SERIES="last")
        self.assertEqual(self.git("log", "--format=%s", "HEAD..last", cwd=user), "mm: last line")
        self.write("patches/stack", STACK.replace("last\t-", "last\tlines"))
        self.ok("apply.sh", LINUX=str(user), SERIES="last", BRANCH="more")
        self.assertEqual(self.git("log", "--format=%s", "HEAD..more", cwd=user).splitlines(),
                         ["mm: last line", "mm: add a test", "mm: first line"])
        self.assertIn("lines last", self.fails("apply.sh", LINUX=str(user), SERIES="none"))

    def test_apply_conflict(self) -> None:
        user = self.user_tree()
        (user / "mm/memory.c").write_text(KERNEL["mm/memory.c"].replace("line_40", "theirs"))
        self.git("commit", "-qam", "theirs", cwd=user)
        before = self.state(user)
        line = self.fails("apply.sh", LINUX=str(user))
        for word in ("last/0001-mm-last-line.patch", "mm/memory.c", "@@ -37,4 +37,4 @@"):
            self.assertIn(word, line)
        self.assertEqual(self.state(user), before)

    def test_apply_bad_arguments(self) -> None:
        user = self.user_tree()
        self.assertIn("LINUX=DIR", self.fails("apply.sh"))
        self.assertIn("not a name", self.fails("apply.sh", LINUX=str(user), BRANCH="a..b"))
        shutil.rmtree(user / ".git")
        self.assertIn("not the top of a git tree", self.fails("apply.sh", LINUX=str(user)))


class Base(Repo):
    def no_base(self) -> None:
        refs = self.git("--git-dir", str(self.root / "build/base.git"), "for-each-ref", "refs/tags",
                        cwd=self.tmp)
        self.assertEqual(refs, "")

    def test_cut_short_then_resumed(self) -> None:
        cut = self.tmp / "cut.tar.xz"
        whole = self.tarball.read_bytes()
        cut.write_bytes(whole[:len(whole) // 2])
        self.assertIn("cut.tar.xz", self.fails("tree.sh", BASE_FILE=str(cut)))
        self.no_base()
        self.assertFalse(self.tree.exists())
        self.ok("tree.sh")

    def test_killed_then_resumed(self) -> None:
        """Killed in the middle of the stream, without a chance to clean up."""
        big = self.tmp / "big.tar.xz"
        write_tar(big, KERNEL | {f"mm/z{n}.c": "x" * 5000 + str(n) for n in range(200)})
        self.shim("xz", f"/usr/bin/xz \"$@\" | head -c 500000; touch {self.tmp}/half; sleep 60\n")
        run = subprocess.Popen([str(self.root / "harness/source/base.sh")], env=self.env |
                               {"BASE_FILE": str(big)}, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if (self.tmp / "half").exists():
                break
            time.sleep(0.1)
        time.sleep(0.3)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        self.no_base()
        self.env["PATH"] = os.environ["PATH"]
        self.ok("base.sh", BASE_FILE=str(big))
        self.assertEqual(list((self.root / "build/base.git").rglob("tmp_*")), [])
        self.ok("tree.sh")
        self.assertTrue((self.tree / "mm/z199.c").exists())

    def test_not_a_kernel(self) -> None:
        other = self.tmp / "other.tar.xz"
        write_tar(other, {"README": "no kernel\n"})
        self.assertIn("Makefile", self.fails("base.sh", BASE_FILE=str(other)))
        self.no_base()
        self.assertIn("no such file", self.fails("base.sh", BASE_FILE="/nonexistent.deb"))

    def test_full_disk(self) -> None:
        self.shim("df", "echo; echo x 100 90 10 90% /\n")
        self.assertRegex(self.fails("base.sh"), "2500 MiB .* 10 MiB are free")
        self.no_base()
        del self.env["PATH"]
        self.env["PATH"] = os.environ["PATH"]
        self.ok("base.sh")


@unittest.skipUnless(shutil.which("dpkg-deb") and
                     Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists(),
                     "dpkg-deb and Debian's keyring are needed")
class Download(Repo):
    """apt replaced by a script: what it says, and what is made of it."""

    def setUp(self) -> None:
        super().setUp()
        del self.env["BASE_FILE"]
        package = self.tmp / "deb"
        (package / "usr/src").mkdir(parents=True)
        (package / "DEBIAN").mkdir()
        shutil.copy(self.tarball, package / "usr/src/linux-source-7.3.tar.xz")
        (package / "DEBIAN/control").write_text(
            "Package: linux-source-7.3\nVersion: 7.3.4-1~bpo13+1\nArchitecture: all\n"
            "Maintainer: x <x@y.invalid>\nDescription: toy\n")
        self.deb = self.tmp / "linux-source-7.3_7.3.4-1~bpo13+1_all.deb"
        subprocess.run(["dpkg-deb", "-b", str(package), str(self.deb)], check=True,
                       stdout=subprocess.DEVNULL)
        self.apt()
        self.shim("apt-cache", "echo 'linux-source-7.2 - toy'; echo 'linux-source-7.3 - toy'\n"
                               "echo 'linux-source - toy'\n")

    def apt(self, update: str = "true", download: str = "") -> None:
        self.shim("apt-get", f"""
case " $* " in
*" indextargets "*) echo 'Debian|bookworm-security|http://m.invalid/sec/'
	echo 'Other|x|http://o.invalid/'; echo 'Debian|bookworm|http://m.invalid/debian/' ;;
*" update "*) {update} ;;
*" download "*) {download or f"cp '{self.deb}' ."} ;;
esac
""")

    def test_package(self) -> None:
        self.ok("tree.sh")
        self.assertEqual(self.git("log", "-1", "--format=%s", "base/7.3"),
                         "Linux 7.3.4 (Debian linux-source-7.3 7.3.4-1~bpo13+1)")
        sources = (self.root / "build/apt/sources.list").read_text()
        self.assertRegex(sources, r"^deb \[signed-by=\S+\] http://m\.invalid/debian/ "
                                  r"trixie-backports main\n$")
        # It is there: the network is not asked again.
        self.apt(update="exit 100")
        self.assertEqual(self.run_script("tree.sh").stderr, "")
        shutil.rmtree(self.root / "build/base.git")
        shutil.rmtree(self.tree)
        self.ok("tree.sh")

    def test_suite(self) -> None:
        """6.12 is the kernel of trixie itself; SUITE= has its way."""
        for suite, want in (("", "trixie"), ("sid", "sid")):
            self.fails("base.sh", BASE="6.12", SUITE=suite)
            self.assertIn(f"/debian/ {want} main\n",
                          (self.root / "build/apt/sources.list").read_text())

    def test_no_network(self) -> None:
        self.apt(update="echo 'E: Could not resolve m.invalid' >&2; exit 100")
        self.assertRegex(self.fails("tree.sh"), "package list.*Could not resolve m.invalid")
        self.apt()
        self.ok("tree.sh")

    def test_no_such_version(self) -> None:
        self.assertRegex(self.fails("tree.sh", BASE="9.9"), "no linux-source-9.9.*7.2 7.3")

    def test_no_debian_source(self) -> None:
        self.shim("apt-get", "echo 'Other|x|http://o.invalid/'\n")
        self.assertIn("no Debian main source", self.fails("tree.sh"))

    def test_download_cut_short(self) -> None:
        self.apt(download=f"head -c 2000 '{self.deb}' >linux-source-7.3_7.3.4-1~bpo13+1_all.deb; "
                          "echo 'E: Connection reset' >&2; exit 100")
        self.assertRegex(self.fails("tree.sh"), "cannot download.*Connection reset")
        self.assertEqual(list((self.root / "build/apt").glob("*.deb")), [])
        self.apt()
        self.ok("tree.sh")

    def test_damaged_package(self) -> None:
        bad = self.root / "build/apt/linux-source-7.3_7.3.4-1~bpo13+1_all.deb"
        bad.parent.mkdir(parents=True)
        bad.write_bytes(self.deb.read_bytes()[:-300])
        self.assertIn(bad.name, self.fails("tree.sh"))
        bad.unlink()
        self.ok("tree.sh")


if __name__ == "__main__":
    unittest.main()
