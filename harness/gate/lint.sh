#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Check the series and the harness without building a kernel.
#
# usage: harness/gate/lint.sh        one line a check, then "N passed, N failed"
#
# Takes patches/, build/tree (composed when missing) and the files of this
# repository; logs go to build/lint/. LINT_SLOW=1 adds sparse and W=1 on the
# touched files (builds them, with the x86_64 cell's configuration) and
# coccicheck. A file of the kernel's may have warnings of its own: what counts is
# what the series adds. Exit code: 0 only when every check passed.

. "$(dirname "$0")/../lib/lib.sh"

OUT=$BUILD/lint
TREE=$(tree_dir)
PASSED=0 FAILED=0

# check NAME FUNCTION ARG...: passes when the function is silent and succeeds.
check()
{
	local name=$1 log=$OUT/$1.log start=$SECONDS status=0

	say lint "$name"
	("${@:2}") >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ] && [ ! -s "$log" ]; then
		PASSED=$((PASSED + 1))
		printf '%sok   %s (%d s)\n' "$CLEAR" "$name" $((SECONDS - start))
	else
		FAILED=$((FAILED + 1))
		printf '%sFAIL %s: %s (%s lines in %s)\n' "$CLEAR" "$name" \
			"$(sed '/^$/d' "$log" | head -n 1 | cut -c-200)" \
			"$(wc -l <"$log")" "$log"
	fi
}

# Files that the series touches, those matching the pattern $1.
touched()
{
	tgit diff --name-only --no-renames --diff-filter=d "$BASE_REV" "$TIP" |
		grep -E "$1" || true
}

repo_files()
{
	git -C "$ROOT" ls-files -co --exclude-standard |
		while IFS= read -r f; do [ ! -f "$ROOT/$f" ] || echo "$f"; done
}

# Every file in the kernel's folders belongs to a commit of the series.
unlisted()
{
	comm -23 \
		<(repo_files | grep / | grep -vE '^(patches|harness|tests|build|\.[^/]*)/' | sort) \
		<(sed -nE 's/^[^ #]+\.patch # \+ //p' "$PATCHES"/*/series | tr ' ' '\n' | sort) |
		sed 's/$/: in no line of a series file/'
}

mail_series()
{
	NOSIGN=1 SERIES=all OUT=$OUT/series "$HARNESS/post/series.sh" 2>&1 >/dev/null | grep '^error' || true
	[ -d "$OUT/series" ]
}

# quilt pushes each series as it is on what it needs. It wants at least one edit in each
# patch.
quilt_push()
{
	local name files log=$OUT/quilt.out

	need quilt quilt
	read_stack
	for name in "${STACK[@]}"; do
		composed "$name"
		rm -rf "$OUT/quilt"
		mkdir "$OUT/quilt"
		mapfile -t files < <(bgit diff --name-only --no-renames --diff-filter=a "$START_REV" "$TIP_REV")
		[ ${#files[@]} -eq 0 ] ||
			bgit archive "$START_REV" -- "${files[@]}" | tar -C "$OUT/quilt" -xf -
		(cd "$OUT/quilt" && QUILT_PATCHES=$PATCHES/$name quilt --quiltrc - push -a) >"$log" 2>&1 ||
			tail -n 2 "$log"
	done
}

# Commit ids of the kernel's history are not in an imported base, so checkpatch
# cannot look them up: UNKNOWN_COMMIT_ID says nothing here. Stored patches have no sign-off.
# FILE_PATH_CHANGES only asks whether MAINTAINERS knows the new files, which the
# check "maintainers" answers. UNCOMMENTED_DEFINITION wants a comment at each lock,
# but takes every "spinlock_t *" for one. DEPRECATED_API is about kmap(), which is
# what it takes to have a page mapped in PKMAP.
checkpatch()
{
	local ignore=MISSING_SIGN_OFF,NO_AUTHOR_SIGN_OFF

	ignore+=,FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID
	ignore+=,UNCOMMENTED_DEFINITION,DEPRECATED_API
	find "$OUT/series" -name '*.patch' ! -name '0000-*' -print0 |
		(cd "$TREE" && GIT_DIR=/nonexistent xargs -0 -n1 -P "$JOBS" \
			./scripts/checkpatch.pl --strict --quiet --no-summary --terse \
			--show-types --ignore "$ignore") |
		sort -V || true
}

# Each mutant applies to the series, and names a cell and a test that exist.
mutants()
{
	local file name field test

	local -x GIT_INDEX_FILE=$OUT/mutants.index
	tgit read-tree "$TIP"
	for file in "$HARNESS"/prove/mutants/*.patch; do
		name=${file##*/}
		for field in Breaks Cell Killed-by; do
			sed '/^---$/q' "$file" | grep -q "^$field: ." ||
				echo "$name: no line '$field: …' before ---"
		done
		"$HARNESS/guest/cells.py" names | grep -qx "$(sed -n 's/^Cell: //p' "$file")" ||
			echo "$name: its cell is not in cells.ini"
		test=$(sed -n 's/^Killed-by: //p' "$file")
		if [[ $test = windows.* ]]; then
			widened_mutant "$name" "${test#windows.}"
			continue
		fi
		test=${test##*.}
		grep -rqE "(KUNIT_CASE|TEST_F.*)\(.*\<$test\>" "$ROOT/mm/tests" \
			"$ROOT/tools/testing/selftests/mm" ||
			echo "$name: there is no test $test"
		tgit apply --cached --check "$file" || echo "$name: does not apply"
	done
}

# widened_mutant NAME TEST: the same, of one that windows.sh boots.
widened_mutant()
{
	cut -f3 "$HARNESS/prove/windows/windows.tsv" | grep -qxF -- "$2" ||
		echo "$1: there is no test $2 in harness/prove/windows/windows.tsv"
	local -x GIT_INDEX_FILE=$OUT/widened.index
	tgit read-tree "$TIP"
	{ tgit apply --cached "$HARNESS/prove/windows/widen.patch" &&
		tgit apply --cached --check "$HARNESS/prove/mutants/$1"; } ||
		echo "$1: does not apply to the series with harness/prove/windows/widen.patch"
}

# Each added file has a maintainer, not only the list of last resort.
maintainers()
{
	local path who

	tgit diff --name-only --diff-filter=A "$BASE_REV" "$TIP" >"$OUT/added"
	while IFS= read -r path; do
		who=$(cd "$TREE" && ./scripts/get_maintainer.pl -f --no-git \
			--no-git-fallback --no-l --no-rolestats "$path")
		[ -n "$who" ] || echo "$path: nobody in MAINTAINERS"
	done <"$OUT/added"
}

# both PATTERN: the touched files as they were and as they are, in two folders.
both()
{
	local rev path

	rm -rf "$OUT/base" "$OUT/tip"
	for rev in base tip; do
		mkdir -p "$OUT/$rev"
		touched "$1" | while IFS= read -r path; do
			mkdir -p "$OUT/$rev/$(dirname "$path")"
			tgit show "$([ $rev = base ] && echo "$BASE_REV" || echo "$TIP"):$path" \
				>"$OUT/$rev/$path" 2>/dev/null || rm "$OUT/$rev/$path"
		done
	done
}

# Lines of the second list that the first has fewer of; line numbers do not count.
added_lines()
{
	diff <(sed -E 's/:[0-9]+(:[0-9]+)?//g' "$1" | sort) \
	     <(sed -E 's/:[0-9]+(:[0-9]+)?//g' "$2" | sort) | sed -n 's/^> //p'
}

kernel_doc()
{
	local rev

	both '\.[ch]$'
	for rev in base tip; do
		(cd "$OUT/$rev" && find . -name '*.[ch]' -exec env PYTHONDONTWRITEBYTECODE=1 \
			"$TREE/scripts/kernel-doc" -none {} +) >"$OUT/kernel-doc.$rev" 2>&1 || true
	done
	# It must have run at all.
	if grep -m 1 -A 5 Traceback "$OUT/kernel-doc.tip"; then
		return
	fi
	added_lines "$OUT/kernel-doc.base" "$OUT/kernel-doc.tip"
}

no_tags()
{
	! grep -rnE '^(Signed-off|Reviewed|Acked|Tested|Co-developed)-by:' "$PATCHES"
}

shell_check()
{
	local files

	need shellcheck shellcheck
	mapfile -t files < <(repo_files | grep -E '^(harness|tests)/.*\.sh$|^\.ci/run$')
	cd "$ROOT" || return
	shellcheck -x -P harness:harness/lib "${files[@]}"
}

python_syntax()
{
	local file

	repo_files | grep '\.py$' | while IFS= read -r file; do
		python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' \
			"$ROOT/$file" 2>&1 | tail -n 1
	done
}

spdx()
{
	repo_files | grep -E '\.(sh|py|c|h)$|^\.ci/run$|Makefile$' | while IFS= read -r file; do
		head -n 3 "$ROOT/$file" | grep -q 'SPDX-License-Identifier: GPL-2.0' ||
			echo "$file: no SPDX line"
	done
}

# Paths and names of the machine it was written on. Short ones say nothing; a
# path counts only where it starts, as one below a variable is none of ours.
machine_names()
{
	local word

	repo_files >"$OUT/files"
	for word in "$ROOT" "$HOME/" "$(hostname)" \
		"$(apt-get indextargets --format "\$(SITE)" 2>/dev/null | head -n 1 | sed 's|.*//||')"; do
		[ ${#word} -ge 6 ] || continue
		(cd "$ROOT" && tr '\n' '\0' <"$OUT/files" |
			xargs -0 grep -nIP -e "(?<![\w}\"./-])\\Q$word\\E" /dev/null) || true
	done
}

# sparse 0.6.4 does not know __typeof_unqual__, and kbuild leaves out a checker
# that does not. One kernel build directory for the touched files, base first, then the series.
compile()
{
	local rev objects config=$BUILD/kernel/x86_64/.config walk

	[ -f "$config" ] || { echo "no $config: build it (harness/run/cell.sh x86_64) first"; return; }
	need sparse sparse
	touched '\.c$' | grep -vE '^(tools|arch/(arm|arm64|powerpc|riscv|s390)|Documentation)/' |
		sed 's/c$/o/' >"$OUT/objects"
	for rev in "$BASE_REV" "$TIP"; do
		walk=$(walk_tree "$rev")
		mkdir -p "$OUT/kernel"
		cp "$config" "$OUT/kernel/.config"
		make -s -C "$walk" O="$OUT/kernel" olddefconfig prepare >"$OUT/prepare.log" 2>&1 ||
			{ tail -n 3 "$OUT/prepare.log"; return; }
		mapfile -t objects < <(while read -r o; do
			[ ! -f "$walk/${o%o}c" ] || echo "$o"; done <"$OUT/objects")
		(cd "$OUT/kernel" && rm -f "${objects[@]}")
		make -k -s -C "$walk" O="$OUT/kernel" -j"$JOBS" C=2 W=1 \
			CHECK="sparse -D__typeof_unqual__=__typeof__" "${objects[@]}" \
			>"$OUT/compile.$([ "$rev" = "$TIP" ] && echo tip || echo base)" 2>&1 || true
	done
	grep -m 1 'is not available or not up to date' "$OUT/compile.tip" || true
	added_lines <(grep -E '(warning|error):' "$OUT/compile.base") \
		<(grep -E '(warning|error):' "$OUT/compile.tip")
}

# One semantic patch on the files of the current folder, as `make coccicheck
# MODE=report` runs it; says on fd 3 that it ran.
cocci_one()
{
	local options

	grep -q '^virtual report' "$1" || return 0
	options=$(sed -n 's|^// Options: ||p' "$1")
	# shellcheck disable=SC2086 # a list of words
	find . -name '*.c' -exec timeout 300 spatch -D report --very-quiet --no-show-diff \
		$options -I "$TREE/include" --cocci-file "$1" {} + 2>/dev/null &&
		echo "${1##*/}" >&3
}

coccicheck()
{
	local rev

	need spatch coccinelle
	export -f cocci_one
	export TREE
	# Not userspace: it does not have the helpers that are recommended there.
	both '^(mm|include|arch|fs|kernel)/.*\.c$'
	: >"$OUT/cocci.ran"
	for rev in base tip; do
		# shellcheck disable=SC2016 # expanded by the inner shell
		(cd "$OUT/$rev" && find "$TREE/scripts/coccinelle" -name '*.cocci' -print0 |
			xargs -0 -P "$JOBS" -n 1 bash -c 'cocci_one "$1"' _ |
			sort) >"$OUT/cocci.$rev" 3>>"$OUT/cocci.ran" || true
	done
	# A few semantic patches need what is not installed; most must have run.
	[ "$(wc -l <"$OUT/cocci.ran")" -ge 80 ] || echo "spatch fails on most of scripts/coccinelle"
	added_lines "$OUT/cocci.base" "$OUT/cocci.tip"
}

main()
{
	[ $# -eq 0 ] || die "lint.sh takes no arguments; LINT_SLOW=1 adds sparse, W=1, coccicheck"
	lock lint
	scratch_logs
	[ -d "$TREE" ] || "$HARNESS/source/tree.sh" >/dev/null
	composed
	TIP=$TIP_REV
	check series unlisted
	check git-am mail_series
	check quilt quilt_push
	check checkpatch checkpatch
	check maintainers maintainers
	check mutants mutants
	check kernel-doc kernel_doc
	check no-tags no_tags
	check shellcheck shell_check
	check python python_syntax
	check spdx spdx
	check machine-names machine_names
	if [ -n "${LINT_SLOW:-}" ]; then
		check sparse-w1 compile
		check coccicheck coccicheck
	fi
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
}

# Earlier logs would be taken for this run's. The build directory stays.
scratch_logs()
{
	mkdir -p "$OUT"
	rm -rf "$OUT"/*.log "$OUT/series"
}

main "$@"
