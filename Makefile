# SPDX-License-Identifier: GPL-2.0
# The front door. All logic is in harness/, where each script can be run alone.
# KNOBS are what every target takes, KNOBS_x what x takes besides, explained at the end.
# Any other name on the command line is refused before anything runs.

KNOBS := BASE LINUX BASE_FILE SUITE ACCEL JOBS DEPS
GOALS := $(or $(MAKECMDGOALS),help)
TAKEN = $(foreach goal,$(GOALS),$(KNOBS_$(goal)))
GIVEN = $(foreach name,$(.VARIABLES),$(if $(and $(filter command,$(origin $(name))), \
	$(value $(name))),$(name)))
WRONG = $(firstword $(sort $(filter-out $(TAKEN) $(KNOBS),$(GIVEN))))
TARGETS := $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)

.PHONY: .knobs $(TARGETS)
.NOTPARALLEL:
$(TARGETS): .knobs
.knobs:
	$(if $(WRONG),@echo "error: make $(GOALS) does not take $(WRONG)=:" \
	"it takes $(strip $(TAKEN:%=%=) $(if $(TAKEN),and) $(KNOBS:%=%=))" >&2; exit 1)

help:	## this list (at once)
	@sed -n -e 's/^\([a-z-]*\):.*## /\1\t/p' -e 's/^#  //p' -e \
		'/^KNOBS_/{s/.*:=/\t /; s/ [A-Z_]\+/&=/g; p}' Makefile | expand -t13
run:	## everything for x86_64: install, fetch, build, boot, test (8 min after the download; 15 s again)
	@harness/run/cell.sh x86_64
KNOBS_run := TREE KOUT
cell:	## one cell of the matrix (8 min, much less again)
	@AS=$(ONLY) harness/run/cell.sh $$CELL
KNOBS_cell := CELL ONLY TREE KOUT
matrix:	## all cells, or those of CELLS=; goes on where it was (2 hours)
	@harness/run/matrix.sh
KNOBS_matrix := CELLS AGAIN KEEP HOSTS TREE
report:	## build/report.{html,md,xml} from records; docs/RESULTS.md and its records (2 s)
	@harness/judge/report.py
test:	## tests of harness/, lint, x86_64, arm64, arm-lpae-highpte, 20 mutants (30 min, 15 min again)
	@harness/gate/test.sh
KNOBS_test := CELLS LINT_SLOW
lint:	## checkpatch, kernel-doc, shellcheck and more (2 min, or 12 with LINT_SLOW=1)
	@harness/gate/lint.sh
KNOBS_lint := LINT_SLOW
tree:	## base + stack as a git tree to work in, build/tree (1 min)
	@harness/source/tree.sh
KNOBS_tree := FORCE
refresh:	## build/tree -> patches/ and the added files (10 s)
	@harness/source/refresh.sh
KNOBS_refresh := FORCE
series:	## a series as mails in build/post/ (10 s)
	@harness/post/series.sh
KNOBS_series := SERIES V
apply:	## a series on a new branch of your git tree LINUX= (10 s)
	@harness/post/apply.sh
KNOBS_apply := SERIES BRANCH
try:	## compile a C file for some cells, run it on base and series, compare (3 min)
	@harness/guest/try.sh
KNOBS_try := PROG CELLS SIDE TIMEOUT
repro:	## programs that show the bugs: each fails on the base, and passes on the series (15 min)
	@PROG="$(or $(TESTS:%=harness/prove/repro/%.c),$(wildcard harness/prove/repro/*.c))" harness/guest/try.sh
KNOBS_repro := TESTS CELLS SIDE TIMEOUT
shell:	## a shell in the guest of a cell (1 min with the kernel built)
	@harness/guest/shell.sh $$CELL
KNOBS_shell := CELL SIDE SHARE

bisect:	## build every patch alone, boot two cells (1 hour)
	@harness/prove/bisect.sh
KNOBS_bisect := SERIES CELLS ALL BOOT AGAIN
regress:	## the kernel's own mm tests on base and series, side by side (1 hour)
	@harness/prove/regress.sh
KNOBS_regress := CELLS TESTS RETRIES AGAIN
mutants:	## break the series on purpose, written and generated, see the tests catch it (hours)
	@harness/prove/mutants.sh
KNOBS_mutants := MUTANTS SAMPLE SEED CELLS DURATION AGAIN
model:	## check the model of retraction with spin, and its broken variants (6 min)
	@harness/prove/model.sh
KNOBS_model := MODELS AGAIN
race:	## random operations on page tables, alone and at the same time (2 min)
KNOBS_race := CELLS DURATION
kselftest:	## the page table selftests, installed, by run_kselftest.sh (5 min)
KNOBS_kselftest := CELLS DURATION
soak:	## stress-ng, trinity and pgtable_fuzz, in turn, on a debug cell (20 min)
KNOBS_soak := CELLS DURATION
race kselftest soak:
	@bad=0; for cell in $${CELLS:-x86_64$(if $(filter soak,$@),-debug)}; do \
		AS=$@ harness/run/cell.sh $$cell || bad=1; done; exit $$bad
windows:	## stretch the windows in which a table goes away: base loses, series holds (20 min)
	@harness/prove/windows.sh
KNOBS_windows := TESTS DURATION AGAIN
bench:	## instructions an operation and code size, base against series (75 min)
	@harness/prove/bench.sh
KNOBS_bench := CELLS AGAIN
bench-report: report	## the same as report
answer:	## time until a developer has an answer, beside kunit.py (11 min)
	@harness/prove/answer.sh
clean:	## remove kernels, logs and results; keep base and tree (10 s)
	@harness/gate/clean.sh
distclean:	## remove build/, unless there is work in the tree (20 s)
	@harness/gate/clean.sh all
KNOBS_distclean := FORCE

#  KNOB=VALUE             what it does
#  BASE=7.3|7.2|6.12      Debian's kernel source of that version; 6.12 with the backports
#  LINUX=DIR              a kernel tree of your own instead; DIR is never changed
#  BASE_FILE=FILE         the base from a linux-source .deb or a tarball, not from the network
#  SUITE=NAME             the suite of Debian that has linux-source (trixie-backports; for 6.12, trixie)
#  ACCEL=auto|tcg|kvm     how QEMU runs the guest
#  JOBS=N                 parallel jobs (as many as there are CPUs)
#  DEPS=skip              do not look for what has to be installed
#  CELL=NAME              one cell; CELLS="A B": several; ONLY=kunit: without its userspace tests
#  SERIES=NAME            one series of patches/, with what it needs
#  SIDE=base|series|both  the kernel without the stack, with it, one beside the other
#  TREE=DIR               a kernel tree taken as it is; KOUT=DIR: the folder that it is built in
#  AGAIN=1                also what has passed with the same inputs
#  KEEP=0                 drop the kernel of a cell that has passed
#  HOSTS=FILE             run the cells on the machines that FILE names, a line each
#  LINT_SLOW=1            add sparse, W=1 and coccicheck
#  FORCE=1                drop work that is only in the tree
#  V=N                    version of the mails; BRANCH=NAME: the branch to make (that of SERIES, or ptlock-stack)
#  PROG="A.c B.c"         C files to try; TIMEOUT=SECONDS: for each; SHARE=DIR: a folder to see in the guest
#  ALL=1                  one cell of each build; BOOT="A B": the cells to boot
#  TESTS="A B"            only those; MODELS="A B": only those; MUTANTS="A B": names, functions, patterns
#  SAMPLE=N SEED=WORD     N of the generated mutants, the same ones for the same word
#  DURATION=SECONDS       how long a test takes; RETRIES=N: how often a failed one is repeated
