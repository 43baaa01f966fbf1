# SPDX-License-Identifier: GPL-2.0
"""base.sh, compose.sh, tree.sh, refresh.sh, series.sh, apply.sh on a toy kernel."""

import os
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from common import KERNEL, Repo, patch, write_tar


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
        self.store("0003-mm-last-line.patch",
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
    imported = True

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
        self.ok("tree.sh")
        self.before = self.git("rev-parse", "HEAD")

    def test_patch_does_not_apply(self) -> None:
        self.store("0003-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_39", "last", 40))
        stored = self.snapshot()
        self.refused("0003-mm-last-line.patch", "mm/memory.c", "@@ -37,4 +37,4 @@",
                     "Linux 7.3.4")
        self.assertEqual(self.snapshot(), stored)

    def test_patch_of_a_file_that_is_not_there(self) -> None:
        self.store("0003-mm-last-line.patch",
                   patch("mm: last line", "mm/gone.c", "line_40", "last", 40))
        self.refused("0003-mm-last-line.patch", "mm/gone.c")

    def test_damaged_patch(self) -> None:
        self.store("0003-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "last", 40)[:-30])
        self.refused("0003-mm-last-line.patch")

    def test_malformed_series_line(self) -> None:
        for bad in ("0003-mm-last-line.patch mm/tests/toy.c", "0003-mm-last-line.patch #mm/x",
                    "0003-mm-last-line.patch # +", "last line", " 0003-mm-last-line.patch"):
            with self.subTest(bad):
                self.write("patches/series", "# order\n0001-mm-first-line.patch\n" + bad + "\n")
                self.refused("patches/series:3", bad.strip())

    def test_series_names_a_patch_that_is_not_there(self) -> None:
        self.write("patches/series", "0009-none.patch\n")
        self.refused("patches/series:1", "0009-none.patch")

    def test_patch_listed_twice(self) -> None:
        self.write("patches/series", "0001-mm-first-line.patch\n" * 2)
        self.refused("patches/series:2", "twice")

    def test_patch_not_listed(self) -> None:
        self.store("0004-more.patch", patch("mm: more", "mm/other.c", "other_1", "one", 1))
        self.refused("0004-more.patch", "not listed")

    def test_empty_series(self) -> None:
        self.write("patches/series", "# nothing\n")
        self.refused("patches/series", "no patch")

    def test_missing_added_file(self) -> None:
        (self.root / "mm/tests/toy.c").unlink()
        self.refused("patches/series:3", "mm/tests/toy.c", "no such file")

    def test_added_file_that_the_base_has(self) -> None:
        self.write("mm/other.c", "// mine\n")
        self.write("patches/series", (self.patches / "series").read_text()
                   .replace("mm/tests/toy.c", "mm/other.c"))
        self.refused("0002-mm-add-a-test.patch", "mm/other.c", "already in")

    def test_added_file_outside(self) -> None:
        for path in ("../x", "harness/lib/lib.sh", "/etc/passwd", "mm/./tests/toy.c"):
            with self.subTest(path):
                self.write("patches/series", "0001-mm-first-line.patch\n"
                           f"0002-mm-add-a-test.patch # + {path}\n")
                self.refused("patches/series:2", path)

    def test_patch_without_subject_or_separator(self) -> None:
        text = (self.patches / "0001-mm-first-line.patch").read_text()
        self.store("0001-mm-first-line.patch", text.replace("Subject: ", "Title: "))
        self.refused("0001-mm-first-line.patch:1", "Subject")
        self.store("0001-mm-first-line.patch", text.replace("\n---\n", "\n\n"))
        self.refused("0001-mm-first-line.patch", "---")

    def test_local_work_is_not_dropped(self) -> None:
        memory = self.tree / "mm/memory.c"
        memory.write_text(memory.read_text() + "int mine;\n")
        # Nothing new to put there: the developer's edit is what gets built.
        self.ok("tree.sh")
        self.assertIn("int mine;", memory.read_text())
        self.write("mm/tests/toy.c", "// changed\n")
        self.assertRegex(self.fails("tree.sh"), "uncommitted.*make refresh.*FORCE=1")
        self.git("commit", "-qam", "mm: mine")
        self.assertRegex(self.fails("tree.sh"), "commits.*make refresh.*FORCE=1")
        self.assertIn("int mine;", memory.read_text())
        self.ok("tree.sh", FORCE="1")
        self.assertNotIn("int mine;", memory.read_text())
        self.assertEqual((self.tree / "mm/tests/toy.c").read_text(), "// changed\n")

    def test_bad_arguments(self) -> None:
        for script in ("base.sh", "compose.sh", "tree.sh", "refresh.sh", "series.sh",
                       "apply.sh", "lint.sh", "bisect.sh"):
            with self.subTest(script):
                self.assertIn(script, self.fails(script, "nonsense"))
        self.assertIn("BASE=x.y", self.fails("tree.sh", BASE="x.y"))
        self.assertIn("no such directory", self.fails("tree.sh", LINUX="/nonexistent"))
        self.assertIn("not a Linux source tree", self.fails("tree.sh", LINUX=str(self.tmp)))
        self.assertIn("unknown cell 'nonsense'", self.fails("bisect.sh", CELLS="nonsense"))


class Refresh(Repo):
    imported = True

    def setUp(self) -> None:
        super().setUp()
        self.ok("tree.sh")

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
        self.assertEqual(set(stored) & {"mm/tests/toy.c", "patches/0003-mm-last-line.patch"},
                         {"mm/tests/toy.c", "patches/0003-mm-last-line.patch"})
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
        self.assertRegex((self.patches / "0002-mm-add-a-test.patch").read_text(),
                         r"\ASubject: mm: add a test\n\nThe body of it — with a dash\.\n\n---\n"
                         r"diff --git a/mm/other\.c b/mm/other\.c\n"
                         r"index [0-9a-f]{12}\.\.[0-9a-f]{12} 100644\n"
                         r"--- a/mm/other\.c\n\+\+\+ b/mm/other\.c\n"
                         r"@@ -17,7 \+17,7 @@.*\n(.*\n){8}\Z")
        self.assertEqual((self.patches / "series").read_text().splitlines()[2],
                         "0002-mm-add-a-test.patch # + mm/tests/.kunitconfig mm/tests/toy.c")

    def test_new_changed_and_dropped_commits(self) -> None:
        self.git("reset", "-q", "--hard", "HEAD~2")
        self.commit("Documentation/mm/toy.rst", "Toy\n", "Documentation: a toy\n\nBody.\n\n  x\n")
        self.commit("mm/other.c", "// all new\n", "mm: other, rewritten: one, two")
        self.ok("refresh.sh")
        self.assertEqual(sorted(p.name for p in self.patches.iterdir()), [
            "0000-cover-letter.txt", "0001-mm-first-line.patch", "0002-Documentation-a-toy.patch",
            "0003-mm-other-rewritten-one-two.patch", "series"])
        self.assertEqual((self.patches / "0002-Documentation-a-toy.patch").read_text(),
                         "Subject: Documentation: a toy\n\nBody.\n\n  x\n\n---\n")
        self.assertEqual((self.patches / "series").read_text(),
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
        self.commit("mm/tests/toy.c", "// edited\n")
        self.refused("mm/tests/toy.c", "squash")

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


class Posting(Repo):
    imported = True

    def test_series(self) -> None:
        out = Path(self.ok("series.sh", "V=2"))
        names = sorted(p.name for p in out.iterdir())
        self.assertEqual(names, ["0000-cover-letter.patch", "0001-mm-first-line.patch",
                                 "0002-mm-add-a-test.patch", "0003-mm-last-line.patch"])
        cover = (out / names[0]).read_text()
        for text in ("Subject: [PATCH v2 0/3] mm: toy series\n", "What it is — all of it.",
                     "Based on: Linux 7.3.4 (", "base-commit: ", "Cc: list@kernel.invalid",
                     "From: Jane Doe <jane@doe.invalid>", "4 files changed"):
            self.assertIn(text, cover)
        mail = (out / names[1]).read_text()
        for text in ("Subject: [PATCH v2 1/3] mm: first line\n", "Cc: list@kernel.invalid\n",
                     "\n\nSigned-off-by: Jane Doe <jane@doe.invalid>\n---\n",
                     "1 file changed"):
            self.assertIn(text, mail)
        self.assertEqual(mail.count("Signed-off-by"), 1)
        self.assertNotIn("spoiled", mail.lower())
        # As a receiver does it.
        self.git("checkout", "-q", "--detach", "base/7.3")
        self.git("-c", "core.autocrlf=false", "-c", "apply.whitespace=warn", "am", "-q",
                 *(str(out / n) for n in names[1:]))
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}"),
                         self.git("rev-parse", "series^{tree}"))
        self.assertEqual(self.git("worktree", "list").count("\n"), 1)

    def test_send_email_accepts(self) -> None:
        out = Path(self.ok("series.sh"))
        probe = subprocess.run(["git", "send-email", "-h"], capture_output=True, text=True,
                               env=self.env, check=False)
        if "Mail::Address" in probe.stderr or "not a git command" in probe.stderr:
            self.skipTest("git send-email does not run here: install git-email, libmailtools-perl")
        done = self.git("send-email", "--dry-run", "--confirm=never", "--to=x@y.invalid",
                        *(str(p) for p in sorted(out.iterdir())))
        self.assertEqual(done.count("Result: OK"), 4)

    def test_without_identity(self) -> None:
        (self.tmp / "gitconfig").write_text("")
        self.ok("tree.sh")
        self.assertIn("user.name", self.fails("series.sh"))
        self.assertFalse((self.root / "build/series").exists())

    def test_bad_input(self) -> None:
        self.ok("tree.sh")
        self.assertIn("V=x", self.fails("series.sh", "V=x"))
        (self.patches / "0000-cover-letter.txt").write_text("subject\nno blank line\n")
        self.assertIn("0000-cover-letter.txt", self.fails("series.sh"))
        (self.patches / "0000-cover-letter.txt").unlink()
        self.assertIn("0000-cover-letter.txt", self.fails("series.sh"))

    def test_tree_with_more_than_patches(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/other.c").write_text("")
        self.assertIn("make refresh", self.fails("series.sh"))


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
        self.assertEqual({line for line in after[0].splitlines() if "ptlock-series" not in line},
                         set(refs.splitlines()))
        self.assertEqual(self.git("rev-parse", "ptlock-series~3", cwd=user),
                         self.git("rev-parse", "HEAD", cwd=user))
        self.git("fsck", "--strict", cwd=user)
        self.assertFalse((user / ".git/shallow").exists())
        self.assertIn("int first;", self.git("show", "ptlock-series:mm/memory.c", cwd=user))
        self.assertIn("ptlock-series already", self.fails("apply.sh", LINUX=str(user)))
        self.ok("apply.sh", LINUX=str(user), BRANCH="another")

    def test_apply_conflict(self) -> None:
        user = self.user_tree()
        (user / "mm/memory.c").write_text(KERNEL["mm/memory.c"].replace("line_40", "theirs"))
        self.git("commit", "-qam", "theirs", cwd=user)
        before = self.state(user)
        line = self.fails("apply.sh", LINUX=str(user))
        for word in ("0003-mm-last-line.patch", "mm/memory.c", "@@ -37,4 +37,4 @@"):
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


class Bisect(Repo):
    """kernel.sh replaced: it fails where the tree has a certain line. The cells have
    no machine, and are not booted."""
    imported = True

    def setUp(self) -> None:
        super().setUp()
        self.write("harness/guest/cells.ini", "".join(
            f"[cell {name}]\narch = x\nimage = x\nshows = toy\n" for name in ("a", "b")))
        self.write("harness/guest/kernel.sh", "#!/bin/bash\nmkdir -p \"$KOUT\"\n"
                   "grep -h int.first -r \"$TREE/mm\" >>\"$KOUT/seen\"; ls -i \"$TREE/mm/memory.c\"\n"
                   "[ $1 = a ] || ! grep -q twenty \"$TREE/mm/other.c\" || "
                   "grep -q last \"$TREE/mm/memory.c\"\n")
        (self.root / "harness/guest/kernel.sh").chmod(0o755)

    def test_each_commit_in_each_cell(self) -> None:
        done = self.run_script("bisect.sh", CELLS="a b")
        self.assertEqual(done.returncode, 1)
        self.assertEqual([" ".join(line.split()) for line in done.stdout.splitlines()], [
            "# a b commit", "1 ok ok mm: first line", "2 ok BUILD mm: add a test",
            "3 ok ok mm: last line", "3 commits, 1 failed"])
        self.assertIn("FAIL b: mm: add a test", done.stderr)
        # The series' own tree is not needed, and each cell has its own output.
        self.assertFalse(self.tree.exists())
        self.assertEqual((self.root / "build/bisect/kernel/a/seen").read_text(), "int first;\n" * 3)

    def test_all_build(self) -> None:
        self.assertTrue(self.ok("bisect.sh", CELLS="a").endswith("3 commits, 0 failed"))

    def test_what_was_good_is_not_done_again(self) -> None:
        seen = self.root / "build/bisect/kernel/a/seen"
        self.ok("bisect.sh", CELLS="a")
        self.assertTrue(self.ok("bisect.sh", CELLS="a").endswith("3 commits, 0 failed"))
        self.assertEqual(seen.read_text(), "int first;\n" * 3)
        self.ok("bisect.sh", CELLS="a", AGAIN="1")
        self.assertEqual(seen.read_text(), "int first;\n" * 6)

    def test_one_cell_of_each_build(self) -> None:
        self.assertEqual(self.run_script("bisect.sh", ALL="1").returncode, 1)
        self.assertTrue((self.root / "build/bisect/kernel/b/seen").exists())


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
