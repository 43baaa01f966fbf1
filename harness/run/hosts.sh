# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The hosts that matrix.sh spreads the cells over; sourced by it.
#
#   prepare_hosts FILE   gives each host of FILE (as parallel --sshloginfile has it) the
#                        repository as it is here and the base, has it compose the tree, and
#                        puts those that came to TREE_ID into HOSTS_READY
#   HOST_OPTIONS         what GNU parallel needs to use them
#
# Everything is in ptlock-matrix/ in the home there; build/ stays for the next time. A host
# needs Debian, rsync, perl, and root or sudo without a password.

HOST_DIR=ptlock-matrix
HOSTS_OUT=$BUILD/hosts
HOSTS_READY=$HOSTS_OUT/ready
# Never ask; a host that is gone is noticed within a minute.
export PARALLEL_SSH=${PARALLEL_SSH:-ssh -o BatchMode=yes -o ConnectTimeout=15
	-o ServerAliveInterval=15 -o ServerAliveCountMax=4}
PARALLEL_SSH=${PARALLEL_SSH//[$'\n\t']/ }
# With the times of the files, rsync sees at once what is there already.
export PARALLEL_RSYNC_OPTS=-rltDzR

# What happened to the cells is in files that go straight to build/.
# shellcheck disable=SC2034 # for matrix.sh
HOST_OPTIONS=(--sshloginfile "$HOSTS_READY" --workdir "$HOST_DIR"
	--return build/./cells --return "build/./${RECORDS##*/}"
	--retries 3 --linebuffer --tagstring '{1}')

check_hosts()
{
	[ -r "$1" ] || die "HOSTS=$1: cannot be read; it is a file with a host in each line"
	grep -qvE '^[[:space:]]*(#|$)' "$1" || die "HOSTS=$1: names no host"
	! grep -nE '^[[:space:]]*([0-9]+/)?:[[:space:]]*$' "$1" >&2 ||
		die "HOSTS=$1: ':' is no host to log in to: say localhost"
	[ -z "${LINUX:-}${TREE:-}${CELLS_INI:-}${AS:-}" ] ||
		die "HOSTS= takes Debian's source and the cells as they are: no LINUX=, TREE=, CELLS_INI= or AS="
}

# host_setup BASE_FILE: the shell command that a host runs, in HOST_DIR; it prints
# the content of the tree that it comes to. Files that are gone here go there, too.
host_setup()
{
	cat <<-EOF
		{ cmp -s build/hosts/files.tar build/hosts/unpacked || {
		find . -mindepth 1 -maxdepth 1 ! -name build -print0 | xargs -0r rm -rf &&
		tar -xof build/hosts/files.tar &&
		cp build/hosts/files.tar build/hosts/unpacked; } } &&
		export BASE=$BASE BASE_FILE=$1 &&
		harness/gate/deps.sh >&2 &&
		rev=\$(harness/source/compose.sh | cut -d' ' -f3) &&
		git --git-dir=build/base.git rev-parse "\$rev^{tree}"
	EOF
}

prepare_hosts()
{
	local file files host all why

	need ssh openssh-client
	need rsync rsync
	mkdir -p "$HOSTS_OUT"
	put "$HOSTS_OUT/files.tar" tar -C "$ROOT" --sort=name --owner=0 --group=0 \
		--exclude=./build --exclude=./.git --exclude=__pycache__ -cf - .
	# The base as a file, when there is one: then all have the same, and need no network.
	file=${BASE_FILE:-$(base_deb || true)}
	if [ -n "$file" ]; then
		ln -f "$file" "$HOSTS_OUT/" 2>/dev/null || cp -p "$file" "$HOSTS_OUT/"
		file=build/hosts/${file##*/}
	fi
	files=(--basefile build/hosts/files.tar ${file:+--basefile "$file"})
	say matrix "the hosts of $1 get the files, and compose the tree"
	(cd "$ROOT" && "${ENGINE[@]}" --nonall --sshloginfile "$1" --linebuffer --tag \
		--workdir "$HOST_DIR" "${files[@]}" "$(host_setup "$file")") \
		>"$HOSTS_OUT/trees" </dev/null || true
	awk -F'\t' -v tree="$TREE_ID" '$2 == tree { print $1 }' "$HOSTS_OUT/trees" |
		put "$HOSTS_READY"
	mapfile -t all < <(sed -E 's/^[[:space:]]+|[[:space:]]+$//g; /^(#|$)/d; s,^[0-9]+/,,' "$1")
	for host in "${all[@]}"; do
		! grep -qxF -- "$host" "$HOSTS_READY" || continue
		why="it cannot be reached, or be prepared"
		! grep -qF -- "$host"$'\t' "$HOSTS_OUT/trees" ||
			why="it has another base: remove $HOST_DIR/build/base.git there"
		note "$host is left out: $why"
	done
	[ -s "$HOSTS_READY" ] || die "HOSTS=$1: no host can be used, see above"
}
