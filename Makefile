# SPDX-License-Identifier: GPL-2.0
# The front door. All logic is in harness/, where each script says what it takes
# and gives, and can be run alone.
#
# Knobs, as in `make run BASE=7.2` or from the environment:
#	BASE=7.3|7.2	Debian's kernel source of that version
#	LINUX=DIR	a kernel tree of your own instead; DIR is never changed
#	ACCEL=auto|tcg|kvm	how QEMU runs the guest
#	JOBS=N		parallel jobs of a build

# No targets are files.
.PHONY: help run tree refresh cell shell matrix report test lint series apply regress bisect \
	mutants model race windows bench bench-report answer clean distclean
.NOTPARALLEL:

export BASE LINUX ACCEL JOBS CELLS MUTANTS MODELS BRANCH V BOOT AGAIN KEEP \
	HOSTS ALL TESTS RETRIES DURATION MUTANT

help:	## this list (at once)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t12

run:	## everything for x86_64: install, fetch, build, boot, test (8 min after the download; 15 s again)
	@harness/run/cell.sh x86_64

tree:	## base + series as a git tree to work in, build/tree (1 min)
	@harness/source/tree.sh

refresh:	## build/tree -> patches/ and the added files (10 s)
	@harness/source/refresh.sh

cell:	## one cell of the matrix, CELL=arm64 (8 min, much less again)
	@harness/run/cell.sh $(or $(CELL),'')

shell:	## a shell in the guest, CELL=arm64; SIDE=base, SHARE=DIR copied to its /share (1 min with the kernel built)
	@harness/guest/shell.sh $(or $(CELL),'')

matrix:	## all cells, or CELLS="A B"; goes on where it was; AGAIN=1 KEEP=0 HOSTS=FILE (2 hours)
	@harness/run/matrix.sh

report:	## build/report.md and report.html from the results on disk (2 s)
	@harness/judge/report.py

test:	## tests of harness/, lint, boots of x86_64, arm64, arm-lpae-highpte (20 min, 2 min again)
	@harness/gate/test.sh

lint:	## checkpatch, kernel-doc, shellcheck and more (45 s); LINT_SLOW=1 adds sparse, W=1, coccicheck (10 min)
	@harness/gate/lint.sh

series:	## the series as mails in build/series/ (10 s)
	@harness/post/series.sh

apply:	## the series on a new branch of your git tree, LINUX=DIR (10 s)
	@harness/post/apply.sh

regress:	## the kernel's own mm tests on base and series, side by side (1 hour)
	@harness/prove/regress.sh

bisect:	## build every patch of the series alone, boot two cells; ALL=1 in all cells (1 hour)
	@harness/prove/bisect.sh

mutants:	## break the series on purpose, see the tests catch it (1 hour)
	@harness/prove/mutants.sh

model:	## check the model of retraction with spin, and its broken variants (6 min)
	@harness/prove/model.sh

race:	## page-table operations against retraction, CELLS="A B" DURATION=10 (2 min)
	@bad=0; for cell in $(or $(CELLS),x86_64); do AS=race harness/run/cell.sh $$cell || bad=1; done; exit $$bad

windows:	## stretch the windows in which a table goes away: base loses, series holds; TESTS="A B" (20 min)
	@harness/prove/windows.sh

bench:	## instructions an operation and code size, base against series (75 min)
	@harness/prove/bench.sh

bench-report:	## what make bench measured so far, into README.md and the report (1 s)
	@harness/prove/bench.py build/bench --readme
	@harness/judge/report.py

answer:	## time until a developer has an answer, beside kunit.py (11 min)
	@harness/prove/answer.sh

clean:	## remove kernels, logs and results; keep base and tree (10 s)
	@harness/gate/clean.sh

distclean:	## remove build/, unless there is work in the tree (20 s)
	@harness/gate/clean.sh all
