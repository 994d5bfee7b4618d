#!/bin/bash
# 12-look-inside.sh - status, snapshots, ls, find, diff and export on real backups: what they show, with names that are no
# text, with a copy away, behind, rolled back or damaged, and with nothing but one copy.
set -u
export TWOFOLD_CONFIG=$PWD/conf TWOFOLD_STATE=$PWD/state TWOFOLD_PASSPHRASE_FILE=$PWD/pass TWOFOLD_AGENT=$AGENT
t=$TWOFOLD
failures=0
printf 'Correct-Horse-Battery-9\n' >pass
chmod 600 pass

complain() {
    echo "FAILED: $*"
    sed 's/^/    stdout: /' out
    sed 's/^/    stderr: /' err
    failures=$((failures + 1))
}
run() { # STATUS COMMAND...
    local want=$1 rc=0
    shift
    "$@" >out 2>err </dev/null || rc=$?
    [ $rc -eq "$want" ] || complain "exit status $rc instead of $want: $*"
}
says() { # PATTERN [FILE]
    grep -qE -- "$1" "${2:-out}" || complain "\"$1\" is not in ${2:-out}"
}
is() { # TEXT: all of stdout
    [ "$(cat out)" = "$1" ] || complain "not what was expected:
$1"
}
narrow() {
    [ "$(awk '{ if (length($0) > m) m = length($0) } END { print m + 0 }' out)" -le 80 ] ||
        complain "a line has more than 80 columns"
}

# --- before the first backup ---------------------------------------------------------------------------
src=$PWD/src
mkdir -p src/sub
echo hello >src/hello.conf
echo y >src/sub/y.conf
printf 'x' >"src/$(printf 'e\033[31mvil\n\\name')"
printf 'x' >"src/$(printf '\377\376')"
ln -s hello.conf src/link
run 0 "$t" status
says 'twofold init'
run 0 "$t" init --vault main --copy a=a --copy b=b
says 'BEGIN TWOFOLD RECOVERY FILE'
says "twofold restore --copy $PWD/a"
narrow
sed -n '/^-----BEGIN/,/^-----END/p' out | sed '1d;$d' | base64 -d | cmp - a/recovery || complain "the armour is not the file"
run 0 "$t" status
says 'twofold policy add'
run 0 "$t" policy add src --files src
run 3 "$t" status
says 'NOTHING YET'
says 'next: twofold backup src'
run 0 "$t" snapshots
says 'Nothing yet'

# --- one backup, then another -----------------------------------------------------------------------------
run 0 "$t" backup src
run 0 "$t" status
says 'Policy src: good'
says 'current'
narrow
run 0 "$t" --json status
[ "$(grep -c '"policy":"src".*"state":"good"' out)" -eq 2 ] || complain "not one object for policy and copy"
run 0 "$t" ls latest
is "$src
$src/e\\033[31mvil\\012\\134name
$src/hello.conf
$src/link
$src/sub
$src/sub/y.conf
$src/\\377\\376"
run 0 "$t" ls latest "$src/sub" -l
says '^-rw.* 2 B .*/src/sub/y.conf$'
run 0 "$t" ls latest -0
tr '\0' '\n' <out | LC_ALL=C grep -qx "$src/$(printf '\377\376')" || complain "ls -0: not the raw name"
run 0 "$t" --json ls latest
says '"path_hex":"[0-9a-f]*fffe"'
run 1 "$t" ls latest /nowhere
says '/nowhere' err

echo changed >src/hello.conf
rm src/sub/y.conf
echo new >src/new
chmod 600 src/new
run 0 "$t" backup src
run 0 "$t" snapshots
[ "$(wc -l <out)" -eq 3 ] || complain "snapshots: not a head and two lines"
says '^[0-9a-f]{8} src +20.*whole'
narrow
first=$(sed -n '2s/ .*//p' out) second=$(sed -n '3s/ .*//p' out)
run 0 "$t" diff "$first" "$second"
says "^M $src/hello.conf$"
says "^D $src/sub/y.conf$"
says "^A $src/new$"
says "^m $src/sub \\(mtime\\)$"
[ "$(wc -l <out)" -eq 5 ] || complain "diff: not five lines"
run 0 "$t" diff latest latest
is ""
echo live >src/live
run 0 "$t" diff latest live
says "^A $src/live$"
run 0 "$t" find '*.conf'
[ "$(sed 's/ .*//' out | paste -sd' ')" = "$second $first $first" ] || complain "find: not newest first"
run 0 "$t" find y.conf --snapshot "$first"
says "^$first .* 2 B $src/sub/y.conf$"
run 1 "$t" find y.conf --snapshot "$second"
run 0 "$t" ls "src@now"
says '/src/new$'

# --- export, and a copy alone -----------------------------------------------------------------------------
run 0 "$t" export "$first" "$src/hello.conf"
[ "$(tar xOf out)" = hello ] || complain "export: not the old content"
mkdir lone
cp -r b lone/b
run 0 env TWOFOLD_CONFIG="$PWD/none" TWOFOLD_STATE="$PWD/none" "$t" snapshots --copy "$PWD/lone/b"
says "^$second src "
run 0 env TWOFOLD_CONFIG="$PWD/none" TWOFOLD_STATE="$PWD/none" "$t" ls latest --copy lone/b
says '/src/new$'
[ ! -e none ] || complain "reading a copy alone has written a configuration or state"
"$t" ls latest | head -n 1 >out 2>err || complain "a closed pipe"
is "$src"

# --- a copy that is away, then behind ---------------------------------------------------------------------
mv b b.away
run 3 "$t" status
says 'b +away'
says 'next: .*mounted'
narrow
run 0 "$t" ls latest
says 'copy "b" cannot be reached' err
run 0 "$t" --quiet ls latest
is ""
run 1 "$t" ls latest --from b
run 3 "$t" backup src
mv b.away b
run 3 "$t" status
says 'b +behind by 1 generation '
says 'Policy src: IN ONE PLACE ONLY'
says 'next: twofold replicate'
narrow
run 0 "$t" replicate
run 0 "$t" status

# --- a damaged head, and a copy of last week ---------------------------------------------------------------
head=$(find b/heads -type f | sort | tail -n 1)
printf x >>"$head"
run 3 "$t" status
says 'b +1 damaged head'
says 'repair'
truncate -s -1 "$head"
mv "$head" kept
run 3 "$t" status
says 'b +rolled back'
run 0 "$t" ls latest
says 'older state' err
mv kept "$head"
run 0 "$t" status

# --- overdue ---------------------------------------------------------------------------------------------------
run 0 "$t" --json snapshots
sed -i 's/^rpo: .*/rpo: 1s/' conf/policies/src.yaml
until [ "$("$t" --json status | sed -n 's/.*"age_s":\([0-9]*\).*/\1/p;q')" -gt 1 ]; do :; done
run 3 "$t" status
says 'Policy src: OVERDUE'
says 'next: twofold backup src'
sed -i 's/^rpo: .*/rpo: 26h/' conf/policies/src.yaml

# --- the lists of files are lost in both copies -------------------------------------------------------------------
find a/packs b/packs -type f | while read -r pack; do
    dd if=/dev/zero of="$pack" bs=64 count=$(($(stat -c %s "$pack") / 128)) conv=notrunc status=none
done
for command in "ls latest" "find hello.conf" "diff $first $second" "export latest"; do
    # shellcheck disable=SC2086 # words
    run 4 "$t" $command
    says '^what lies from ' err
    says '^twofold: ' err
done

[ $failures -eq 0 ] || exit 1
