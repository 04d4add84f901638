# shellcheck shell=bash
# bash completion for liongatectl: all it knows it asks liongatectl for.

# Takes a line apart as the shell would, but expands nothing: what stands in it is never run. Sets `words`, the last of
# which is being typed, and `inside`, the quote that it stands in. Fails where that is the target of a redirection.
__liongatectl_split()
{
    # Bytes are enough, and in a long line many times faster.
    local LC_ALL=C
    local rest=$1 word='' begun='' target='' char run
    words=() inside=
    while [[ -n $rest ]]; do
        case $inside in
        "'") run=${rest%%"'"*} ;;
        '"') run=${rest%%[\"\\]*} ;;
        *) run=${rest%%[$' \t\n<>\'"\\']*} ;;
        esac
        word+=$run rest=${rest:${#run}}
        char=${rest:0:1} rest=${rest:1}
        [[ -n $run ]] && begun=1
        [[ -z $char ]] && break
        case $inside$char in
        "'" | '"') inside=$char begun=1 ;;
        "''" | '""') inside= ;;
        \"\\)
            [[ $rest == [\$\`\"\\]* ]] || word+=$char
            word+=${rest:0:1} rest=${rest:1}
            ;;
        \\) word+=${rest:0:1} rest=${rest:1} begun=1 ;;
        [\<\>])
            [[ -n $begun && -z $target && $word != [0-9] ]] && words+=("$word")
            word='' begun='' target=1
            ;;
        [$' \t\n'])
            [[ -n $begun && -z $target ]] && words+=("$word")
            [[ -n $begun ]] && target=
            word='' begun=
            ;;
        esac
    done
    words+=("$word")
    [[ -z $target ]]
}

# Names of files that begin with $1. What stands before $2 in that is not replaced.
__liongatectl_files()
{
    local file before=${1%"$2"}
    compopt -o filenames
    while IFS= read -r file; do
        COMPREPLY+=("${file#"$before"}")
    done < <(compgen -f -- "$1")
}

# What stands behind the `--` is a command line of its own.
__liongatectl_command()
{
    local i=1
    while [[ ${COMP_WORDS[i]} != -- ]]; do
        ((++i < COMP_CWORD)) || return
    done
    ((++i))
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$i"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$i"
    elif ((i == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$1")
    else
        __liongatectl_files "$1" "$1"
    fi
}

# Adds the word $1 as it has to be written in the quote $2.
__liongatectl_offer()
{
    local word=$1
    case $2 in
    '"')
        # That is expanded there, whatever stands before it.
        [[ $word == *!* ]] && return
        word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//\$/\\\$} word=${word//\`/\\\`}
        ;;
    "'") word=${word//\'/\'\\\'\'} ;;
    *) [[ $word == *[!A-Za-z0-9_.,:/=@%+-]* ]] && printf -v word %q "$word" ;;
    esac
    COMPREPLY+=("$word")
}

_liongatectl()
{
    local inside typed part quote line
    local -a words before
    COMPREPLY=()
    # A text of many pages that was pasted would take bash seconds.
    ((COMP_POINT > 16384)) && return
    if ! __liongatectl_split "${COMP_LINE:0:COMP_POINT}"; then
        __liongatectl_files "${words[-1]}" "$2"
        return
    fi
    before=("${words[@]:1}") typed=${words[-1]} quote=$inside
    # bash replaces only what stands behind the last open quote, or the last of COMP_WORDBREAKS.
    __liongatectl_split "$quote$2"
    part=${words[-1]}
    compopt -o nosort
    while IFS= read -r line; do
        case $line in
        :files*) __liongatectl_files "${typed#"${line#*$'\t'}"}" "$part" ;;
        :command) __liongatectl_command "$typed" ;;
        *)
            line=${line%%$'\t'*}
            [[ $line == *[=.] ]] && compopt -o nospace
            __liongatectl_offer "${line#"${typed%"$part"}"}" "$quote"
            ;;
        esac
    done < <("${COMP_WORDS[0]}" --complete "${before[@]}" 2>/dev/null)
}
complete -F _liongatectl liongatectl
