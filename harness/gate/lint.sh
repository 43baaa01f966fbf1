#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# lint.sh: checks the stack and the harness without building a kernel.
#
# in:   patches/, build/tree (brought up to date), the files of this repository; LINT_SLOW=1:
#       the backports, sparse, W=1 and coccicheck as well
# out:  a line a check, then "N passed, N failed"; build/lint/results.tsv: check, result,
#       detail; build/lint/CHECK.log
# exit: 0 every check passed; 1 one did not. What counts is what the stack adds

. "$(dirname "${BASH_SOURCE[0]}")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"

OUT=$BUILD/lint
TREE=$TREE_DIR
CHECKS=()
declare -A REV=()

# run CHECK: the function of that name; it passes when it is silent and succeeds.
run()
{
	local file=$OUT/$1 start=$SECONDS result=pass detail='' line

	say lint "$1"
	if ("$1") >"$file.log" 2>&1 && [ ! -s "$file.log" ]; then
		line="ok   $1 ($((SECONDS - start)) s)"
	else
		detail=$(sed '/^$/d' "$file.log" | head -n 1 | tr '\t' ' ' | cut -c-200)
		line="FAIL $1: $detail ($(wc -l <"$file.log") lines in $file.log)" result=fail
	fi
	echo "$CLEAR$line" >"$file.line"
	printf '%s\t%s\t%s\n' "$1" "$result" "$detail" >"$file.tsv"
}

# check NAME: beside others, at most JOBS at a time.
check()
{
	CHECKS+=("$1")
	while [ "$(jobs -pr | wc -l)" -ge "$JOBS" ]; do
		wait -n || true
	done
	run "$1" &
}

# alone NAME: what keeps all CPUs busy by itself, or needs what others leave.
alone()
{
	wait
	check "$1"
	wait
}

# summary: of all, in the order in which they began; false when one failed.
summary()
{
	cd "$OUT"
	cat "${CHECKS[@]/%/.line}"
	{ printf 'check\tresult\tdetail\n' && cat "${CHECKS[@]/%/.tsv}"; } >results.tsv
	awk -F'\t' 'NR > 1 { of[$2]++ }
		END { print of["pass"] + 0 " passed, " of["fail"] + 0 " failed"
		      exit of["fail"] > 0 }' results.tsv
}

# touched PATTERN: the files that the stack touches; repo_files: of this repository, here.
touched()
{
	tgit diff --name-only --no-renames --diff-filter=d "${REV[base]}" "${REV[tip]}" |
		grep -E "$1" || true
}

repo_files()
{
	git ls-files -co --exclude-standard | grep -E "${1:-.}" | xargs -d '\n' ls -d 2>/dev/null || true
}

# Every file in the kernel's folders belongs to a commit of the series.
unlisted()
{
	comm -23 \
		<(repo_files | grep / | grep -vE '^(patches|docs|harness|tests|build|\.[^/]*)/' | sort) \
		<(sed -nE 's/^[^ #]+\.patch # \+ //p' "$PATCHES"/*/series | tr ' ' '\n' | sort) |
		sed 's/$/: in no line of a series file/'
}

# docs/RESULTS.md is what docs/records.jsonl gives.
results_md()
{
	"$HARNESS/judge/report.py" --check
}

mail_series()
{
	local name

	read_stack
	for name in "${STACK[@]}"; do
		NOSIGN=1 SERIES=$name OUT="$OUT/series" "$HARNESS/post/series.sh" 2>&1 >/dev/null |
			grep '^error' || [ -d "$OUT/series/$name" ] || echo "$name: no mails"
	done
}

# quilt pushes each series as it is on what it needs; it wants an edit in each patch.
quilt_push()
{
	local name files patches log=$OUT/quilt.out

	read_stack
	for name in "${STACK[@]}"; do
		composed "$name"
		patches=$PATCHES/$name$FOLDER
		rm -rf "$OUT/quilt"
		mkdir "$OUT/quilt"
		mapfile -t files < <(bgit diff --name-only --no-renames --diff-filter=a \
			"$START_REV" "$TIP_REV")
		[ ${#files[@]} -eq 0 ] ||
			bgit archive "$START_REV" -- "${files[@]}" | tar -C "$OUT/quilt" -xf -
		# What the series adds is stored beside patches/, see its series file.
		sed -n 's/.* # + //p' "$patches/series" | tr ' ' '\n' |
			xargs -r cp --parents -t "$OUT/quilt"
		(cd "$OUT/quilt" && QUILT_PATCHES=$patches quilt --quiltrc - push -a) \
			>"$log" 2>&1 || tail -n 2 "$log"
	done
}

# A series is read in one sitting, its cover letter on one screen.
series_size()
{
	local folder patches lines

	for folder in "$PATCHES"/*/ "$PATCHES"/*/*/; do
		[ -d "$folder" ] || continue
		patches=$(find "$folder" -maxdepth 1 -name '*.patch' | wc -l)
		[ "$patches" -le 7 ] || echo "$folder: $patches patches, at most 7 in one sitting"
		lines=$(sed 1,2d "$folder/0000-cover-letter.txt" | wc -l)
		[ "$lines" -le 45 ] || echo "$folder: a cover letter of $lines lines, at most 45"
	done
}

# Stored patches have no sign-off, and an imported base no history to look commit ids up in;
# "maintainers" does better than FILE_PATH_CHANGES. UNCOMMENTED_DEFINITION takes every
# "spinlock_t *" for a lock; kmap() is what it takes to have a page mapped in PKMAP.
checkpatch()
{
	local ignore=MISSING_SIGN_OFF,NO_AUTHOR_SIGN_OFF,FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID

	ignore+=,UNCOMMENTED_DEFINITION,DEPRECATED_API
	find "$OUT/series" -name '*.patch' ! -name '0000-*' -print0 |
		(cd "$TREE" && GIT_DIR=/nonexistent xargs -0 -n4 -P "$JOBS" \
			./scripts/checkpatch.pl --strict --quiet --no-summary --terse \
			--show-types --ignore "$ignore") |
		sort -V || true
}

# Each mutant applies to the stack, widened if windows.sh boots it; its cell and test exist.
mutants()
{
	local file name field test cells index widened=$OUT/widened.index plain=$OUT/mutants.index

	GIT_INDEX_FILE=$plain tgit read-tree "${REV[tip]}"
	cp "$plain" "$widened"
	GIT_INDEX_FILE=$widened tgit apply --cached "$HARNESS/prove/windows/widen.patch"
	cells=$(cell_names)
	for file in "$HARNESS"/prove/mutants/*.patch; do
		name=${file##*/} index=$plain
		for field in Breaks Cell Killed-by; do
			grep -q "^$field: ." "$file" || echo "$name: no line '$field: …'"
		done
		grep -qx -- "$(sed -n 's/^Cell: //p' "$file")" <<<"$cells" || echo "$name: no such cell"
		test=$(sed -n 's/^Killed-by: //p' "$file")
		if [[ $test = windows.* ]]; then
			index=$widened
			cut -f3 "$HARNESS/prove/windows/windows.tsv" | grep -qxF -- "${test#windows.}"
		elif [ "$test" = pgtable_fuzz ]; then
			:
		else
			tgit grep -qE "(KUNIT_CASE|KUNIT_CASE_PARAM|TEST_F.*)\(.*\<${test##*.}\>" \
				"${REV[tip]}" -- mm/tests tools/testing/selftests/mm
		fi || echo "$name: there is no test $test"
		GIT_INDEX_FILE=$index tgit apply --cached --check "$file" || echo "$name: does not apply"
	done
}

# The kernel's own tests of mm/vma.c, in userspace: they see which flags a merged VMA gets.
vma_tests()
{
	local folder=$OUT/vma

	rm -rf "$folder"
	mkdir "$folder"
	tgit archive "${REV[tip]}" -- include lib mm \
		tools/{arch,include,lib,scripts,testing/{radix-tree,shared,vma}} | tar -C "$folder" -xf -
	make -s -C "$folder/tools/testing/vma" >"$OUT/vma.out" 2>&1 ||
		{ grep -m 1 -E 'error|Error' "$OUT/vma.out"; return; }
	"$folder/tools/testing/vma/vma" >"$OUT/vma.out" 2>&1 || true
	grep -q ' tests run, .* 0 failed' "$OUT/vma.out" || head -n 1 "$OUT/vma.out"
}

# Each added file has a maintainer, not only the list of last resort.
maintainers()
{
	local path who

	cd "$TREE"
	tgit diff --name-only --diff-filter=A "${REV[base]}" "${REV[tip]}" | while IFS= read -r path; do
		who=$(./scripts/get_maintainer.pl -f --no-git --no-git-fallback --no-l \
			--no-rolestats "$path")
		[ -n "$who" ] || echo "$path: nobody in MAINTAINERS"
	done
}

# both PATTERN: the touched files as they were and as they are, in two folders.
both()
{
	local rev
	local -x GIT_INDEX_FILE=$OUT/both.index

	for rev in base tip; do
		rm -rf "${OUT:?}/$rev"
		tgit read-tree "${REV[$rev]}"
		touched "$1" | tgit checkout-index -q --prefix="$OUT/$rev/" --stdin
	done
}

# Lines of the second list that the first has fewer of; line numbers do not count.
added_lines()
{
	diff <(sed -E 's/:[0-9]+(:[0-9]+)?//g' "$1" | sort) \
	     <(sed -E 's/:[0-9]+(:[0-9]+)?//g' "$2" | sort) | sed -n 's/^> //p' || true
}

kernel_doc()
{
	local rev

	both '\.[ch]$'
	for rev in base tip; do
		(cd "$OUT/$rev" && find . -type f -exec env PYTHONDONTWRITEBYTECODE=1 \
			"$TREE/scripts/kernel-doc" -none {} +) >"$OUT/kernel-doc.$rev" 2>&1
	done
	# It must have run at all.
	grep -m 1 -A 5 Traceback "$OUT/kernel-doc.tip" ||
		added_lines "$OUT/kernel-doc.base" "$OUT/kernel-doc.tip"
}

no_tags()
{
	! grep -rnE '^(Signed-off|Reviewed|Acked|Tested|Co-developed)-by:' "$PATCHES"
}

shell()
{
	repo_files '^(harness|tests)/.*\.sh$|^\.ci/run$' |
		xargs -d '\n' -n 4 -P "$JOBS" shellcheck -x -P harness:harness/lib
}

# It parses as Python 3.9, and each function says what it gives.
python()
{
	repo_files '\.py$' | python3 -c '
import ast, sys
for path in sys.stdin.read().splitlines():
    try:
        tree = ast.parse(open(path).read(), path, feature_version=(3, 9))
    except SyntaxError as error:
        print(f"{path}: {error}")
        continue
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.returns:
            print(f"{path}:{node.lineno}: {node.name}() has no type")'
}

spdx()
{
	repo_files '\.(sh|py|c|h|ini|tsv)$|^\.ci/run$|Makefile$' | xargs -d '\n' awk '
		FNR == 1 { without[FILENAME] }
		FNR <= 3 && /SPDX-License-Identifier: GPL-2.0/ { delete without[FILENAME] }
		FNR == 3 { nextfile }
		END { for (file in without) print file ": no SPDX line" }'
}

# Paths and names of the machine it was written on. Short ones say nothing; a path counts only
# where it starts, as one below a variable is none of ours.
machine_names()
{
	local word mirror

	mirror=$(apt-get indextargets --format "\$(SITE)" 2>/dev/null | sed -n '1s|.*//||p') || true
	for word in "$ROOT" "$HOME/" "$(hostname)" "$mirror"; do
		[ ${#word} -lt 6 ] ||
			repo_files | xargs -d '\n' grep -HnIP -e "(?<![\w}\"./-])\\Q$word\\E" || true
	done
}

# The context of a backport may be what an earlier one has changed.
stable()
{
	[ -n "$BACKPORTS" ] || BASE=6.12 "$HARNESS/source/tree.sh" -q >/dev/null
}

# sparse 0.6.4 does not know __typeof_unqual__, and kbuild leaves out a checker that does not.
# One kernel build directory for the touched files, base first.
compile()
{
	local rev objects walk config=$BUILD/kernel/x86_64/.config kernel=$OUT/kernel

	[ -f "$config" ] || die "no $config: build it (make run) first"
	mkdir -p "$kernel"
	for rev in base tip; do
		walk=$(walk_tree "${REV[$rev]}")
		cp "$config" "$kernel/.config"
		make -s -C "$walk" O="$kernel" olddefconfig prepare >"$OUT/prepare.log" 2>&1 ||
			die "no kernel to check: $(reason "$OUT/prepare.log")"
		mapfile -t objects < <(touched '\.c$' | (cd "$walk" && xargs ls -d 2>/dev/null) |
			grep -vE '^(tools|arch/(arm|arm64|powerpc|riscv|s390)|Documentation)/' | sed 's/c$/o/')
		(cd "$kernel" && rm -f "${objects[@]}")
		make -k -s -C "$walk" O="$kernel" -j"$JOBS" C=2 W=1 \
			CHECK="sparse -D__typeof_unqual__=__typeof__" "${objects[@]}" >"$OUT/compile.out" 2>&1
		grep -E '(warning|error):' "$OUT/compile.out" >"$OUT/compile.$rev"
	done
	grep -m 1 'is not available or not up to date' "$OUT/compile.out"
	added_lines "$OUT/compile.base" "$OUT/compile.tip"
}

# One semantic patch on the files here, as `make coccicheck MODE=report` runs it; says on fd 3
# that it ran.
cocci_one()
{
	# shellcheck disable=SC2046,SC2014 # a list of words, for all files
	find . -name '*.c' -exec timeout 300 spatch -D report --very-quiet --no-show-diff \
		$(sed -n 's|^// Options: ||p' "$1") -I "$TREE/include" --cocci-file "$1" {} + \
		2>/dev/null && echo "${1##*/}" >&3
}

# Not userspace: it does not have the helpers that are recommended there. A few semantic
# patches need what is not installed; most must have run.
coccicheck()
{
	local rev

	export -f cocci_one
	export TREE
	both '^(mm|include|arch|fs|kernel)/.*\.c$'
	: >"$OUT/cocci.ran"
	for rev in base tip; do
		# shellcheck disable=SC2016 # expanded by the inner shell
		(cd "$OUT/$rev" && grep -rlZ --include='*.cocci' '^virtual report' "$TREE/scripts/coccinelle" |
			xargs -0 -P "$JOBS" -n 1 bash -c 'cocci_one "$1"' _ |
			sort) >"$OUT/cocci.$rev" 3>>"$OUT/cocci.ran"
	done
	[ "$(wc -l <"$OUT/cocci.ran")" -ge 80 ] || echo "spatch fails on most of scripts/coccinelle"
	added_lines "$OUT/cocci.base" "$OUT/cocci.tip"
}

main()
{
	local name slow=() mutants=

	no_arguments "$@"
	lock lint
	! on LINT_SLOW || slow=(stable compile coccicheck)
	"$HARNESS/gate/deps.sh" --lint ${slow:+--slow --mutants}
	mkdir -p "$OUT"
	rm -rf "$OUT"/*.{log,line,tsv} "$OUT/series"
	"$HARNESS/source/tree.sh" -q >/dev/null
	the_tree patches
	REV=([base]=$BASE_REV [tip]=$TIP_REV)
	cd "$ROOT"
	# Mutants break what only the whole stack has, and 6.12 tests what is not in mm/vma.c.
	[ -n "$BACKPORTS" ] || mutants="mutants vma_tests"
	for name in unlisted series_size results_md mail_series maintainers $mutants kernel_doc \
		no_tags python spdx machine_names; do
		check "$name"
	done
	# They compose and read what mail_series composed and wrote.
	for name in quilt_push checkpatch shell "${slow[@]}"; do
		alone "$name"
	done
	summary
}

# Its tests call the functions one by one.
[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
