# bash completion for liongatectl: all it knows it asks liongatectl for.
_liongatectl()
{
    local line
    local -a words
    words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames
            while IFS= read -r line; do
                COMPREPLY+=("$line")
            done < <(compgen -f -- "${words[-1]}")
        else
            COMPREPLY+=("$line")
        fi
    done < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)
}
complete -F _liongatectl liongatectl
