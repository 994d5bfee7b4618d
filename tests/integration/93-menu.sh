#!/bin/bash
# 93-menu.sh - `twofold` alone on a terminal of 80 x 24, in Chinese and English: by numbers alone from nothing to a running restore and to the
# crash procedure; wrong answers lose nothing; an open incident comes first; what runs is shown; nothing is wider than the screen.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
unset LANGUAGE LC_MESSAGES
find_chinese
export TERM=linux

# menu STATUS STEP…: in English and in Chinese, on a pty. Steps wait for what is the same in both: commands, names, prompts by their ends.
# The output of the last one: $work/screen.
menu() {
    local want=$1
    shift
    expect "$want" python3 -X utf8 "$here/menu.py" "$t" -o "$work/screen" "$@"
}
zh_menu() {
    local want=$1
    shift
    expect "$want" "${zh[@]}" python3 -X utf8 "$here/menu.py" "$t" -o "$work/screen" "$@"
}
on_screen() { grep -qE -- "$1" "$work/screen" || { fail "\"$1\" was never on the screen"; cat "$work/screen"; }; }
run_both() {
    menu "$@"
    zh_menu "$@"
}

# --- not a terminal: the help, as ever ---------------------------------------------------------------------------------------
export TWOFOLD_CONFIG=$work/none TWOFOLD_STATE=$work/none-s
expect 0 "$t" && said 'restore' && said 'twofold help|--help'
expect 0 "$t" --help && said 'restore'

# --- a machine that knows nothing: one copy and the passphrase --------------------------------------------------------------------
src=$work/src
mkdir -p "$src/books"
seq 500 >"$src/books/ledger.txt"
echo 预算 >"$src/预算表.txt"
new_vault "$work/v"
policy_add ledger --files "$src"
policy_add web-site-of-the-finance-bureau-and-its-many-pages --files "$src/books"
expect 0 "$t" backup ledger
export TWOFOLD_CONFIG=$work/none TWOFOLD_STATE=$work/none-s TWOFOLD_PASSPHRASE_FILE=$pass
run_both 0 '--copy URL --policy NAME=>0' # an empty machine: it can be left at once
rescue=$((3 + $("$t" help | grep -cE '^  (crash|drill) ')))
menu 0 "--copy URL=>$rescue" "=>$work/nowhere" "\\$ twofold snapshots --copy $work/nowhere=>" "sftp://=>$a" "=>" \
    "=>no such/name" "no such/name=>ledger" "1  .*/twofold-ledger=>99" '"99"=>0' "=>ledger" "/twofold-ledger=>0" "=>0" "--copy URL=>0"
on_screen 'No vault is configured'

# --- files: policy, backup, what, where, run ------------------------------------------------------------------------------------------
unset TWOFOLD_PASSPHRASE_FILE
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s
restore_item=$("$t" help | grep -qE '^  crash ' && echo 2 || echo 1)
id=$("$t" --json snapshots ledger | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["id"][:8])')
for language in menu zh_menu; do
    out=$work/out-$language
    # Words, numbers that there are not, nothing: each is asked again, and what was chosen stays; 0 goes back by one question.
    $language 0 'twofold restore POLICY=>what' '"what"=>8888' '"8888"=>-1' '"-1"=>' "=>$restore_item" \
        '1  ledger .*2  web-site=>1' "3  20..-..-.. ..:..   $id=>3" '1  .*twofold find NAME=>2' "=>relative" \
        "/etc/hosts=>$src/books" '/var/tmp=>0' '1  .*twofold find NAME=>3' '=>*.txt' '=>' '1  .*twofold find NAME=>1' '/var/tmp=>0' 'find=>1' '/var/tmp=>4' '=>elsewhere' "/srv/restored=>$out" \
        "twofold restore ledger --to=>1" "\\$\\s+twofold restore ledger --to\\s+$out\\s+--snapshot\\s+$id=>" 'twofold restore POLICY=>0'
    same_tree "$src" "$out$src"
done

# --- "the database is gone": from the first page to a running restore by numbers alone; then the incident stands at the top ------------------------
expect 0 "$t" backup web-site-of-the-finance-bureau-and-its-many-pages
# On a machine that knows nothing it begins with a copy.
export TWOFOLD_CONFIG=$work/none TWOFOLD_STATE=$work/none-s TWOFOLD_PASSPHRASE_FILE=$pass
run_both 0 'twofold crash POLICY=>1' "sftp://=>$a" "ledger=>" "=>ledger" '4  =>3' "twofold crash\\s+--copy\\s+$a\\s+--policy\\s+ledger\\s+--cause\\s+attack=>0" \
    '4  =>2' '-2h=>0' '4  =>2' '-2h=>yesterdays' '-2h=>-30min' "--cause\\s+fault\\s+--first-sign\\s+'$(date -d -30min '+%Y-%m-%d')\\s.*--first-sign.*--plan=>0" '=>0' '=>0' '=>0'
unset TWOFOLD_PASSPHRASE_FILE
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s
for language in menu zh_menu; do
    rm -rf "$src"
    $language 0 'twofold crash POLICY=>1' '1  ledger=>1' '4  =>1' '--cause fault --plan=>2' '~  2  .*--cause fault --plan.*  0  =>1' \
        'PY-DB-3.*1 .*2 .*0 .*=>9' '1 .*2 .*=>0' '=>' '! .*ledger-.*twofold crash resume ledger-[0-9a-f-]+=>1' 'crash note=>3' '=>the disk was found gone' '=>' \
        'twofold crash resume=>1' 'crash status=>2' '~crash note.*  0  =>1' 'PY-DB-3.*=>1' '~twofold crash resume.*  0  =>1' 'crash close=>4' '\[.*N\] =>y' '~twofold crash POLICY.*  0  =>0'
    [ -s "$src/books/ledger.txt" ] && same_tree "$work/out-menu$src" "$src"
    grep -q 'the disk was found gone' "$TWOFOLD_STATE"/incidents/ledger-*/timeline || fail "the note is not on the timeline"
done

# --- what is overdue stands at the top; lists that do not fit come page by page -----------------------------------------------------------------------
expect 3,6 "$t" --yes crash web-site-of-the-finance-bureau-and-its-many-pages --answer host-repaired=no
TWOFOLD_NOW=$(($(date +%s) + 7200)) menu 0 '! .*web-.*OVERDUE.*leave=>0'
for n in $(seq 10 24); do cp "$TWOFOLD_CONFIG/policies/ledger.yaml" "$TWOFOLD_CONFIG/policies/p$n.yaml"; done
run_both 0 'twofold restore POLICY=>3' 'ledger.*p1[0-9]=>' '~p2[0-9]=>16' '1  .*2  =>0' 'ledger=>99' '"99"=>0' 'twofold restore POLICY=>0'

# --- Ctrl-C and the end of the terminal ---------------------------------------------------------------------------------------------------
menu 130 'twofold restore POLICY=>^C'
menu 0 "twofold restore POLICY=>$restore_item" '1  ledger=>^D'

finish
