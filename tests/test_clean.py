# SPDX-License-Identifier: GPL-2.0
"""clean.sh: what it drops, what it says, and what it refuses to drop."""

from __future__ import annotations

import fcntl
import os
import shutil
import unittest

from common import Repo, patch


class Clean(Repo):
    begins = ("base.sh",)

    def setUp(self) -> None:
        super().setUp()
        self.build = self.root / "build"

    def generated(self) -> None:
        """Some of what there may be, with two MiB to be named."""
        for path in ("kernel/x86_64/vmlinux", "cells/x86_64/result.tsv", "bench/a.tsv",
                     "regress/arm64/base/vmlinux", "mutants/x86_64/vmlinux",
                     "windows/x86_64/vmlinux", "report.html", ".parallel/tmp/x"):
            self.write(f"build/{path}", "x")
        (self.build / "kernel/x86_64/vmlinux").write_bytes(b"x" * (2 << 20))

    def left(self) -> set[str]:
        return {name for name in os.listdir(self.build) if not name.startswith(".lock-")}

    def test_keeps_base_and_tree(self) -> None:
        self.ok("tree.sh")
        kept = self.left() - {"base.log"}
        self.generated()
        (self.tree / "mm/memory.c").write_text("int work;\n")
        said = self.ok("clean.sh")
        self.assertEqual(self.left(), kept)
        self.assertRegex(said, r"(?m)^ *2 MiB  kernel$")
        self.assertRegex(said, r"(?m)^ *2 MiB  dropped in all$")
        self.assertNotIn("report.html", said, "too small to be named")
        self.assertEqual((self.tree / "mm/memory.c").read_text(), "int work;\n")
        self.ok("tree.sh")

    def test_work_trees_of_scripts_go(self) -> None:
        self.ok("tree.sh")
        self.git("worktree", "add", "-q", "--detach", str(self.build / "walk-tree"))
        self.ok("clean.sh")
        self.assertNotIn("walk-tree", self.git("worktree", "list"))

    def test_nothing_there(self) -> None:
        shutil.rmtree(self.build)
        self.assertEqual(self.ok("clean.sh"), "")
        self.assertEqual(self.ok("clean.sh", "all"), "")
        self.build.mkdir()
        self.assertEqual(self.ok("clean.sh"), "")

    def test_all(self) -> None:
        self.ok("tree.sh")
        self.generated()
        self.assertIn("dropped in all", self.ok("clean.sh", "all"))
        self.assertFalse(self.build.exists())

    def refuses(self, *words: str) -> None:
        error = self.fails("clean.sh", "all")
        for word in words:
            self.assertIn(word, error)
        self.assertTrue((self.tree / "mm/memory.c").exists())

    def test_uncommitted_work(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.refuses("build/tree has uncommitted changes")
        self.ok("clean.sh", "all", FORCE="1")
        self.assertFalse(self.build.exists())

    def test_commits_that_patches_does_not_have(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.git("commit", "-qam", "mm: work")
        self.refuses("branch series ", "make refresh")
        self.git("checkout", "-q", "-b", "other")
        self.git("branch", "-q", "-f", "series", "HEAD~1")
        self.refuses("branch other ")

    def test_stash(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.git("stash", "-q")
        self.refuses("stash")
        self.git("stash", "drop", "-q")
        self.ok("clean.sh", "all")

    def test_detached_head(self) -> None:
        self.ok("tree.sh")
        self.git("checkout", "-q", "--detach")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.git("commit", "-qam", "mm: work")
        self.refuses("HEAD of", "build/tree has commits", self.git("log", "-1", "--format=%h"))

    def test_cut_short(self) -> None:
        """Whatever was to go is out of the way before any of it is removed."""
        self.ok("tree.sh")
        self.shim("rm", 'case "$*" in *" "*.gone.*[0-9]) kill -TERM $PPID; exit 1;; esac\n'
                  'exec /usr/bin/env PATH=/usr/bin:/bin rm "$@"\n')
        self.assertNotEqual(self.run_script("clean.sh", "all").returncode, 0)
        self.assertFalse(self.tree.exists())
        self.assertFalse((self.build / "base.git").exists())
        del self.env["PATH"]
        self.env["PATH"] = os.environ["PATH"]
        self.ok("tree.sh")
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.ok("clean.sh")
        self.assertEqual([name for name in self.left() if name.startswith(".gone")], [])

    def test_in_a_rebase(self) -> None:
        """Stopped before its first commit: the work is in files of its own."""
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.env["GIT_SEQUENCE_EDITOR"] = "sed -i s/^pick/edit/"
        self.git("rebase", "-q", "--autostash", "-i", "HEAD~2")
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.refuses("rebase")

    def test_tag(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        self.git("commit", "-qam", "mm: work")
        self.git("tag", "keep")
        self.git("reset", "-q", "--hard", "HEAD~1")
        self.refuses("keep")

    def test_work_tree_of_the_users(self) -> None:
        self.ok("tree.sh")
        mine = self.tmp / "mine"
        self.git("worktree", "add", "-q", "--detach", str(mine))
        (mine / "mm/memory.c").write_text("int work;\n")
        self.refuses(str(mine), "uncommitted")

    def test_git_cannot_tell(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/memory.c").write_text("int work;\n")
        error = self.fails("clean.sh", "all", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
        self.assertRegex(error, "build/tree belongs to")
        (self.tree / ".git").unlink()
        self.refuses("build/tree is no git tree")

    def test_refreshed_commits_are_no_work(self) -> None:
        self.ok("tree.sh")
        (self.tree / "mm/other.c").write_text(
            (self.tree / "mm/other.c").read_text().replace("other_1;", "one;"))
        self.git("commit", "-qam", "mm: work\n\nIts body.")
        self.ok("refresh.sh")
        self.ok("clean.sh", "all")

    def test_series_that_was_changed_is_no_work(self) -> None:
        self.ok("tree.sh")
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "final", 40))
        self.ok("clean.sh", "all")

    def test_something_runs(self) -> None:
        self.generated()
        with open(self.build / ".lock-kernel-x86_64", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for args in ((), ("all",)):
                self.assertIn("something is running in build/ (kernel-x86_64)",
                              self.fails("clean.sh", *args))
        self.assertTrue((self.build / "kernel/x86_64/vmlinux").exists())
        self.ok("clean.sh")

    def test_usage(self) -> None:
        self.assertIn("usage: clean.sh [all]", self.fails("clean.sh", "some"))


if __name__ == "__main__":
    unittest.main()
