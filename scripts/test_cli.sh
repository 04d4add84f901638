#!/usr/bin/env bash
# Walks through every command of liongatectl as a person would, against a private daemon.
# Usage: test_cli.sh BUILD_DIR
set -u

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 BUILD_DIR" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
ctl=$build/client/liongatectl
daemon=${LIONGATED:-$build/daemon/liongated}
for program in "$ctl" "$daemon"; do
    if [ ! -x "$program" ]; then
        echo "$program is not there" >&2
        exit 2
    fi
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/liongate-cli-XXXXXX")
sock=$dir/control.sock
out=$dir/out
err=$dir/err
passed=0
failed=0
name=
rc=0
daemon_pid=
export LIONGATE_SOCKET=$sock
unset NO_COLOR XDG_RUNTIME_DIR

# --- the daemon ---

# Prints its pid once it has said READY=1.
launch='
import os, socket, subprocess, sys
path, log, args = sys.argv[1], sys.argv[2], sys.argv[3:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.path.exists(path):
    os.unlink(path)
notify.bind(path)
notify.settimeout(30)
with open(log, "ab") as sink:
    process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                               env=dict(os.environ, NOTIFY_SOCKET=path), start_new_session=True)
while b"READY=1" not in notify.recv(4096):
    pass
print(process.pid)
'

# start_daemon OPTION...
start_daemon() {
    daemon_pid=$(python3 -c "$launch" "$dir/notify" "$dir/daemon.log" \
        "$daemon" --no-config --socket "$sock" --state-dir "$dir/state" "$@")
    if [ -z "$daemon_pid" ]; then
        echo "the daemon does not start:" >&2
        cat "$dir/daemon.log" >&2
        exit 1
    fi
}

end_daemon() {
    kill "-$1" "$daemon_pid" 2>/dev/null
    tail --pid="$daemon_pid" -s 0.1 -f /dev/null
    daemon_pid=
}

finish() {
    [ -z "$daemon_pid" ] || end_daemon TERM
    rm -rf "$dir"
}
trap finish EXIT

# --- what checks are made of ---

pass() {
    passed=$((passed + 1))
}

fail() {
    failed=$((failed + 1))
    printf 'FAILED: %s: %s\n' "$name" "$1"
    printf '  exit code %s\n' "$rc"
    awk 'NR <= 20 { print "  out: " $0 }' "$out"
    awk 'NR <= 20 { print "  err: " $0 }' "$err"
}

# run NAME EXIT_CODE ARGUMENT...: runs liongatectl, standard input from /dev/null.
run() {
    run_with /dev/null "$@"
}

# run_with FILE NAME EXIT_CODE ARGUMENT...
run_with() {
    local input=$1 want=$3
    name=$2
    shift 3
    timeout 60 "$ctl" "$@" <"$input" >"$out" 2>"$err"
    rc=$?
    if [ "$rc" -eq "$want" ]; then pass; else fail "exit code $want was expected"; fi
}

# offered NAME WORD...: the output is what completion offers, without what it says of it.
offered() {
    run "$1" 0 --complete "${@:2}"
    cut -f 1 <"$out" >"$dir/offered" && mv "$dir/offered" "$out"
}

# run_daemon NAME EXIT_CODE ARGUMENT...: runs liongated for a question that it answers and exits.
run_daemon() {
    local want=$2
    name=$1
    shift 2
    timeout 60 "$daemon" "$@" </dev/null >"$out" 2>"$err"
    rc=$?
    if [ "$rc" -eq "$want" ]; then pass; else fail "exit code $want was expected"; fi
}

out_is() {
    if [ "$(cat "$out"; echo .)" = "$1." ]; then pass; else fail "the output is not: $1"; fi
}

out_has() {
    if grep -qE -- "$1" "$out"; then pass; else fail "the output lacks: $1"; fi
}

out_lacks() {
    if grep -qE -- "$1" "$out"; then fail "the output has: $1"; else pass; fi
}

err_has() {
    if grep -qE -- "$1" "$err"; then pass; else fail "standard error lacks: $1"; fi
}

err_lacks() {
    if grep -qE -- "$1" "$err"; then fail "standard error has: $1"; else pass; fi
}

err_empty() {
    if [ -s "$err" ]; then fail "standard error is not empty"; else pass; fi
}

out_lines() {
    if [ "$(wc -l <"$out")" -eq "$1" ]; then pass; else fail "$1 lines were expected"; fi
}

# json FILTER: jq's filter yields true for the output (each value of a stream is in the array `.`).
json() {
    if jq -se "$1" "$out" >/dev/null 2>>"$err"; then pass; else fail "JSON: not $1"; fi
}

# same WHAT A B
same() {
    if [ "$2" = "$3" ]; then pass; else fail "$1: \`$2' is not \`$3'"; fi
}

# Waits until a line of the file matches.
await() {
    if ! timeout $((30 * ${LIONGATE_TEST_SCALE:-1})) grep -qE -m 1 -- "$2" <(exec tail -n +1 -s 0.1 -F "$1" 2>/dev/null); then
        fail "\`$2' did not come into $1"
    fi
}

# Of a clock that nobody sets.
uptime_ms() {
    local seconds
    read -r seconds _ </proc/uptime
    echo $((${seconds/./} * 10))
}

# Starts liongatectl in the background, with SIGINT as a terminal's foreground has it: $! is its pid.
background() {
    local to=$1
    shift
    env --default-signal=INT,QUIT,HUP "$ctl" "$@" </dev/null >"$to" 2>"$to.err" &
}

detached() {
    "$ctl" spawn-agent --detach "$@"
}

# --- the commands ---

test_help() {
    local command
    run help 0 --help
    out_has 'Usage: liongatectl'
    out_has '^Exit codes:'
    out_has '^  124 +timed out'
    err_empty
    for command in $("$ctl" --complete '' | cut -f 1); do
        run "$command --help" 0 "$command" --help
        out_has "Usage: liongatectl $command"
        out_has '^Example:'
        out_has '^Exit codes:'
    done
    run 'help of a command' 0 help watch
    out_has 'Usage: liongatectl watch'
    run version 0 --version
    out_has '^liongatectl [0-9]'
}

test_usage() {
    run 'no command' 2
    err_has 'which command'
    err_has '^  spawn-agent +'
    out_is ''
    run 'unknown command' 2 wach
    err_has 'did you mean .watch.'
    run 'unknown option' 2 list --nope
    err_has 'there is no option --nope'
    run 'missing operand' 2 show
    err_has 'AGENT is missing'
    run 'too many operands' 2 status now
    run 'bad duration' 2 spawn-agent --prompt x --timeout 3x
    err_has 'duration'
    run 'a program without --' 2 spawn-agent ls -l
    err_has 'a program stands behind .--.'
    run 'no prompt' 2 spawn-agent
    err_has 'prompt is missing'
    run 'two prompts' 2 spawn-agent --prompt x -
    run 'bad option of a backend' 2 spawn-agent --prompt x --option chunks
    run 'contradiction' 2 spawn-agent --prompt x --option a=1 --option a.b=2
    run 'bad id' 2 spawn-agent --prompt x --agent-id 12
    run 'exclusive' 2 watch --from-start --tail 3
    run 'wrong JSON' 2 call daemon.status '{'
    run 'bad colour' 2 --color=pink status
    run 'not UTF-8' 2 spawn-agent --prompt $'\xff'
    run 'socket and ephemeral' 2 --ephemeral --socket x status
    run 'detached from what ends at once' 2 --ephemeral spawn-agent --detach --prompt x
    err_has '--ephemeral and --detach exclude each other'
    local option
    for option in --timeout --idle-timeout --connect-timeout --first-chunk-timeout; do
        run "$option of nothing" 2 spawn-agent --prompt x $option 0
        err_has "$option must be longer than nothing"
    done
    run 'ask for no time' 2 ask --timeout 0s 'Why?'
    err_has '--timeout must be longer than nothing'
    run 'a correlation id that is none' 2 spawn-agent --prompt x --correlation-id ''
    err_has '--correlation-id must not be empty'
    run 'exec without a program' 2 spawn-agent --backend exec
    err_has '^liongatectl: a program is missing: it stands behind .--.$'
    run 'an option cut short' 2 spawn-agent --pro x
    err_has '--pro could be --prompt, --prompt-file, --provider;'
    # Nobody is asked about the others: there is no daemon.
    run 'what can be no id' 2 wait ffffffff hi
    err_has '^liongatectl: hi is no agent: '
    run 'no id to watch' 2 watch ffffffff ''
    err_has "^liongatectl: '' is no agent: "
}

test_liongated() {
    local option
    printf '[daemon]\nworkers = many\n' >"$dir/bad.conf"
    run_daemon 'all mistakes at once' 2 --config "$dir/bad.conf" --check-config --max-running=zz \
        --nope=3 --durability=x
    err_has '^liongated: unknown option --nope$'
    err_has "^liongated: --max-running: 'zz' is not a whole number"
    err_has "^liongated: --durability: 'x' is not"
    err_has "^$dir/bad.conf:2: workers: 'many' is not"
    err_has '^liongated: --help says'
    mkdir "$dir/bad.conf.d"
    printf '[limits]\nmax_running = 3\nmax_qeued = 4\n\n[log]\ndurability = sometimes\n' >"$dir/bad.conf.d/10-a.conf"
    printf '[nonsense]\nkey = 1\n\n[provider p]\nkind = oracle\n' >"$dir/bad.conf.d/20-b.conf"
    printf 'nothing of ours' >"$dir/bad.conf.d/note.txt"
    run_daemon 'all mistakes of all files' 2 --config "$dir/bad.conf" --check-config
    err_has "^$dir/bad.conf:2: workers: 'many' is not"
    err_has "^$dir/bad.conf.d/10-a.conf:3: unknown key 'max_qeued' in \[limits\]; did you mean max_queued\?$"
    err_has "^$dir/bad.conf.d/10-a.conf:6: durability: 'sometimes' is not interval or fsync$"
    err_has "^$dir/bad.conf.d/20-b.conf:[12]: .*nonsense"
    err_has "^$dir/bad.conf.d/20-b.conf:5: .*'oracle'"
    err_lacks 'note.txt'
    out_is ''
    printf '[daemon]\nworkers = 1\n' >"$dir/bad.conf"
    rm "$dir/bad.conf.d/20-b.conf"
    printf '[daemon]\nworkers = 2\n\n[limits]\nmax_running = 3\n' >"$dir/bad.conf.d/10-a.conf"
    run_daemon 'the drop-in wins' 0 --config "$dir/bad.conf" --print-config
    out_has '^workers = 2$'
    out_has '^max_running = 3$'
    run_daemon 'the option wins' 0 --config "$dir/bad.conf" --print-config --workers=3
    out_has '^workers = 3$'
    run_daemon 'a file that is not there' 2 --config "$dir/nowhere.conf" --check-config
    err_has "$dir/nowhere.conf"
    run_daemon 'empty values' 2 --no-config --socket= --state-dir=
    err_has '^liongated: option --socket needs a value$'
    err_has '^liongated: option --state-dir needs a value$'
    printf '[provider x]\nkind = openai\nkey = env:KEY\nbase_url = http://llm.example/\n' >"$dir/bare.conf"
    run_daemon 'a key without encryption' 0 --config "$dir/bare.conf" --check-config
    err_has '^\[provider x\] sends its key without encryption'
    out_has '^the configuration is good$'
    run_daemon 'the configuration in force' 0 --no-config --print-config
    out_has '^#socket = /.*/control.sock$'
    out_has '^#state_dir = /'
    run_daemon 'the help' 0 --help
    for option in --help --version --print-config --check-config; do
        name="$option into a full disk"
        "$daemon" --no-config $option >/dev/full 2>"$err"
        same 'exit code' $? 1
        err_has '^liongated: standard output cannot be written: No space left'
    done
}

test_unreachable() {
    run 'no daemon' 3 --socket "$dir/nowhere.sock" status
    err_has "$dir/nowhere.sock"
    err_has 'systemctl start liongated'
    run 'no daemon, JSON' 3 --json --socket "$dir/nowhere.sock" status
    if jq -e .error.message "$err" >/dev/null; then pass; else fail 'no JSON error'; fi
}

test_status() {
    # Signals that mean nothing to a daemon are no reason to die.
    kill -USR1 "$daemon_pid"
    kill -USR2 "$daemon_pid"
    run status 0 status
    out_has '^liongated .* protocol 1, pid [0-9]+'
    out_has '^agents: 0 running'
    run 'status, JSON' 0 status --json
    out_lines 1
    json '.[0].protocol == 1'
    run 'global option in front' 0 --json status
    json '.[0].protocol == 1'
}

test_spawn() {
    run spawn 0 spawn-agent --prompt hello --option delay_ms=1
    out_is 'Partial 1 from helloPartial 2 from helloFinal from hello'
    err_empty
    printf 'from a file' >"$dir/prompt"
    run 'prompt from a file' 0 spawn-agent --prompt-file "$dir/prompt" --option chunks=1
    out_is 'Final from from a file'
    run_with "$dir/prompt" 'prompt from standard input' 0 spawn-agent - --option chunks=1
    out_is 'Final from from a file'
    run 'an agent that fails' 1 spawn-agent --prompt x --option fail_after=1 --option delay_ms=0
    out_is 'Partial 1 from x'
    err_has '^liongatectl: agent [0-9a-f]{8} failed: provider'
    same 'one line of error' "$(wc -l <"$err")" 1
    run 'spawn, JSON' 0 spawn-agent --json --prompt x --option delay_ms=0
    json 'map(.type) == ["AgentSpawned","AgentStarted","AgentPartialOutput","AgentPartialOutput",
        "AgentPartialOutput","AgentCompleted"]'
    run 'unknown option of the backend' 2 spawn-agent --prompt x --option nonsense=1
    err_has 'options.nonsense is no parameter'
    err_lacks 'invalid_params|-32602'
    run 'unknown option of the backend, JSON' 2 spawn-agent --json --prompt x --option nonsense=1
    err_has '"reason":"invalid_params"'
    run 'unknown backend' 2 spawn-agent --prompt x --backend nope
    err_has 'must be one of: mock exec openai anthropic'
    run 'a group without a name' 2 spawn-agent --prompt x --group ''
    run 'several' 0 spawn-agent --prompt x --count 3 --option delay_ms=1
    out_has '^[0-9a-f]{8} +\| Partial 1 from x'
    same 'three ends' "$(grep -c 'completed: 3 chunks' "$out")" 3
    run 'several, detached' 0 spawn-agent --prompt x --count 3 --detach
    out_lines 3
    run 'detached, JSON' 0 spawn-agent --prompt x --detach --json
    json '.[0].created == true and (.[0].agent_id | length) == 36'
    local id=12345678-1234-4abc-8def-123456789abc
    run 'an id of my own' 0 spawn-agent --detach --prompt x --agent-id $id
    out_is "$id
"
    run 'again' 0 spawn-agent --prompt x --agent-id $id
    out_is 'Partial 1 from xPartial 2 from xFinal from x'
    run 'the id with something else' 5 spawn-agent --prompt y --agent-id $id
    err_has 'was spawned with other parameters'
}

# A line that is not over is shown all the same when nothing comes of it.
test_unfinished_line() {
    local pid watcher
    background "$dir/tok" spawn-agent -n 2 -p x --correlation-id tokens \
        --option 'script=[{"after_ms":0,"chunk":"tok"},{"after_ms":60000,"chunk":"en"}]'
    pid=$!
    name='an unfinished line of several'
    await "$dir/tok" '\| tok$'
    background "$dir/tok-watch" watch --from-start --correlation-id tokens
    watcher=$!
    await "$dir/tok-watch" '\| tok$'
    kill -INT $watcher $pid
    wait $watcher
    same 'exit code of the watcher' $? 130
    wait $pid
    same 'exit code' $? 130
}

test_exec() {
    run exec 1 spawn-agent -- sh -c 'echo to out; echo to err >&2; exit 3'
    out_is 'to out
'
    err_has '^to err$'
    err_has 'failed: exit'
    run 'its own exit code' 3 spawn-agent --exit-code -- sh -c 'exit 3'
    run 'its own signal' 137 spawn-agent --exit-code -- sh -c 'kill -9 $$'
    run 'its own success' 0 spawn-agent --exit-code -- true
    run 'no such program' 1 spawn-agent -- "$dir/no-such-program"
    err_has 'no-such-program'
    run 'options behind the program' 0 spawn-agent -- echo --json -- -x
    out_is '--json -- -x
'
    (cd "$dir" && "$ctl" spawn-agent -- pwd) >"$out" 2>"$err"
    out_is "$dir
"
    name='the current directory is gone'
    mkdir "$dir/gone"
    (cd "$dir/gone" && rmdir "$dir/gone" && exec "$ctl" spawn-agent -- pwd) >"$out" 2>"$err"
    same 'exit code' $? 2
    err_has 'option cwd=DIR'
    out_is ''
    run 'a directory of its own' 0 spawn-agent --option cwd=/ -- pwd
    out_is '/
'
    # shellcheck disable=SC2016
    run 'its environment' 0 spawn-agent --option env.GREETING=hello -- sh -c 'echo $GREETING'
    out_is 'hello
'
    run 'prompt to standard input' 0 spawn-agent --prompt 'a prompt' -- cat
    out_is 'a prompt'
    head -c 100000 /dev/urandom >"$dir/random"
    run 'bytes as they are' 0 spawn-agent -- cat "$dir/random"
    if cmp -s "$out" "$dir/random"; then pass; else fail 'the bytes differ'; fi
    run 'time-out' 124 spawn-agent --timeout 200ms -- tail -f /dev/null
    err_has 'timeout'
    run 'idle time-out' 124 spawn-agent --idle-timeout 200ms -- tail -f /dev/null
    run 'a program is for exec' 2 spawn-agent --backend mock -- true
}

test_one_agent() {
    local id
    id=$(detached --prompt 'look at me' --option delay_ms=1 --label team=cli --group g1 \
        --correlation-id one-agent --priority 5)
    run wait 0 wait "$id"
    out_is "$id completed
"
    run 'wait, JSON' 0 wait --json "$id"
    json '.[0].state == "completed" and .[0].priority == 5'
    run show 0 show "${id:0:8}"
    out_has "^agent_id +$id"
    out_has '^state +completed'
    out_has '^prompt +look at me'
    out_has '^ending +completed: 3 chunks, 71 bytes, '
    out_lacks '^(context|correlation_id +$)'
    run 'show, JSON' 0 show --json "$id"
    json '.[0].labels.team == "cli" and .[0].group == "g1"'
    run output 0 output "$id"
    out_is 'Partial 1 from look at mePartial 2 from look at meFinal from look at me'
    run 'output from an offset' 0 output "$id" --offset 50
    out_is 'Final from look at me'
    run 'output of no channel' 2 output "$id" --channel nope
    run 'output of the error channel' 0 output "$id" --channel error
    out_is ''
    run 'output, JSON' 0 output "$id" --json
    json '.[0].text | startswith("Partial 1")'
    local other
    other=$(detached --option stdin=none -- echo "it's" 'a b' '' c)
    "$ctl" wait "$other" >/dev/null
    run 'show a program' 0 show "$other"
    out_has "^program +echo 'it'.''s' 'a b' '' c\$"
    out_has '^options +\{"stdin":"none","cwd":"[^"]*","chunking":"raw"\}$'
    out_has '^ending +completed: 1 chunk, 12 bytes, .*, exit code 0'
    run 'watch what has ended' 0 watch "$other"
    out_has "^-- ${other:0:8} ended before: completed: 1 chunk, .* \(--from-start shows it\)\$"
    out_lines 1
    run 'watch what has ended, JSON' 0 watch --json "$other"
    out_is ''
    run 'show nobody' 4 show ffffffff-ffff-4fff-8fff-ffffffffffff
    err_has 'no agent ffffffff'
    run 'show what is no id' 2 show 6d5
    run 'wait for nobody' 4 wait ffffffff-ffff-4fff-8fff-ffffffffffff
    err_has '^liongatectl: no agent ffffffff-ffff-4fff-8fff-ffffffffffff$'
    run 'watch from beyond the end' 5 watch --after 99999999
    err_has '^liongatectl: --after 99999999 is beyond the newest event, which is [0-9]+$'
    run 'cancel what has ended' 5 cancel "$id"
    err_has "^liongatectl: agent $id has ended already$"
}

# An id is a beginning of it wherever one is taken, unless it is the beginning of two.
test_prefixes() {
    local id=facade01-1111-4111-8111-111111111111 twin=facade02-1111-4111-8111-111111111111
    local lone=f00d0000-1111-4111-8111-111111111111 prefix command
    detached --agent-id $id --prompt 'one of two' --option delay_ms=1 >/dev/null
    detached --agent-id $lone --prompt 'alone' --option delay_ms=1 >/dev/null
    for prefix in facade01 f00d FACADE01; do
        run "wait for $prefix" 0 wait $prefix
        out_has '^f[0-9a-f-]{35} completed$'
        run "show $prefix" 0 show $prefix
        out_has '^agent_id +f'
        run "output of $prefix" 0 output $prefix
        out_has '^Partial 1 from '
        run "watch $prefix" 0 watch --from-start $prefix
        out_has 'Final from '
        run "events of $prefix" 0 events $prefix
        out_lines 6
        run "replay $prefix" 0 replay --speed max $prefix
        out_has 'Final from '
        run "cancel $prefix, which has ended" 5 cancel $prefix
        err_has 'has ended already'
        run "send to $prefix, which has ended" 5 send $prefix x
        err_has 'has ended$'
    done
    detached --agent-id $twin --option stdin=open -- cat >/dev/null
    run 'send to a prefix' 0 send facade02 'to a prefix' --line
    for command in show output watch events replay wait cancel; do
        run "$command an ambiguous prefix" 5 $command facade
        err_has "^liongatectl: facade is the beginning of more than one id: "
        err_has "$id"
        err_has "$twin"
        same 'it is said once' "$(wc -l <"$err")" 1
    done
    run 'send to an ambiguous prefix' 5 send facade x
    # cat gives it back when it comes to it.
    background "$dir/echoed" watch --from-start facade02
    await "$dir/echoed" 'to a prefix'
    err_has "$id.*$twin|$twin.*$id"
    run 'cancel a prefix' 0 cancel facade02
    out_is "$twin cancelled
"
    run 'what came by the prefix' 0 output $twin
    out_is 'to a prefix
'
}

test_many_pages_of_output() {
    local id
    id=$(detached --option limits.output_bytes=20000000 -- head -c 9000000 /dev/zero)
    run 'wait for much output' 0 wait "$id"
    run 'much output' 0 output "$id"
    same 'its size' "$(wc -c <"$out")" 9000000
    same 'its contents' "$(tr -d '\0' <"$out" | wc -c)" 0
}

test_list() {
    local id
    id=$(detached --prompt 'in the list' --label team=list --option chunks=1 --option delay_ms=0)
    "$ctl" wait "$id" >/dev/null
    run list 0 list --label team=list
    out_has '^ID +STATE +BACKEND +AGE +CHUNKS +BYTES +PROMPT$'
    out_has "^${id:0:8} +completed +mock +[0-9]+m?s +1 +22 +in the list$"
    out_lines 2
    run 'list, long' 0 list --long --label team=list
    out_has "^$id +completed"
    run 'list by state' 0 list --state failed
    out_lacks 'completed'
    run 'list, limited' 0 list --limit 2
    out_lines 3
    run 'list, JSON' 0 list --json --label team=list
    json "(.[0].agents | length) == 1 and .[0].agents[0].agent_id == \"$id\""
    run 'list by backend' 0 list --backend exec --json
    json '.[0].agents | length > 0 and all(.backend == "exec")'
    run 'list by group' 0 list --group g1 --json
    json '.[0].agents | map(.group) == ["g1"]'
    run 'list of nothing' 0 list --correlation-id nobody
    out_lines 1
    run 'all and some' 2 list --all --limit 3
    run 'list of all' 0 list --all --json
    json '.[0].agents | length > 10'
    run 'a state that is none' 2 list --state asleep
    run 'a backend that is none' 2 list --backend nope
}

test_cancel() {
    local first second
    first=$(detached -- tail -f /dev/null)
    second=$(detached --prompt x --option delay_ms=60000)
    run cancel 0 cancel "$first" "$second"
    out_has "^$first cancelled"
    out_has "^$second cancelled"
    run 'wait for the cancelled' 130 wait "$first"
    out_has "^$first cancelled: it was cancelled"
    run 'cancel, JSON' 0 cancel --json "$(detached -- tail -f /dev/null)"
    json '.[0].state == "cancelled"'
    first=$(detached -- tail -f /dev/null)
    run 'wait, too long' 124 wait "$first" --timeout 100ms
    err_has 'has not ended within 100 ms'
    run 'wait, beyond all time' 2 wait "$first" --timeout 1000000000d
    run 'wait, not at all' 124 wait "$first" --timeout 0
    "$ctl" cancel "$first" >/dev/null
}

test_send() {
    local id
    id=$(detached --option stdin=open -- cat)
    run 'send a line' 0 send "$id" --line hello
    out_is ''
    err_empty
    run 'send what looks like an option' 0 send "$id" --line -- --json
    printf 'from standard input\n' >"$dir/input"
    run_with "$dir/input" 'send standard input' 0 send "$id" - --eof
    run 'wait for the end of input' 0 wait "$id"
    run 'what came' 0 output "$id"
    out_is 'hello
--json
from standard input
'
    local stuck
    stuck=$(detached --option stdin=open -- tail -f /dev/null)
    run 'send a little that is not read' 0 send "$stuck" little
    run 'send a little more' 0 send "$stuck" more
    err_empty
    head -c 100000 /dev/zero | tr '\0' x >"$dir/input"
    run 'send what is not read' 0 send "$stuck" "$(cat "$dir/input")"
    run 'send more of that' 0 send "$stuck" more
    out_is ''
    err_has '^liongatectl: [0-9]+ bytes have not been read yet$'
    "$ctl" cancel "$stuck" >/dev/null
    run 'send to what has ended' 5 send "$id" more
    err_has 'has ended$'
    id=$(detached --option stdin=open -- wc -c)
    head -c 3000000 /dev/urandom >"$dir/input"
    run_with "$dir/input" 'send much' 0 send "$id" - --eof
    "$ctl" wait "$id" >/dev/null
    run 'how much came' 0 output "$id"
    out_is '3000000
'
}

test_events() {
    local id
    id=$(detached --prompt ev --option delay_ms=0 --correlation-id for-events)
    "$ctl" wait "$id" >/dev/null
    run events 0 events "$id"
    out_lines 6
    out_has '^ +[0-9]+  20[0-9T:.-]+Z  [0-9a-f]{8}  AgentSpawned +spawned: mock "ev"'
    out_has 'AgentPartialOutput +output 2: Final from ev'
    out_has 'AgentCompleted +completed: 3 chunks'
    run 'events by type' 0 events --type AgentCompleted --correlation-id for-events --json
    json "length == 1 and .[0].agent_id == \"$id\""
    run 'events, limited' 0 events --limit 3 --json
    json 'map(.seq) == [1,2,3]'
    run 'events, behind' 0 events --after 3 --limit 1 --json
    json 'map(.seq) == [4]'
    run 'the last events' 0 events --tail 2 --json --correlation-id for-events
    json 'map(.type) == ["AgentPartialOutput","AgentCompleted"]'
    run 'the last events, in words' 0 events -n 1 "$id"
    out_has 'AgentCompleted +completed: 3 chunks'
    out_lines 1
    run 'the last and behind' 2 events -n 1 --after 3
    run 'all events' 0 events --json
    out_lacks '^\{"gap"'
    # shellcheck disable=SC2016
    json 'map(.seq) as $s | $s == ($s | sort) and ($s | unique | length) == ($s | length)'
    run 'events of a wrong type' 2 events --type Nonsense
    run 'watch of a wrong type' 2 watch --type Nonsense
    run stats 0 stats --correlation-id for-events
    out_has 'Agents Spawned: +1'
    out_has 'Agents Completed: +1'
    out_has 'Agents Failed: +0'
    out_has "^$id +3 +47 +completed"
    run 'stats, JSON' 0 stats --json --correlation-id for-events
    json '.[0].chunks == 3 and .[0].by_agent[0].chunks == 3'
    run 'stats of all' 0 stats
    out_has 'Total Events: +[0-9]+'
    run call 0 call events.read "{\"agents\":[\"$id\"],\"limit\":1}"
    json '.[0].events[0].type == "AgentSpawned"'
    printf '{\n"agents": ["%s"],\n"limit": 2}\n' "$id" >"$dir/params"
    run_with "$dir/params" 'call with standard input' 0 call events.read -
    json '.[0].events | length == 2'
    run 'call with nothing on standard input' 2 call events.read -
    err_has 'PARAMS is not JSON'
    run 'call of what is none' 5 call no.such.method
    run 'call with wrong parameters' 5 call agent.get '{}'
    err_has '\(-32602 invalid_params: agent_id\)'
    run 'call rpc.discover' 0 call rpc.discover
    json '.[0].methods | length > 10'
}

test_replay() {
    local id began took least
    id=$(detached --prompt re --option 'script=[{"after_ms":0,"chunk":"one "},{"after_ms":600,"chunk":"two\n"}]')
    "$ctl" wait "$id" >/dev/null
    run 'replay at once' 0 replay "$id" --speed max
    out_has '^one two$'
    # From its first chunk to its second, as they were logged.
    least=$("$ctl" events "$id" --type AgentPartialOutput --json | python3 -c '
import json, sys
from datetime import datetime
times = [datetime.fromisoformat(json.loads(line)["time"].rstrip("Z")) for line in sys.stdin]
print(int((times[1] - times[0]).total_seconds() * 1000) - 10)')
    began=$(uptime_ms)
    run 'replay in its rhythm' 0 replay "$id"
    took=$(($(uptime_ms) - began))
    if [ $took -ge $((least)) ] && [ $((least)) -ge 100 ]; then pass; else fail "it took $took ms of $least"; fi
    run 'replay faster' 0 replay "$id" --speed 100x --timestamps
    out_has '^20[0-9T:.-]+Z [0-9a-f]{8} \| one two$'
    run 'replay everything' 0 replay --speed max --json
    json 'length > 50 and .[0].seq == 1'
    run 'replay at no speed' 2 replay --speed fast
}

test_watch() {
    local id pid
    id=$(detached --correlation-id w1 --label name=left -- sh -c 'printf "a\nb"; echo e >&2')
    "$ctl" wait "$id" >/dev/null
    run 'watch what has been' 0 watch --from-start --correlation-id w1 --until-idle
    out_has '^[0-9a-f]{8} \* spawned: exec'
    out_has '^[0-9a-f]{8} \| a$'
    out_has '^[0-9a-f]{8} \| b$'
    out_has '^[0-9a-f]{8} ! e$'
    out_has '^[0-9a-f]{8} \* completed'
    run 'watch one' 0 watch "$id" --from-start
    out_has '^-- completed'
    run 'watch with labels' 0 watch --from-start --label name=left --until-idle --prefix name
    out_has '^left +\| a$'
    run 'watch, typed' 0 watch --from-start --correlation-id w1 --until-idle \
        --type AgentPartialOutput
    out_has '\| b$'
    out_lacks 'completed'
    run 'watch, tail, JSON' 0 watch --tail 1 --correlation-id w1 --until-idle --json
    json 'map(.type) == ["AgentCompleted"]'
    run 'watch with times' 0 watch --from-start --correlation-id w1 --until-idle --timestamps
    out_has '^20[0-9T:.-]+Z [0-9a-f]{8} \| a$'
    run 'watch chunks' 0 watch --from-start --until-idle --chunks --correlation-id for-events
    out_has '\| Partial 1 from ev$'
    run 'watch in colour' 0 watch --from-start --correlation-id w1 --until-idle --color=always
    out_has $'\033\\['
    run 'no colour into a file' 0 watch --from-start --correlation-id w1 --until-idle
    out_lacks $'\033\\['

    background "$dir/watch" watch --correlation-id w2 --tail 1
    pid=$!
    id=$(detached --correlation-id w2 --prompt live --option delay_ms=1)
    await "$dir/watch" 'completed: 3 chunks'
    kill -INT $pid
    wait $pid
    same 'interrupted' $? 130
}

# What an agent writes must not reach a terminal's mind.
test_terminal() {
    local id
    if ! command -v script >/dev/null; then
        return
    fi
    id=$(detached --correlation-id evil --prompt evil \
        --option 'script=[{"after_ms":0,"chunk":"\u001b]0;owned\u0007\u009b2J\r!\n"}]')
    "$ctl" wait "$id" >/dev/null
    name='escape sequences on a terminal'
    TERM=xterm script -qec "$ctl watch --from-start --correlation-id evil --until-idle" /dev/null \
        >"$out" 2>"$err" </dev/null
    out_has '\\x1b\]0;owned\\x07\\u009b2J\\x0d!'
    out_lacks $'\033\\]0'
    "$ctl" spawn-agent --prompt many --count 101 --option chunks=0 --detach >"$dir/many"
    xargs "$ctl" wait <"$dir/many" >/dev/null
    local no_color
    for no_color in '' 1; do
        name="colours on a terminal, NO_COLOR=$no_color"
        NO_COLOR=$no_color TERM=xterm script -qec \
            "$ctl watch --from-start --correlation-id evil --until-idle" /dev/null >"$out" 2>"$err" </dev/null
        out_has 'completed: 1 chunk'
        if [ -n "$no_color" ]; then out_lacks $'\033\\['; else out_has $'\033\\[[0-9;]*m'; fi
    done
    name='a list that is cut says so'
    TERM=xterm script -qec "$ctl list; $ctl list -n 2; $ctl stats" /dev/null >"$out" 2>"$err" </dev/null
    same 'notes on the list' "$(grep -c 'older agents are not shown; --all' "$out")" 1
    same 'notes on the statistics' "$(grep -c 'older agents are not shown; --limit' "$out")" 1
    run 'into a pipe it does not' 0 list
    err_empty
    TERM=xterm script -qec "$ctl list --correlation-id evil" /dev/null >"$out" 2>"$err" </dev/null
    out_has evil
}

test_interrupt() {
    local pid
    background "$dir/int" spawn-agent --json --prompt x --option delay_ms=60000
    pid=$!
    await "$dir/int" AgentStarted
    name='Ctrl-C cancels'
    kill -INT $pid
    wait $pid
    same 'exit code' $? 130
    same 'its end' "$(jq -r .code "$dir/int" | tail -n 1)" cancelled
}

# The agent of a program that is told to go goes with it, however it is told.
test_signals() {
    local pid signal
    for signal in TERM:143 HUP:129; do
        background "$dir/signal" spawn-agent --json --prompt x --option delay_ms=60000
        pid=$!
        await "$dir/signal" AgentStarted
        name="SIG${signal%:*} cancels"
        kill "-${signal%:*}" $pid
        wait $pid
        same 'exit code' $? "${signal#*:}"
        same 'its end' "$(jq -r .code "$dir/signal" | tail -n 1)" cancelled
        rm "$dir/signal"
    done
    name='a full disk cancels'
    "$ctl" spawn-agent --correlation-id full -- sh -c 'while :; do echo line; done' \
        >/dev/full 2>"$err"
    same 'exit code' $? 1
    err_has 'No space left'
    run 'what became of it' 0 watch --from-start --correlation-id full --until-idle --json \
        --type AgentError
    json 'map(.code) == ["cancelled"]'
}

# Runs a command on a terminal of its own, and presses Ctrl-C at the first "up" and at the first "again".
on_terminal='
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen, waits = b"", [b"up", b"again"]
while True:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    seen += piece
    if not piece:
        break
    while waits and waits[0] in seen:
        waits.pop(0)
        os.write(fd, b"\3")
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
'

test_spawn_on_terminal() {
    if ! command -v script >/dev/null; then
        return
    fi
    name='the prompt gets a line of its own'
    TERM=xterm script -qec "$ctl spawn-agent --prompt x --option delay_ms=0" /dev/null >"$out" \
        2>"$err" </dev/null
    same 'the end of the output' "$(tail -c 3 "$out" | od -An -c | tr -d ' ')" 'x\r\n'
    name='Ctrl-C on a terminal says what it does'
    timeout 60 python3 -c "$on_terminal" "$ctl" spawn-agent -- \
        sh -c 'trap "" TERM; echo up; while :; do tail -f /dev/null; done' >"$out" 2>"$err"
    same 'exit code' $? 130
    out_has 'cancelling; Ctrl-C again leaves the rest to the daemon'
    out_has 'left; the daemon'
}

test_second_interrupt() {
    local pid id
    background "$dir/int2" spawn-agent --json -- \
        sh -c 'trap "" TERM; echo up; while :; do tail -f /dev/null; done'
    pid=$!
    await "$dir/int2" '"chunk":"up'
    id=$(jq -r .agent_id "$dir/int2" | head -n 1)
    name='two signals at once leave, but not before the agents are told'
    kill -STOP $pid
    kill -INT $pid
    kill -TERM $pid
    kill -CONT $pid
    wait $pid
    same 'exit code' $? 143
    run 'the agent is being cancelled' 130 wait "$id"
}

test_pipe() {
    local id
    name='closed pipe'
    rc=0
    "$ctl" spawn-agent --correlation-id piped -- sh -c 'while :; do echo line; done' 2>"$err" |
        head -n 2 >"$out"
    same 'exit code' "${PIPESTATUS[0]}" 0
    out_lines 2
    err_empty
    run 'what became of it' 0 watch --from-start --correlation-id piped --until-idle --json \
        --type AgentError
    json 'map(.code) == ["cancelled"]'
    name='closed pipe of a watch that has nothing to say'
    "$ctl" watch --correlation-id nobody 2>"$err" | true
    same 'exit code' "${PIPESTATUS[0]}" 0
    err_empty
    "$ctl" events 2>"$err" | head -n 1 >"$out"
    same 'exit code' "${PIPESTATUS[0]}" 0
    err_empty
    name='closed pipe of a replay that pauses'
    id=$(detached --option 'script=[{"after_ms":0,"chunk":"one\n"},{"after_ms":600,"chunk":"two\n"}]' --prompt x)
    "$ctl" wait "$id" >/dev/null
    timeout 30 "$ctl" replay --speed 0.001x "$id" 2>"$err" | sed '/^one$/q' >"$out"
    same 'exit code' "${PIPESTATUS[0]}" 0
    err_empty
}

# The daemon is away, and does not come back before the reader has gone.
test_pipe_away() {
    local watcher spawner
    mkfifo "$dir/watched-pipe" "$dir/spawned-pipe"
    timeout 30 "$ctl" watch --tail 1 >"$dir/watched-pipe" 2>"$dir/watched-pipe.err" &
    watcher=$!
    timeout 30 "$ctl" spawn-agent -- sh -c 'echo up; exec tail -f /dev/null' >"$dir/spawned-pipe" \
        2>"$dir/spawned-pipe.err" &
    spawner=$!
    exec 3<"$dir/watched-pipe" 4<"$dir/spawned-pipe"
    read -r <&4
    read -r <&3
    end_daemon KILL
    await "$dir/watched-pipe.err" 'connection is lost'
    await "$dir/spawned-pipe.err" 'connection is lost'
    exec 3<&- 4<&-
    name='closed pipe of a watch without a daemon'
    wait $watcher
    same 'exit code' $? 0
    name='closed pipe of a spawn-agent without a daemon'
    wait $spawner
    same 'exit code' $? 0
    start_daemon
}

test_restart() {
    local watcher spawner waiter raw id
    background "$dir/watched" watch --json --from-start
    watcher=$!
    # The first attempt does not end by itself, the second one does.
    background "$dir/spawned" spawn-agent --json --on-restart rerun -- \
        sh -c "if test -e '$dir/marker'; then echo up; else : >'$dir/marker'; echo up; exec tail -f /dev/null; fi"
    spawner=$!
    background "$dir/spawned-raw" spawn-agent --on-restart rerun -- \
        sh -c "if test -e '$dir/marker2'; then echo up; else : >'$dir/marker2'; echo up; exec tail -f /dev/null; fi"
    raw=$!
    id=$(detached --prompt lost --option delay_ms=60000)
    background "$dir/waited" wait "$id"
    waiter=$!
    await "$dir/spawned" AgentPartialOutput
    await "$dir/spawned-raw" up
    await "$dir/watched" "AgentStarted.*$id|$id.*AgentStarted"
    end_daemon KILL
    await "$dir/watched.err" 'connection is lost'
    start_daemon
    name='spawn-agent outlives a restart'
    wait $spawner
    same 'exit code' $? 0
    await "$dir/watched.err" 'daemon is back'
    same 'its attempts' "$(jq -r 'select(.type == "AgentStarted") | .attempt' "$dir/spawned" |
        tail -n 1)" 2
    wait $raw
    same 'exit code of another' $? 0
    same 'its output' "$(tr '\n' ' ' <"$dir/spawned-raw")" 'up up '
    await "$dir/spawned-raw.err" 'agent [0-9a-f]{8} started: attempt 2, pid'
    name='wait outlives a restart'
    wait $waiter
    same 'exit code' $? 1
    same 'its end' "$(cut -d ' ' -f 2,3 "$dir/waited")" 'failed interrupted:'
    detached --prompt last --correlation-id last-one --option chunks=1 >/dev/null
    await "$dir/watched" '"type":"AgentCompleted".*last-one|last-one.*"type":"AgentCompleted"'
    kill -INT $watcher
    wait $watcher
    name='watch misses nothing and repeats nothing'
    "$ctl" events --json >"$out" 2>"$err"
    same 'the events' "$(jq -r .seq "$dir/watched" | md5sum)" "$(jq -r .seq "$out" | md5sum)"
}

test_replaced() {
    local watcher
    background "$dir/anew" watch --tail 1
    watcher=$!
    await "$dir/anew" .
    end_daemon TERM
    rm -rf "$dir/state"
    start_daemon
    await "$dir/anew" 'the log was replaced'
    await "$dir/anew" 'daemon started'
    kill -INT $watcher
    name='the log is replaced'
    wait $watcher
    same 'exit code' $? 130
}

# A log whose beginning retention has taken.
test_pruned() {
    local id oldest=1 bytes=0 tries=0
    end_daemon TERM
    rm -rf "$dir/state"
    start_daemon --segment-bytes=256KiB --retain-bytes=256KiB
    # Until something is gone, and what is left is so little that nothing more will go.
    while [ "$oldest" -le 10 ] || [ "$bytes" -gt 150000 ]; do
        tries=$((tries + 1))
        [ $tries -le 100 ] || break
        "$ctl" spawn-agent --prompt x --option 'chunks=10' --option chunk_bytes=4000 --option delay_ms=0 >/dev/null
        read -r oldest bytes < <("$ctl" call daemon.status | jq -r '.log | "\(.oldest_seq) \(.bytes)"')
    done
    run 'watch from the start of what is left' 0 watch --from-start --until-idle
    same 'its first line' "$(head -n 1 "$out")" "-- gap: events 1 to $((oldest - 1)) are gone"
    run 'events of what is left' 0 events
    same 'its first line' "$(head -n 1 "$out")" "-- gap: events 1 to $((oldest - 1)) are gone"
    run 'replay of what is left' 0 replay --speed max --json
    json ".[0] == {gap: {from: 1, to: $((oldest - 1))}} and .[1].seq == $oldest"
    run 'events behind what is gone' 0 events --after 3 --json
    json ".[0] == {gap: {from: 4, to: $((oldest - 1))}} and .[1].seq == $oldest"
    run 'events behind what is not gone' 0 events --after "$oldest" --json
    json ".[0].seq == $((oldest + 1))"
    id=$(detached --prompt young --option chunks=1)
    "$ctl" wait "$id" >/dev/null
    run 'an agent of which nothing is missing' 0 watch --from-start "$id"
    out_lacks '^-- gap'
    run 'its events' 0 events "$id"
    out_lacks '^-- gap'
    out_lines 4
    end_daemon TERM
    rm -rf "$dir/state"
    start_daemon
}

test_demos() {
    run demo 0 demo 'Say hello'
    out_has '\| Partial 1 from Say hello$'
    out_has '\| Final from Say hello$'
    out_has 'Agents Completed: +1'
    run 'multi-agent-demo' 0 multi-agent-demo --agents 3 --option chunks=4 --option delay_ms=20
    out_has '^A +\| Partial 1 from Agent A$'
    out_has '^C +\| Final from Agent C$'
    out_has '^B +4$'
    out_has '^([ABC] ){11}[ABC]$'
    out_has 'Agents Spawned: +3'
    out_has 'Chunks: +12'
    run 'multi-agent-demo with prompts' 0 multi-agent-demo red green --option delay_ms=1
    out_has '^A +\| Final from red$'
    out_has '^B +\| Final from green$'
    run 'multi-agent-demo, JSON' 0 multi-agent-demo --json --option delay_ms=1
    json '.[-1].summary.chunks_by_agent == {"A":3,"B":3,"C":3} and (.[-1].summary.order | length) == 9'
    run 'multi-agent-demo of failing agents' 1 multi-agent-demo --option fail_after=1
}

# A mistake in a conversation is told before anybody is asked.
test_messages_file() {
    local messages=$dir/messages
    run 'no such file' 2 spawn-agent --backend openai --messages-file "$dir/nowhere"
    err_has 'the messages cannot be read from .*/nowhere: No such file'
    printf '[{"role":"user","content":"hi"},{"role":"user"}]' >"$messages"
    run 'a message without content' 2 spawn-agent --backend openai --messages-file "$messages"
    err_has '--messages-file .*/messages: message 2 has no content'
    printf '{"role":"user","content":"hi"}' >"$messages"
    run_with "$messages" 'no array' 2 spawn-agent --backend anthropic --messages-file -
    err_has '--messages-file -: it is no array of messages'
    printf '[{"role":"user",}]' >"$messages"
    run 'no JSON' 2 spawn-agent --backend openai --messages-file "$messages"
    err_has 'it is not JSON: .* at byte 16'
    printf '[{"role":"user","content":"hi"}]' >"$messages"
    run_with "$messages" 'prompt and messages from standard input' 2 \
        spawn-agent --backend openai --messages-file - -
    err_has 'either the prompt or the messages'
    run 'messages for a mock' 2 spawn-agent --backend mock --messages-file "$messages"
    err_has '--messages-file is nothing for the backend mock'
    run 'a model for nobody knows whom' 2 spawn-agent --model m --prompt x
    err_has '--model is for a language model: say which kind with --backend'
    run 'a model for a program' 2 spawn-agent --model m -- true
    err_has '--model is nothing for the backend exec'
    run 'two models' 2 spawn-agent --backend openai --model a --option model=b --prompt x
    err_has '--model and --option model exclude each other'
    run 'no prompt for a model' 2 spawn-agent --backend openai --model a
    err_has 'a prompt is missing'
    offered 'options of a model' spawn-agent -b openai -o temp
    out_is 'temperature=
'
}

test_metrics() {
    run 'metrics' 0 metrics
    out_has '^liongate_agents_ended_total\{state="completed",backend="mock",group="default"\} [1-9]'
    out_has '^# EOF$'
    run 'metrics, the older format' 0 metrics --format prometheus
    out_has '^# TYPE liongate_events_total counter$'
    run 'metrics, JSON' 0 metrics --json
    json '.[0] | keys == ["content_type", "text"]'
    run 'metrics, another format' 2 metrics --format xml
    err_has 'openmetrics'
}

# Without a provider there is nobody to ask.
test_no_provider() {
    run 'ask nobody' 4 ask 'Why?'
    err_has 'the daemon has no provider to ask: a section \[provider NAME\]'
    out_is ''
    run 'ask somebody who is not there' 4 ask --provider nope 'Why?'
    run 'providers' 0 providers
    out_has '^NAME +KIND +MODEL +RUNNING +WAITING +HELD +A MINUTE +LAST ERROR$'
    out_lines 1
    run 'providers, JSON' 0 providers --json
    json '.[0] == {providers: []}'
}

test_top() {
    run 'top without a terminal' 2 top
    out_is ''
    err_has 'top draws on a terminal, and this is none'
    run 'top of an order that is none' 2 top --sort nope
    err_has 'must be one of: state age rate bytes backend group id'
}

test_ephemeral() {
    local -x TMPDIR=$dir/tmp
    mkdir "$TMPDIR"
    LIONGATED=$daemon run ephemeral 0 --ephemeral demo
    out_has 'Agents Completed: +1'
    LIONGATED=$daemon run 'ephemeral program' 7 spawn-agent --ephemeral --exit-code -- sh -c 'exit 7'
    LIONGATED=/bin/false run 'no daemon to start' 3 --ephemeral status
    err_has 'cannot start a private daemon'
    same 'nothing is left' "$(ls -A "$TMPDIR")" ''
    test_ephemeral_killed
}

# A client that is killed leaves its directory behind: not its agent, and not for long.
test_ephemeral_killed() {
    local client other running
    # shellcheck disable=SC2016  # expanded by the script
    printf '#!/bin/sh\necho $$ "$@" >>"%s"\nexec "%s" "$@"\n' "$dir/started" "$daemon" >"$dir/liongated"
    chmod +x "$dir/liongated"
    LIONGATED=$dir/liongated background "$dir/ephemeral" --ephemeral spawn-agent -- \
        sh -c 'echo up; exec tail -f /dev/null'
    client=$!
    await "$dir/ephemeral" '^up$'
    LIONGATED=$daemon background "$dir/ephemeral2" --ephemeral spawn-agent -- \
        sh -c 'echo up; exec tail -f /dev/null'
    other=$!
    await "$dir/ephemeral2" '^up$'
    name='an ephemeral client is killed'
    kill -KILL $client
    wait $client 2>/dev/null
    running=$(cut -d ' ' -f 1 "$dir/started")
    tail --pid="$running" -s 0.1 -f /dev/null
    same 'no grace for its agents' "$(grep -c -e '--stop-grace=0' "$dir/started")" 1
    same 'directories, before' "$(find "$TMPDIR" -mindepth 1 -maxdepth 1 | wc -l)" 2
    mkdir -m 0755 "$TMPDIR/liongate-ephemeral-mode00"
    ln -s "$dir/state" "$TMPDIR/liongate-ephemeral-link00"
    LIONGATED=$daemon run 'the next one tidies up' 0 --ephemeral status
    same 'directories, after' "$(find "$TMPDIR" -mindepth 1 -maxdepth 1 | wc -l)" 3
    if [ -d "$dir/state/log" ]; then pass; else fail 'a link was followed'; fi
    kill -INT $other
    wait $other
    same 'what is alive goes on' $? 130
    rmdir "$TMPDIR/liongate-ephemeral-mode00"
    rm "$TMPDIR/liongate-ephemeral-link00"
    same 'nothing is left' "$(ls -A "$TMPDIR")" ''
}

test_completion() {
    local id ended
    offered 'commands' wa
    out_is 'wait
watch
'
    offered 'options' spawn-agent --de
    out_is '--detach
'
    offered 'event types' watch --type AgentC
    out_is 'AgentCompleted
'
    offered 'choices' spawn-agent --on-restart r
    out_is 'rerun
'
    offered 'methods' call daemon.s
    out_is 'daemon.status
'
    offered 'files' spawn-agent --prompt-file ''
    out_is ':files
'
    offered 'choices behind =' list --state=q
    out_is '--state=queued
'
    offered 'choices of a global option behind =' --color=a
    out_is '--color=auto
--color=always
'
    offered 'files behind =' spawn-agent --prompt-file=/tm
    out_is ':files
'
    offered 'options of the backend' spawn-agent --backend=exec --option lim
    out_has '^limits.memory_bytes=$'
    offered 'their values' spawn-agent -b exec --option=stdin=o
    out_is '--option=stdin=open
'
    offered 'options of another backend' spawn-agent -b mock --option st
    out_is ''
    ended=$(detached --prompt x --option chunks=0)
    "$ctl" wait "$ended" >/dev/null
    offered 'agents' show "${ended:0:12}"
    out_is "$ended
"
    offered 'agents of another daemon' "--socket=$dir/nowhere.sock" show "${ended:0:12}"
    out_is ''
    id=$(detached --prompt x --option delay_ms=60000)
    offered 'agents that can be cancelled' cancel ''
    out_has "^$id$"
    out_lacks "$ended"
    "$ctl" cancel "$id" >/dev/null

    err_empty
}

test_help
test_usage
test_liongated
test_unreachable
start_daemon
test_status
test_spawn
test_unfinished_line
test_exec
test_one_agent
test_prefixes
test_many_pages_of_output
test_list
test_cancel
test_send
test_events
test_replay
test_watch
test_terminal
test_interrupt
test_second_interrupt
test_signals
test_spawn_on_terminal
test_pipe
test_pipe_away
test_restart
test_pruned
test_demos
test_completion
test_messages_file
test_metrics
test_no_provider
test_top
test_replaced
test_ephemeral

if [ "$failed" -ne 0 ]; then
    echo 'What the daemon said:'
    tail -n 50 "$dir/daemon.log"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
