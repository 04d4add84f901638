#!/bin/sh
# Runs a program as an agent, once a day however often it is called, and prints what the program wrote only if it has failed:
# cron mails what a job prints.
#
#     once-a-day.sh NAME PROGRAM ARGUMENT...
#
# The id of the agent is made from NAME and the date. The second spawn of a day is the same as the first one: it starts
# nothing, and tells how that one has ended. (Another PROGRAM under the same NAME is refused, until tomorrow.) Afterwards
#
#     liongatectl list --label job=NAME
#
# shows all of its days.
set -eu

name=$1
shift

# A UUID (version 8: made by a rule of one's own) of what sha256sum makes of the name.
id=$(printf '%s %s' "$name" "$(date +%F)" | sha256sum |
    sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-8\3-8\4-\5/')

status=0
said=$(liongatectl spawn-agent --agent-id "$id" --label "job=$name" --timeout "${TIMEOUT:-1h}" -- "$@" 2>&1) || status=$?
if [ "$status" -ne 0 ]; then
    printf '%s\n' "$said"
fi
exit "$status"
