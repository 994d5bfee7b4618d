#!/bin/bash
# 45-hostile-agent.sh - an agent that hangs, floods or lies: the backup ends with a reason, soon, and with bounded memory;
# nothing of it becomes a snapshot, and the next honest run is none the worse.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"

agent=$TEST_PROGRAMS/integration/prog_hostile_agent
src=$work/src
small_tree "$src" 45 20
new_vault "$work/v"
policy_add tree --files "$src"
expect 0 "$t" backup tree

# hostile MODE PATTERN: what the orchestrator says.
hostile() {
    local heads
    heads=$(find "$a/heads" "$b/heads" | sort)
    HOSTILE_MODE=$1 TWOFOLD_AGENT=$agent TWOFOLD_AGENT_STALL_S=2 expect "${3:-1}" timeout 60 "$t" backup tree
    said "$2" || say "    from: $1"
    [ "$heads" = "$(find "$a/heads" "$b/heads" | sort)" ] || fail "$1: something was committed"
    [ -z "$(ls "$work"/v/s/*/sessions)" ] || fail "$1: a session was left"
}

hostile ping 'lives, but has got nowhere'
hostile progress 'lives, but has got nowhere'
hostile ask 'asks and asks'
hostile repeat 'more than it can have read'
hostile reach-unknown 'needs chunk [0-9a-f]{12}' 1,4
hostile reach-backwards 'malformed'
hostile reach-unsent 'needs chunk [0-9a-f]{12}' 1,4
hostile put-unasked 'was not asked for'
hostile two-keys 'malformed|not new'
hostile put-before-key 'malformed'

# An honest agent that stands still for a moment is not ended.
expect 0 "$t" backup tree
restore_same "$src" tree
expect 0 "$t" status
expect 0 "$t" scrub --read-data=100%
finish
