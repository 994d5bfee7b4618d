#!/bin/bash
# 77-hooks.sh - commands around a run: their order, what becomes of their failures, and that "after" runs whatever happens: the run fails,
# the agent, the orchestrator, the guardian or all of them are killed.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
new_vault "$work/v"
small_tree "$work/tree" 77 40
log=$work/log
bin=$work/bin
mkdir -p "$bin" "$work/v/c/policies"
state=$work/v/s/agent

# program NAME LINE…: a script in $bin that says in the log that it has begun, does that, and says its end.
program() {
    local name=$1
    shift
    printf '#!/bin/bash\necho "$(basename "$0") $TWOFOLD_POLICY $TWOFOLD_PHASE $TWOFOLD_RESULT $*" >>%s\n' "$log" >"$bin/$name"
    printf '%s\n' "$@" >>"$bin/$name"
    chmod 755 "$bin/$name"
}
policy() { # BEFORE AFTER [LIMIT] [PATH]: as YAML lists
    printf 'files: { paths: ["%s"] }\nhooks:\n' "${4:-$work/tree}" >"$work/v/c/policies/p.yaml"
    [ -z "$1" ] || echo "  before: $1" >>"$work/v/c/policies/p.yaml"
    [ -z "$2" ] || echo "  after: $2" >>"$work/v/c/policies/p.yaml"
    [ -z "${3:-}" ] || echo "  time-limit: $3" >>"$work/v/c/policies/p.yaml"
    : >"$log"
}
logged() { # LINE…: this and nothing else is in the log
    printf '%s\n' "$@" | cmp -s - "$log" || fail "in the log: $(tr '\n' ';' <"$log") instead of: $*"
}
until_true() { # COMMAND: true within 20 s
    local end=$((SECONDS + 20))
    until eval "$1"; do
        [ "$SECONDS" -lt "$end" ] || { fail "not within its time: $1"; return 1; }
        sleep 0.02
    done
}
no_marker() { [ -z "$(ls "$state"/*.hooks 2>/dev/null)" ] || fail "a marker stayed: $(ls "$state")"; }
snapshots() { "$t" --json snapshots p 2>/dev/null | grep -c '"snapshot"'; }

program freeze 'sleep 0.2' 'echo frozen >&2'
program thaw
policy "[$bin/freeze, --now, 'two words']" "[$bin/thaw]"
expect 0 "$t" policy lint
not_said 'hooks'
expect 0 "$t" policy show p && said "run before: .*/freeze --now 'two words'" && said 'run after: .*/thaw$'
expect 0 "$t" --json policy show p && said '"time_limit_s": ?300'

# --- a good run ------------------------------------------------------------------------------------------------------
expect 0 "$t" --json backup p
[ "$(json state)" = whole ] || fail "not whole"
logged 'freeze p before begun --now two words' 'thaw p after captured '
no_marker

# --- what the commands are given -------------------------------------------------------------------------------------
cat >"$bin/show" <<S
#!/bin/bash
exec >>$log
env | sed 's/=.*//' | grep -v '^_\$\|^SHLVL\$\|^PWD\$' | sort | tr '\n' ' '
echo; pwd
for fd in /proc/self/fd/[0-9]*; do printf '%s ' "\${fd##*/}"; done; echo
readlink /proc/\$\$/fd/0
S
chmod 755 "$bin/show"
policy "[$bin/show]" ""
expect 0 env SECRET=1 "$t" backup p
sed -i 3's/ *[0-9]*$//' "$log" # the folder of descriptors itself, and the script
grep -q '^HOME LC_ALL PATH TWOFOLD_PHASE TWOFOLD_POLICY TWOFOLD_RESULT TWOFOLD_SOURCE $' "$log" || fail "environment: $(head -n 1 "$log")"
[ "$(sed -n 2p "$log")" = / ] || fail "not in /"
[ "$(sed -n 4p "$log")" = /dev/null ] || fail "standard input: $(sed -n 4p "$log")"
case "$(sed -n 3p "$log")" in '0 1 2' | '0 1 2 '*255*) ;; *) fail "open descriptors: $(sed -n 3p "$log")" ;; esac

# --- failures -----------------------------------------------------------------------------------------------------------
n=$(snapshots)
program sick 'for i in 1 2 3; do echo "line $i of what is wrong" >&2; done' 'exit 7'
policy "[$bin/sick]" "[$bin/thaw]"
expect 1 "$t" backup p
said 'ended with status 7: .*line 3 of what is wrong' && said 'nothing was backed up' && said 'sick'
logged 'sick p before begun ' 'thaw p after failed '
no_marker
policy "[$bin/absent]" "[$bin/thaw]"
expect 1 "$t" backup p
said "$bin/absent" && said 'No such file'
logged 'thaw p after failed '
chmod o+w "$bin/freeze"
policy "[$bin/freeze]" "[$bin/thaw]"
expect 1,2 "$t" policy lint && said 'so it will not be run'
expect 1 "$t" backup p
said 'others than root'
logged 'thaw p after failed '
chmod o-w "$bin/freeze"
if [ "$(id -u)" -eq 0 ]; then # nor one that the owner of its folder can exchange
    install -d -o nobody "$work/joe"
    cp "$bin/freeze" "$work/joe/freeze"
    policy "[$work/joe/freeze]" "[$bin/thaw]"
    expect 1 "$t" backup p
    said 'others than root' && said "$work/joe"
    logged 'thaw p after failed '
fi
[ "$(snapshots)" = "$n" ] || fail "a snapshot was made though the command before it failed"
policy "[$bin/freeze]" "[$bin/sick]"
expect 3 "$t" --json backup p
[ "$(json state)" = partial ] || fail "not partial: $(json state)"
said 'line 3 of what is wrong' && said 'may still stand still'
logged 'freeze p before begun ' 'sick p after captured '
policy "[$bin/freeze]" "[$bin/thaw]"
expect 3 "$t" backup p # once more, with what the marker names
said 'fails now, too'
program sick
: >"$log"
policy "[$bin/freeze]" "[$bin/thaw]"
ls "$state"/*.hooks >/dev/null 2>&1 && fail "the marker of a failed \"after\" outlived a good one"
policy "[$bin/freeze]" "[$bin/thaw]" "" "$work/absent"
expect 1,2,3 "$t" backup p
logged 'freeze p before begun ' 'thaw p after failed '
no_marker
printf 'files: { paths: ["%s"] }\nhooks: { before: [freeze] }\n' "$work/tree" >"$work/v/c/policies/p.yaml"
expect 2 "$t" backup p && said 'p.yaml, line 2' && said 'whole path'

# --- a limit, for all that a command has started -------------------------------------------------------------------------
program long 'trap "" TERM' "sleep 300 & echo \$! >$work/sleeper; echo so far >&2; wait; sleep 300"
policy "[$bin/long]" "[$bin/thaw]" 1s
expect 1 "$t" backup p
said 'did not end within 1 s: so far'
logged 'long p before begun ' 'thaw p after failed '
until_true "! kill -0 $(cat "$work/sleeper") 2>/dev/null"

# --- what is left running does not hold up, and may go on saying things -----------------------------------------------------
program holder "(for i in {1..400}; do head -c 1000 /dev/zero | tr '\\0' x >&2; done; echo done >>$work/held) &"
policy "[$bin/holder]" "[$bin/waits]"
program waits "until [ -e $work/held ]; do sleep 0.02; done"
expect 0 "$t" backup p
logged 'holder p before begun ' 'waits p after captured '

# --- killed ----------------------------------------------------------------------------------------------------------------
# The run stands still in the middle of `before`, or of what is read (a pipe that is a "file" of the tree is not read; a
# program that holds a lock is): TWOFOLD_FAULT stops the agent.
program stuck "echo \$PPID >$work/guardian" "touch $work/stuck" "[ -e $work/go-on ] || sleep 300"
start() {
    rm -f "$work/stuck" "$work/go-on" "$work/guardian"
    : >"$log"
    "$t" backup p >"$work/run.out" 2>"$work/run.err" </dev/null &
    run=$!
    until_true "[ -e $work/stuck ]"
    agent=$(pgrep -P "$run" -x twofold-agent)
    guardian=$(cat "$work/guardian")
}
thawed() { # WORD: and no marker is left
    until_true "grep -q 'thaw p after $1' $log && ! ls $state/*.hooks >/dev/null 2>&1"
    [ "$(grep -c thaw "$log")" = 1 ] || fail "thawed not just once: $(cat "$log")"
}
policy "[$bin/stuck]" "[$bin/thaw]"
for what in agent orchestrator both politely; do
    start
    ls "$state"/*.hooks >/dev/null 2>&1 || fail "no marker while \"before\" runs"
    case $what in
    agent) kill -9 "$agent" ;;
    orchestrator) kill -9 "$run" ;;
    both) kill -9 "$agent" "$run" ;;
    politely) kill -TERM "$run" "$guardian" ;;
    esac
    wait "$run" 2>/dev/null && fail "$what: the run ended well"
    thawed failed
done
# The guardian: the agent has another one.
start
kill -9 "$guardian"
wait "$run" && fail "the run ended well without its guardian"
thawed failed
# All of them, as when the host goes down: the next run begins with it, even of a policy without commands.
start
kill -9 "$guardian" "$agent" "$run"
wait "$run" 2>/dev/null
logged 'stuck p before begun '
ls "$state"/*.hooks >/dev/null 2>&1 || fail "no marker is left"
printf 'files: { paths: ["%s"] }\n' "$work/tree" >"$work/v/c/policies/p.yaml"
expect 0 "$t" backup p && said 'was cut off'
logged 'stuck p before begun ' 'thaw p after unknown '
no_marker
# The same, and nobody waits for the next run: what the units of systemd do when they end.
thaw() { expect "$1" "${t%/*}/twofold-agent" thaw --state "$state"; }
policy "[$bin/stuck]" "[$bin/thaw]"
thaw 0 && [ ! -s "$work/.out" ] || fail "thawed what is not frozen: $(cat "$work/.out")"
start
thaw 0 # it is frozen rightly: its run lives
logged 'stuck p before begun '
kill -9 "$agent" # and now its guardian alone, which is at it
until_true "grep -q 'thaw p after failed' $log"
start
kill -9 "$guardian" "$agent" "$run"
wait "$run" 2>/dev/null
thaw 0 && said 'was cut off'
logged 'stuck p before begun ' 'thaw p after unknown '
no_marker
thaw 0
policy "[$bin/stuck]" "[$bin/sick2]"
program sick2 'exit 9'
start
kill -9 "$guardian" "$agent" "$run"
wait "$run" 2>/dev/null
thaw 1 && said 'ended with status 9'
thaw 1
program sick2
thaw 0
no_marker
expect 0 "${t%/*}/twofold-agent" thaw --state "$work/none"
policy "[$bin/stuck]" "[$bin/thaw]"
start
kill -9 "$guardian" "$agent" "$run"
wait "$run" 2>/dev/null
touch "$work/go-on"
expect 0 "$t" backup p
logged 'stuck p before begun ' 'thaw p after unknown ' 'stuck p before begun ' 'thaw p after captured '
# Killed while all is read.
policy "[$bin/freeze]" "[$bin/thaw]"
mkfifo "$work/hold"
for step in 8 12 20 30; do
    printf '%s\n' "$step" >"$work/tree/changed"
    : >"$log"
    TWOFOLD_FAULT_PROGRAM=twofold-agent TWOFOLD_FAULT=kill@$step "$t" backup p >"$work/run.out" 2>&1 </dev/null
    rc=$?
    [ "$rc" -ne 0 ] || { say "step $step: the run ended before it"; continue; }
    until_true "flock -n $state/*.hooks.lock true"
    : >"$log"
    expect 0 "$t" backup p
    tail -n 2 "$log" | tr '\n' ' ' | grep -q 'freeze p before begun thaw p after captured' || fail "step $step: $(cat "$log")"
    no_marker
done
# A second run does not begin beside the commands of a first one that was killed.
program slow "sleep 1" "echo 'slow ends' >>$log"
policy "[$bin/stuck]" "[$bin/slow]"
start
kill -9 "$agent"
wait "$run" 2>/dev/null
until_true "grep -q 'slow p after' $log"
touch "$work/go-on"
expect 0 "$t" backup p
logged 'stuck p before begun ' 'slow p after failed ' 'slow ends' 'stuck p before begun ' 'slow p after captured ' 'slow ends'
finish
