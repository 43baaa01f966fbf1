# SPDX-License-Identifier: GPL-2.0
"""matrix.sh with toy cells: what is run, what is not run again, what is left behind
when it is interrupted; and spread over two hosts, which are two sshd on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any

from common import Repo, patch

# In place of those that take minutes: no kernel and no guest, but a note that the
# cell ran. TOY_<cell> in toy.env says what is to become of it.
KERNEL_SH = """\
#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
load_cell "$1"
. "$HARNESS/toy.env"
mkdir -p "$CELL_KOUT"
echo "$1" >>"$BUILD/ran"
[ -e "$CELL_KOUT/.cold-seconds" ] || echo 7 >"$CELL_KOUT/.cold-seconds"
name=TOY_$1
case ${!name:-pass} in
die) die "$1: no compiler" ;;
sleep*)
	timeout 600 sleep "${!name#sleep}" &
	pid=$!
	at_exit eval "while kill $pid 2>/dev/null; do sleep 0.1; done"
	: >"$BUILD/asleep"
	wait "$pid"
	AT_EXIT=()
	;;
esac
"""
BOOT_SH = """\
#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
load_cell "$1"
. "$HARNESS/toy.env"
name=TOY_$1
echo 3 >"$CELL_OUT/seconds"
echo tcg >"$CELL_OUT/accel"
result=pass
[ "${!name:-pass}" != fail ] || result=fail
printf '%s\\t%s\\t%s\\t%s\\n' check name result detail \\
	kunit toy.case "$result" "because" | put "$CELL_OUT/result.tsv"
[ "$result" = pass ]
"""


class Toy(Repo):
    """A scratch repository with five cells; two of them share a build."""

    builds = {"one": "one", "two": "two", "three": "shared", "four": "shared",
              "five": "five"}
    begins = ("tree.sh",)

    def setUp(self) -> None:
        super().setUp()
        for name in ("KEEP", "AGAIN", "HOSTS", "CELLS", "CELLS_INI", "AS", "TREE", "KOUT",
                     "ACCEL", "PARALLEL_SSH"):
            self.env.pop(name, None)
        if not shutil.which("parallel"):
            self.skipTest("GNU parallel is not installed")
        # What was started in the background ignores it, and so would all below.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, text in (("guest/kernel.sh", KERNEL_SH), ("guest/boot.sh", BOOT_SH),
                           ("guest/user.sh", "#!/bin/bash\n"),
                           ("gate/deps.sh", "#!/bin/bash\n")):
            self.write(f"harness/{name}", text).chmod(0o755)
        self.toy()
        self.write("harness/guest/config/toy.config", "# toy\n")
        self.cells()

    def cells(self, **other: str) -> None:
        """cells.ini; other: the command line of a cell, and none of its QEMU."""
        lines = ["[machine toy]", "arch = x86", "image = vmlinux", "virtio = pci",
                 "fragments = toy", "suites = toy", "timeout = 5"]
        for cell, build in self.builds.items():
            qemu = "" if other.get(cell) == "built" else "true"
            lines += [f"[cell {cell}]", "machine = toy", f"build = {build}",
                      f"qemu = {qemu}", f"append = {other.get(cell, 'quiet')}",
                      f"shows = shows {cell}"]
        self.write("harness/guest/cells.ini", "\n".join(lines) + "\n")

    def toy(self, **fate: str) -> None:
        self.write("harness/toy.env",
                   "".join(f"TOY_{cell}={what}\n" for cell, what in fate.items()))

    def ran(self, root: Path | None = None) -> list[str]:
        """The cells that ran since the last call, in order."""
        file = (root or self.root) / "build/ran"
        cells = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return cells

    def table(self) -> dict[str, str]:
        rows = [line.split("\t") for line in
                (self.root / "build/matrix.tsv").read_text().splitlines()]
        self.assertEqual({len(row) for row in rows}, {8})
        return {row[0]: row[1] for row in rows[1:]}

    def matrix(self, expect: int = 0, **env: str) -> str:
        """The whole of it; a machine with other things to do takes its time."""
        done = subprocess.run([str(self.root / "harness/run/matrix.sh")], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=self.env | env, cwd=self.tmp,
                              stdin=subprocess.DEVNULL, timeout=600, check=False)
        self.assertEqual(done.returncode, expect, done.stdout)
        return done.stdout


class Local(Toy):
    def test_all_and_not_again(self) -> None:
        out = self.matrix()
        self.assertEqual(self.ran(), ["one", "two", "three", "four", "five"])
        self.assertEqual(set(self.table().values()), {"pass"})
        self.assertRegex(out, r"(?m)^four +pass +1 +0 +0 +7 +3 ")
        self.assertEqual(len((self.root / "build/matrix.joblog").read_text()
                             .splitlines()), 5, "a head, and a job for each build")
        self.matrix()
        self.assertEqual(self.ran(), [])
        self.assertEqual(set(self.table().values()), {"pass"})
        self.matrix(AGAIN="1", CELLS="two four")
        self.assertEqual(self.ran(), ["two", "four"])

    def test_facts(self) -> None:
        self.matrix(CELLS="one")
        record = self.record("one")
        self.assertEqual((record["result"], record["times"], record["inputs"]["accel"]),
                         ("pass", {"build": 7, "guest": 3}, "tcg"))
        self.assertEqual(record["checks"], [["kunit", "toy.case", "pass", "because"]])
        self.assertEqual(record["inputs"]["base"], "Linux 7.3.4 (linux.tar.xz)")
        self.assertEqual(record["inputs"]["tree"], self.git("rev-parse", "HEAD^{tree}"))

    def good(self, cell: str = "one", **env: str) -> bool:
        """Would the matrix keep what there is of the cell?"""
        script = ('. "$1/lib/lib.sh"; . "$1/guest/cells.sh"; . "$1/judge/record.sh"; "$1/source/tree.sh" >&2; '
                  'load_cell "$2"; if still_good cell "$2"; then echo good; fi')
        done = subprocess.run(["bash", "-c", script, "x", str(self.root / "harness"), cell],
                              env=self.env | env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout == "good\n"

    def again(self, why: str, **env: str) -> None:
        self.assertFalse(self.good(**env), why)
        self.ok("cell.sh", "one", **env)
        self.assertTrue(self.good(**env), why)

    def test_what_has_to_run_again(self) -> None:
        self.again("it never ran")
        self.ok("cell.sh", "two")
        self.cells(one="quiet init=/sbin/other")
        self.again("its line changed")
        self.assertTrue(self.good("two"), "it was not its line")
        self.write("harness/guest/config/toy.config", "# toy\nCONFIG_TOY=y\n")
        self.assertFalse(self.good("two"), "a fragment changed")
        self.again("a fragment changed")
        with open(self.root / "harness/guest/init.c", "a", encoding="utf-8") as init:
            init.write("/* changed */\n")
        self.again("init.c changed")
        self.again("another accelerator", ACCEL="tcg")
        self.store("last/0001-mm-last-line.patch",
                   patch("mm: last line", "mm/memory.c", "line_40", "final", 40))
        self.again("the series changed")
        (self.tree / "mm/memory.c").write_text("int edited;\n")
        self.again("the tree was edited")
        (self.tree / "mm/memory.c").write_text("int edited_again;\n")
        self.again("the tree was edited again")
        (self.tree / "mm/new.c").write_text("int added;\n")
        self.again("a file was added")

    def test_what_it_shows_in_words_is_no_input(self) -> None:
        self.matrix(CELLS="one")
        ini = self.root / "harness/guest/cells.ini"
        ini.write_text(ini.read_text().replace("shows one", "shows it all"))
        self.ran()
        self.matrix(CELLS="one")
        self.assertEqual(self.ran(), [])

    def test_record_that_cannot_be_read(self) -> None:
        self.matrix(CELLS="one")
        self.ran()
        self.write("build/records/cell/one.json", '{"experiment": "cell"')
        self.matrix(CELLS="one")
        self.assertEqual(self.ran(), ["one"])

    def record(self, cell: str) -> dict[str, Any]:
        """Nothing if there is none."""
        file = self.root / f"build/records/cell/{cell}.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def test_cell_that_was_run_alone(self) -> None:
        """make cell leaves what the matrix takes for what it is."""
        self.cells(two="built")
        for cell in ("one", "two"):
            self.assertEqual(self.run_script("cell.sh", cell).returncode, 0)
            self.assertEqual([self.record(cell)[name] for name in ("result", "run")],
                             ["pass", ""])
        self.ran()
        self.matrix(CELLS="one two three")
        self.assertEqual(self.ran(), ["three"])
        self.assertEqual(self.table(), {"one": "pass", "two": "built", "three": "pass"})
        self.toy(one="fail", two="die")
        for cell, where in (("one", "the guest"), ("two", "the kernel")):
            self.assertEqual(self.run_script("cell.sh", cell).returncode, 1)
            self.assertEqual([self.record(cell)[name] for name in ("result", "detail")],
                             ["fail", f"{where} failed"])
        self.ran()
        self.toy()
        self.matrix(CELLS="one two three")
        self.assertEqual(self.ran(), ["one", "two"])

    def test_what_is_no_verdict(self) -> None:
        """Neither of the cell's: the machine lacks something, or was stopped."""
        self.run_script("cell.sh", "one")
        for script, text in (("gate/deps.sh", "exit 1\n"), ("source/tree.sh", "exit 1\n"),
                             ("guest/kernel.sh", "kill -KILL $$\n")):
            with self.subTest(script):
                whole = (self.root / f"harness/{script}").read_text()
                self.write(f"harness/{script}", "#!/bin/bash\n" + text)
                self.assertNotEqual(self.run_script("cell.sh", "one").returncode, 0)
                self.assertEqual(self.record("one"), {})
                self.write(f"harness/{script}", whole)

    def test_failures_do_not_stop_it(self) -> None:
        self.toy(one="fail", three="die")
        out = self.matrix(1)
        self.assertEqual(self.ran(), ["one", "two", "three", "four", "five"])
        self.assertEqual(self.table(), {"one": "fail", "two": "pass", "three": "fail",
                                        "four": "pass", "five": "pass"})
        self.assertIn("error: not every cell passed", out)
        self.assertIn("no compiler",
                      (self.root / "build/cells/three/job.log").read_text())
        self.toy()
        self.matrix()
        self.assertEqual(self.ran(), ["one", "three"], "only what had failed")
        self.assertEqual(set(self.table().values()), {"pass"})

    def test_only_built(self) -> None:
        self.cells(two="built")
        self.matrix(CELLS="one two")
        self.assertEqual(self.table(), {"one": "pass", "two": "built"})

    def test_keep_0(self) -> None:
        kernel = self.root / "build/kernel"
        self.toy(two="fail", four="fail")
        self.matrix(1, KEEP="0")
        self.assertEqual(sorted(os.listdir(kernel)), ["shared", "two"],
                         "what is needed again, and a failed cell shares a build")
        self.toy()
        self.matrix()
        self.ran()
        self.assertEqual(sorted(os.listdir(kernel)), ["shared", "two"])
        self.matrix(KEEP="0")
        self.assertEqual(os.listdir(kernel), [])
        self.matrix()
        self.assertEqual(self.ran(), [], "the results are still there")

    def test_no_space(self) -> None:
        self.ok("tree.sh")
        self.shim("df", "printf 'x\\n/dev/x 1 1 500 1%% /\\n'\n")
        out = self.matrix(1)
        self.assertIn("error: building 4 kernels (or less with KEEP=0) needs 1200 MiB",
                      out)
        self.assertEqual(self.ran(), [])

    def test_changed_under_it(self) -> None:
        """A result that is of nothing in particular is not kept."""
        self.write("harness/guest/boot.sh",
                   BOOT_SH.replace("result=pass", "result=pass; echo >>$HARNESS/guest/init.c", 1))
        out = self.matrix(1, CELLS="one two")
        self.assertIn("was changed while it ran", out)
        self.assertEqual(self.table(), {"one": "not run", "two": "not run"})

    def test_pass_of_another_day(self) -> None:
        """A job that never came to its cell does not show what was there before."""
        self.matrix(CELLS="one")
        self.write("harness/run/job.sh", "#!/bin/bash\nexit 1\n").chmod(0o755)
        self.matrix(1, CELLS="one", AGAIN="1")
        self.assertEqual(self.table(), {"one": "not run"})

    def test_bad_cells(self) -> None:
        self.assertIn("unknown cell 'vax'", self.fails("matrix.sh", CELLS="one vax"))
        self.assertEqual(self.ran(), [])

    def test_bad_file_of_cells(self) -> None:
        self.write("harness/guest/cells.ini", "[cells one]\n")
        self.assertIn("[cells one]: is no ", self.fails("matrix.sh"))

    def interrupt(self, sig: int) -> None:
        self.toy(two="sleep300")
        with subprocess.Popen([str(self.root / "harness/run/matrix.sh")], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              start_new_session=True) as run:
            wait_for(lambda: sleeping(self.root))
            # As a terminal does: to the whole foreground group.
            os.killpg(run.pid, sig)
            out, _ = run.communicate(timeout=120)
        self.assertEqual(run.returncode, 128 + sig, out)
        self.assertIn("goes on from here", out)
        wait_for(lambda: not processes(self.root))
        self.assertEqual(self.ran(), ["one", "two"])
        self.toy()
        self.matrix()
        self.assertEqual(self.ran(), ["two", "three", "four", "five"])

    def test_ctrl_c(self) -> None:
        self.interrupt(signal.SIGINT)

    def test_terminated(self) -> None:
        self.interrupt(signal.SIGTERM)


class Hosts(Toy):
    """Two sshd of our own on loopback, each with its own keys and home folder."""

    builds = {f"cell{n}": f"kernel{n // 2}" for n in range(10)}
    ports: dict[str, int]

    def setUp(self) -> None:
        super().setUp()
        for tool in ("/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
        run = Path("/run/sshd")
        if os.getuid() == 0 and not run.exists():
            run.mkdir(0o755)
            self.addCleanup(run.rmdir)
        self.sshd: dict[str, subprocess.Popen[bytes]] = {}
        self.ssh = self.tmp / "ssh"
        self.ssh.mkdir(0o700)
        self.key("user")
        for name in ("alpha", "beta"):
            self.start_host(name)
        self.file = self.tmp / "hosts"
        self.file.write_text("# two\nalpha\n\n2/beta\n")
        self.env["PARALLEL_SSH"] = (f"ssh -F {self.ssh}/config -o BatchMode=yes -o ConnectTimeout=5"
                                    " -o ServerAliveInterval=1 -o ServerAliveCountMax=3")

    def key(self, name: str) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(self.ssh / name)], check=True, stdin=subprocess.DEVNULL)

    def start_host(self, name: str) -> None:
        home = self.tmp / name
        home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.key(name)
        enter = self.ssh / f"{name}.enter"
        enter.write_text('#!/bin/bash\ncd\nexec bash -c "$SSH_ORIGINAL_COMMAND"\n')
        enter.chmod(0o755)
        (self.ssh / f"{name}.conf").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.ssh}/{name}\n"
            f"AuthorizedKeysFile {self.ssh}/user.pub\nForceCommand {enter}\n"
            # Not the user's own home: there is no telling what its .bashrc does.
            f"SetEnv HOME={home}\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n")
        with open(self.ssh / "config", "a", encoding="utf-8") as config:
            config.write(
                f"Host {name}\nHostName 127.0.0.1\nPort {port}\nIdentitiesOnly yes\n"
                f"IdentityFile {self.ssh}/user\nStrictHostKeyChecking yes\n"
                f"UserKnownHostsFile {self.ssh}/known\n")
        public = (self.ssh / f"{name}.pub").read_text()
        with open(self.ssh / "known", "a", encoding="utf-8") as known:
            known.write(f"[127.0.0.1]:{port} {public}")
        # pylint: disable=consider-using-with
        self.sshd[name] = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", f"{self.ssh}/{name}.conf", "-E",
             f"{self.ssh}/{name}.log"], start_new_session=True)
        self.addCleanup(self.stop_host, name)
        wait_for(lambda: "listening" in (self.ssh / f"{name}.log").read_text()
                 if (self.ssh / f"{name}.log").exists() else False)

    def stop_host(self, name: str, sig: int = signal.SIGKILL) -> None:
        """All at once: the sshd, and whatever was started through it."""
        for pid in descendants(self.sshd[name].pid):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        if sig == signal.SIGKILL:
            self.sshd[name].wait()

    def ran_on(self, name: str) -> list[str]:
        return self.ran(self.tmp / name / "ptlock-matrix")

    def test_spread(self) -> None:
        self.toy(**{cell: "sleep1" for cell in self.builds})
        self.matrix(HOSTS=str(self.file))
        ran = {name: self.ran_on(name) for name in self.sshd}
        self.assertEqual(sorted(ran["alpha"] + ran["beta"]), sorted(self.builds))
        for name, cells in ran.items():
            self.assertTrue(cells, f"{name} had nothing to do")
            kernels = {self.builds[cell] for cell in cells}
            self.assertEqual(len(cells), 2 * len(kernels), "a kernel was built twice")
        self.assertEqual(self.ran(), [], "something ran here")
        self.assertEqual(set(self.table().values()), {"pass"})
        self.assertTrue((self.root / "build/cells/cell0/result.tsv").exists())
        # Nothing to do: no host is asked. Then one file is gone, and one cell failed.
        self.matrix(HOSTS=str(self.file))
        (self.root / "harness/guest/config/toy.config").unlink()
        self.write("harness/guest/config/toy2.config", "# toy\n")
        ini = self.root / "harness/guest/cells.ini"
        ini.write_text(ini.read_text().replace("fragments = toy", "fragments = toy2"))
        self.toy(cell0="fail")
        self.matrix(1, HOSTS=str(self.file), CELLS="cell0 cell4")
        self.assertEqual(self.table(), {"cell0": "fail", "cell4": "pass"})
        self.assertEqual(sorted(self.ran_on("alpha") + self.ran_on("beta")),
                         ["cell0", "cell4"], "a failed cell is not tried elsewhere")
        for name in self.sshd:
            config = self.tmp / name / "ptlock-matrix/harness/guest/config"
            self.assertFalse((config / "toy.config").exists())

    def test_host_that_is_down(self) -> None:
        self.stop_host("alpha")
        out = self.matrix(HOSTS=str(self.file), CELLS="cell0 cell9")
        self.assertIn("alpha is left out: it cannot be reached", out)
        self.assertEqual(self.ran_on("beta"), ["cell0", "cell9"])
        self.stop_host("beta")
        out = self.matrix(1, HOSTS=str(self.file), AGAIN="1", CELLS="cell0")
        self.assertIn("no host can be used", out)

    def test_host_with_another_base(self) -> None:
        self.matrix(HOSTS=str(self.file), CELLS="cell0 cell2")
        # As if its Debian had a newer one.
        env = self.env | {"GIT_INDEX_FILE": str(self.tmp / "index"),
                          "GIT_DIR": f"{self.tmp}/alpha/ptlock-matrix/build/base.git"}
        base = "refs/tags/base/7.3"
        script = f"""git read-tree {base} &&
            blob=$(echo 'int newer;' | git hash-object -w --stdin) &&
            git update-index --add --cacheinfo 100644,$blob,mm/newer.c &&
            git update-ref {base} $(git -c commit.gpgsign=false commit-tree -m newer \
                $(git write-tree))"""
        subprocess.run(["bash", "-c", script], env=env, check=True)
        out = self.matrix(HOSTS=str(self.file), CELLS="cell0 cell2", AGAIN="1")
        self.assertIn("alpha is left out: it has another base", out)
        self.assertEqual(set(self.table().values()), {"pass"})

    def dies(self, sig: int) -> None:
        self.toy(**{cell: "sleep1" for cell in self.builds})
        with subprocess.Popen([str(self.root / "harness/run/matrix.sh")],
                              env=self.env | {"HOSTS": str(self.file)},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as run:
            ran = self.tmp / "alpha/ptlock-matrix/build/ran"
            # Its second cell, which is in the middle of a job.
            wait_for(lambda: ran.exists() and len(ran.read_text().split()) > 0)
            started = ran.read_text().split()
            self.stop_host("alpha", sig)
            out, _ = run.communicate(timeout=300)
        self.assertEqual(run.returncode, 0, out)
        self.assertEqual(set(self.table().values()), {"pass"})
        elsewhere = self.ran_on("beta")
        self.assertIn(started[-1], elsewhere, out)
        self.assertEqual(ran.read_text().split()[:len(started)], started)
        back = {cell for cell in self.builds
                if (self.root / f"build/cells/{cell}/result.tsv").exists()}
        self.assertEqual(back, set(self.builds))

    def test_host_is_killed(self) -> None:
        self.dies(signal.SIGKILL)

    def test_host_is_frozen(self) -> None:
        self.dies(signal.SIGSTOP)

    def test_interrupted(self) -> None:
        """Nothing goes on running there."""
        self.toy(cell2="sleep300")
        with subprocess.Popen([str(self.root / "harness/run/matrix.sh")],
                              env=self.env | {"HOSTS": str(self.file)},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              start_new_session=True) as run:
            wait_for(lambda: any(sleeping(self.tmp / name) for name in self.sshd))
            os.killpg(run.pid, signal.SIGINT)
            out, _ = run.communicate(timeout=120)
        self.assertEqual(run.returncode, 130, out)
        wait_for(lambda: not any("sleep" in line for name in self.sshd
                                 for line in processes(self.tmp / name)))

    def test_mistakes(self) -> None:
        empty = self.tmp / "empty"
        empty.write_text("# nobody\n\n")
        local = self.tmp / "local"
        local.write_text(":\n")
        for what, error, env in (
                (self.tmp / "no-file", "cannot be read", {}),
                (empty, "names no host", {}),
                (local, "is no host to log in to", {}),
                (self.file, "no LINUX=", {"LINUX": str(self.tmp)})):
            with self.subTest(error):
                done = self.run_script("matrix.sh", HOSTS=str(what), **env)
                self.assertEqual(done.returncode, 1)
                self.assertIn(error, done.stderr.splitlines()[-1])


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


def wait_for(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come to that in time")
        time.sleep(0.05)


def processes(where: Path) -> list[str]:
    """The command lines of what runs in the folder, or is named after it."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            text = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            cwd = os.readlink(proc / "cwd")
        except OSError:
            continue
        # This test runs elsewhere.
        if str(where) in text or cwd.startswith(str(where)):
            found.append(text)
        elif text.startswith("timeout 600 sleep") and in_env(proc, where):
            found.append(text)
    return found


def in_env(proc: Path, where: Path) -> bool:
    try:
        return str(where).encode() in (proc / "environ").read_bytes()
    except OSError:
        return False


def sleeping(where: Path) -> bool:
    """A cell is in the middle of it, and has seen to its end."""
    return any((where / path / "build/asleep").exists() for path in ("", "ptlock-matrix"))


if __name__ == "__main__":
    unittest.main()
