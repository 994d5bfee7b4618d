#!/bin/bash
# 14-man-completion.sh - every command has a man page that says what its --help says, pages are clean roff in both languages, and
# the completion for bash knows commands, options and names.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

# --- man pages
built=$(dirname "$TWOFOLD_FAST")
expect 0 "$TWOFOLD_SRC/scripts/man.sh" "$built" "$work/man"
expect 0 "$TWOFOLD_SRC/scripts/man.sh" "$built" "$work/man-zh" zh_CN
"$t" help | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p' >"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 14 ] || fail "hardly any command is listed: $(tr '\n' ' ' <"$work/commands")"
while read -r name; do
    page=$work/man/man1/twofold-$name.1
    [ -s "$page" ] || { fail "there is no page for $name"; continue; }
    "$t" "$name" --help | grep -oE -e '--[a-z][a-z-]+' | sort -u | while read -r option; do
        grep -qF -- "${option//-/\\-}" "$page" || echo "$name $option"
    done >"$work/lacking"
    [ ! -s "$work/lacking" ] || fail "not on the man page: $(cat "$work/lacking")"
done <"$work/commands"
for name in twofold-agent twofoldd twofold-ssh twofold-paper; do
    grep -A 1 '^\.nf' "$work/man/man8/$name.8" | grep -q '[a-z]' || fail "the page of $name says nothing"
done
if command -v groff >/dev/null; then
    for page in "$work"/man/man[18]/*.[18] "$work"/man-zh/man[18]/*.[18]; do
        groff -K utf8 -T utf8 -man -ww "$page" 2>"$work/warnings" >"$work/formatted" || fail "groff fails on $page"
        [ ! -s "$work/warnings" ] || fail "$page: $(head -n 1 "$work/warnings")"
    done
    grep -q '[^ ]' "$work/formatted" || fail "an empty page"
else
    skip_part "the form of the man pages: groff is not here"
fi
grep -q '备份' "$work/man-zh/man1/twofold-backup.1" || fail "the Chinese page is not in Chinese"

# --- completion
new_vault "$work/v"
policy_add etc --files /etc
policy_add web --files /srv
mkdir "$work/bin"
ln -s "$t" "$work/bin/twofold"
complete_line() { # the words after which the cursor stands; the last one may be unfinished, or empty
    PATH=$work/bin:$PATH bash -c '
        . "$TWOFOLD_SRC/completion/twofold.bash"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _twofold
        printf "%s\n" "${COMPREPLY[@]}"' _ "$@"
}
expect 0 complete_line twofold ba
said '^backup$'
expect 0 complete_line twofold backup ""
said '^etc$'
said '^web$'
expect 0 complete_line twofold logs e
said '^etc$'
expect 0 complete_line twofold --quiet restore e
said '^etc$'
expect 0 complete_line twofold restore --ov
said '^--overwrite$'
expect 0 complete_line twofold snapshots --vault ""
said '^main$'
expect 0 complete_line twofold policy l
said '^lint$'
finish
