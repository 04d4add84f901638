#!/usr/bin/env bash
# Runs shell commands side by side as agents of liongated, and shows what they write while they write it.
#
#     fleet.sh COMMAND...
#
# Each line is shown behind the number of its command. The exit status is 0 if all went well, 1 if one has failed, 3 if the
# daemon cannot be reached. Ctrl-C ends this script alone: the agents run on.
#
# Besides bash, nc (that of OpenBSD, which knows -U and -N) and jq are needed. What there is to see is what ../python/fleet.py
# shows: requests in one write, spawns that may be repeated, and a subscription that goes on where it was.
set -uo pipefail

if [ $# -eq 0 ]; then
    echo "usage: ${0##*/} COMMAND..." >&2
    exit 2
fi

# Where liongatectl looks, too.
socket=${LIONGATE_SOCKET-}
if [ -z "$socket" ]; then
    socket=${XDG_RUNTIME_DIR:-/nonexistent}/liongate/control.sock
    [ -e "$socket" ] || socket=/run/liongate/control.sock
fi

# Sends the requests on standard input, and prints what comes back, whole lines only: a last one that was cut off is dropped.
talk() {
    nc -N -U "$socket" 2>/dev/null | jq --unbuffered -c -R 'fromjson? // empty'
}

correlation_id=fleet-$(cat /proc/sys/kernel/random/uuid)
log_id=
cursor=
failed=0
over=no
tries_left=300

# The requests for all spawns. The ids are made once, so that a spawn of which nobody knows whether it has arrived may be
# repeated: the second one gives the first one's seq.
requests='{"jsonrpc":"2.0","id":0,"method":"daemon.status"}'$'\n'
number=0
for command in "$@"; do
    number=$((number + 1))
    requests+=$(jq -nc --arg id "$(cat /proc/sys/kernel/random/uuid)" --arg command "$command" --arg cwd "$PWD" \
        --arg correlation_id "$correlation_id" --argjson number "$number" '{
            jsonrpc: "2.0", id: $number, method: "agent.spawn", params: {
                agent_id: $id, backend: "exec", prompt: "",
                options: {argv: ["sh", "-c", $command], cwd: $cwd, chunking: "line"},
                correlation_id: $correlation_id, labels: {fleet: ($number | tostring)}}}')$'\n'
done
numbers=$(jq -sc 'map(select(.id > 0) | {(.params.agent_id): .id}) | add' <<<"$requests")

# Exits if the daemon refuses what on standard input is a reply, unless it may take it later.
exit_if_refused() {
    local why
    why=$(jq -r 'select(.error and (.error.data.retryable | not)).error.message' | head -n 1)
    if [ -n "$why" ]; then
        echo "the daemon refuses it: $why" >&2
        exit 1
    fi
}

# Once there is a reply to each of the spawns, it is known where they all begin.
spawn() {
    local replies
    [ -z "$cursor" ] || return 0
    replies=$(printf '%s' "$requests" | talk)
    exit_if_refused <<<"$replies"
    # A daemon that has never answered is not there.
    [ -n "$log_id" ] || log_id=$(jq -r 'select(.id == 0).result.log_id' <<<"$replies")
    [ -n "$log_id" ] || tries_left=0
    [ "$(jq -s 'map(select(.result)) | length' <<<"$replies")" -eq $(($# + 1)) ] || return 1
    cursor=$(jq -s 'map(select(.id > 0).result.seq) | min - 1' <<<"$replies")
}

subscription() {
    jq -nc --arg log_id "$log_id" --arg correlation_id "$correlation_id" --argjson after "$cursor" '{
        jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {
            log_id: $log_id, after: $after, correlation_id: $correlation_id, until: "idle"}}'
}

# A line a notification, its fields parted by tabs. Tabs, newlines and backslashes within are escaped, as `printf %b` takes
# them back.
# shellcheck disable=SC2016  # $... is jq's
to_fields='
    .params as $p | $numbers[$p.agent_id // ""] as $number
    | if .error then ["refused", 0, 0, .error.message]
      elif .method == "event" and $p.type == "AgentPartialOutput" then
        [$p.channel, $p.seq, $number, if $p.encoding then $p.chunk | @base64d else $p.chunk end]
      elif .method == "event" and $p.type == "AgentError" then
        ["failed", $p.seq, $number, "\($p.code): \($p.message)"]
      elif .method == "gap" then ["gap", $p.to, 0, "events \($p.from) to \($p.to) are gone"]
      elif .method then [.method, $p.seq, 0, ""]
      else empty end
    | @tsv'

follow() {
    local kind seq number text
    while IFS=$'\t' read -r kind seq number text; do
        printf -v text '%b' "$text"
        text=${text%$'\n'}
        case $kind in
        output) printf '%s| %s\n' "$number" "$text" ;;
        error) printf '%s| %s\n' "$number" "$text" >&2 ;;
        failed)
            failed=1
            printf '%s: %s\n' "$number" "$text" >&2
            ;;
        gap) printf '%s\n' "$text" >&2 ;;
        refused)
            printf 'the daemon refuses it: %s\n' "$text" >&2
            exit 1
            ;;
        end)
            over=yes
            return
            ;;
        esac
        # Where to go on. Only now: what was not shown yet has to come again.
        cursor=$seq
        tries_left=300
    done < <(subscription | talk | jq --unbuffered -r --argjson numbers "$numbers" "$to_fields")
}

while [ "$over" = no ]; do
    if spawn "$@"; then
        follow
    fi
    [ "$over" = no ] || break
    if [ $((tries_left -= 1)) -lt 0 ]; then
        echo "the daemon cannot be reached" >&2
        exit 3
    fi
    sleep 0.2
done
exit "$failed"
