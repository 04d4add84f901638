# bash completion for liongatectl: all it knows it asks liongatectl for.
_liongatectl()
{
    local line part='' before glue=''
    local -a words=()
    # bash cuts words at '=': they are put together again, as liongatectl would get them.
    for part in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ( -n $glue || $part == = ) ]]; then
            words[-1]+=$part
        else
            words+=("$part")
        fi
        glue=
        [[ $part == = ]] && glue=1
    done
    # Only the part behind the last cut is replaced by what is offered.
    [[ $part == = ]] && part=
    before=${words[-1]%"$part"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r line; do
                COMPREPLY+=("$line")
            done < <(compgen -f -- "$part")
        else
            [[ $line == *[=.] ]] && compopt -o nospace 2>/dev/null
            COMPREPLY+=("${line#"$before"}")
        fi
    done < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2>/dev/null)
}
complete -F _liongatectl liongatectl
