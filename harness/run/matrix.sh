#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# matrix.sh [CELL...]: all cells, here or spread over hosts, and a table of them.
#
# in:   cells, CELLS="A B", or else all of cells.ini; AGAIN, KEEP, HOSTS (see hosts.sh)
# out:  what cell.sh leaves of each; a table at the end; GNU parallel's build/matrix.joblog
# exit: 0 every cell passed; 1 one did not, or did not run, when the rest has run as well
#
# A job is the cells that share a build, so that no kernel is built on two hosts. GNU
# parallel's own --resume knows which jobs ran, not of what.

. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
. "$HARNESS/run/hosts.sh"

# Not the user's own profiles. A build takes all CPUs: one job at a time on each machine.
# QEMU and make get time to go before they are killed. TERM twice, as on a host the first
# wait ends with the first process.
ENGINE=(parallel --will-cite -j1 --termseq "TERM,200,TERM,5000,KILL,25")
export PARALLEL_HOME=$BUILD/.parallel
unset PARALLEL
RUN=$EPOCHSECONDS-$$ KEEP=${KEEP:-1}
declare -A JOB=()	# the cells to run, by the build in BUILDS
BUILDS=()
KEPT=' '

# plan CELL...: sets BUILDS and JOB; KEPT, the others.
plan()
{
	local cell

	for cell; do
		load_cell "$cell"
		if still_good cell "$cell"; then
			KEPT+="$cell "
			continue
		fi
		[ -n "${JOB[$CELL_build]:-}" ] || BUILDS+=("$CELL_build")
		JOB[$CELL_build]+=${JOB[$CELL_build]:+,}$cell
	done
	[ "$KEPT" = ' ' ] ||
		note "passed already with the same inputs (AGAIN=1 runs them too):${KEPT% }"
}

# What is not needed goes first; then the kernels not built yet have to fit.
make_room()
{
	local cell build new=0

	on KEEP || for cell in $KEPT; do
		load_cell "$cell"
		[ -n "${JOB[$CELL_build]:-}" ] || drop_kernel
	done
	[ -z "${HOSTS:-}" ] || return 0
	for build in "${BUILDS[@]}"; do
		load_cell "${JOB[$build]%%,*}"
		[ -d "$CELL_KOUT" ] || new=$((new + 1))
	done
	! on KEEP || [ "$new" -lt 2 ] ||
		need_space $((200 * new + 400)) "building $new kernels (or less with KEEP=0)"
}

run_jobs()
{
	local build pid knobs options=(--ungroup) job

	for build in "${BUILDS[@]}"; do
		printf '%s\t%s\n' "$build" "${JOB[$build]}"
	done | put "$BUILD/matrix.jobs"
	knobs="BASE=$BASE ACCEL=${ACCEL:-auto} KEEP=$KEEP RUN=$RUN STEP={#}/${#BUILDS[@]}"
	job="$knobs $(printf %q "$HARNESS/run/job.sh") {2}"
	if [ -n "${HOSTS:-}" ]; then
		prepare_hosts "$HOSTS"
		cd "$ROOT"
		options=("${HOST_OPTIONS[@]}")
		job="rm -rf cells ${RECORDS##*/}; RETURN=. $knobs@\$PARALLEL_SSHHOST harness/run/job.sh {2}"
	fi
	# In the background: a signal is to reach us at once, and it from us.
	"${ENGINE[@]}" "${options[@]}" --joblog "$BUILD/matrix.joblog" \
		--colsep '\t' -a "$BUILD/matrix.jobs" "$job" </dev/null &
	pid=$!
	at_exit stop_jobs "$pid"
	wait "$pid" || true
	AT_EXIT=("${AT_EXIT[@]:1}")
}

stop_jobs()
{
	note "stopping; the same command goes on from here"
	kill "$1" 2>/dev/null
	wait "$1"
}

if [ $# = 0 ]; then
	CELLS=${CELLS:-$(cell_names | paste -sd' ')}
	read -ra names <<<"$CELLS"
	set -- "${names[@]}"
fi
load_cells "$@"
[ -z "${HOSTS:-}" ] || check_hosts "$HOSTS"
lock matrix
# Which tree is it? On hosts, it is that of patches/.
if [ -n "${HOSTS:-}" ]; then
	"$HARNESS/gate/deps.sh" --matrix
	HOSTS=$(realpath "$HOSTS")
	composed ""
	TREE_ID=$(bgit rev-parse "$TIP_REV^{tree}")
	[ ! -d "$CELL_SRC" ] || [ "$(tree_id)" = "$TREE_ID" ] ||
		note "note: the work in $CELL_SRC is not in patches/, the hosts do not get it"
else
	"$HARNESS/gate/deps.sh" --matrix "$@"
	[ -n "${TREE:-}" ] || "$HARNESS/source/tree.sh" >/dev/null
	TREE_ID=$(tree_id)
fi
need parallel parallel
plan "$@"
make_room
[ ${#BUILDS[@]} = 0 ] || run_jobs
passed=1
"$HARNESS/judge/records.py" table "$RECORDS" "$RUN${KEPT// /,}" "$@" >"$BUILD/matrix.tsv" ||
	passed=
column -t -s $'\t' "$BUILD/matrix.tsv"
[ -n "$passed" ] ||
	die "not every cell passed: make report shows why, make matrix runs the others again"
