# keeper.sh - the process that keeps a database's log. After lib.sh.
# shellcheck shell=bash disable=SC2154
keeper=""

# follow POLICY: in the background; its output is in .keep.
follow() {
    "$t" logs "$1" --follow >"$work/.keep" 2>&1 </dev/null &
    keeper=$!
}
# unfollow [STATUS]: it ends when it is told to.
unfollow() {
    local rc=0
    kill "$keeper" 2>/dev/null
    wait "$keeper" || rc=$?
    [ "$rc" -eq "${1:-0}" ] || {
        fail "the keeper of the log ended with $rc instead of ${1:-0}"
        sed 's/^/    /' "$work/.keep"
    }
    keeper=""
}
# keeper_ends PATTERN: it ends by itself, and says why.
keeper_ends() {
    local _
    for _ in $(seq 200); do kill -0 "$keeper" 2>/dev/null || break; sleep 0.05; done
    kill "$keeper" 2>/dev/null && fail "the keeper goes on"
    wait "$keeper" 2>/dev/null
    keeper=""
    grep -qE -- "$1" "$work/.keep" || { fail "\"$1\" was not said"; sed 's/^/    /' "$work/.keep"; }
}
