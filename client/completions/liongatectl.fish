# fish completion for liongatectl: all it knows it asks liongatectl for.

# The word that is being typed, without its quotes. Nothing in it is expanded.
function __liongatectl_word
    set -l token (commandline -ct)
    # A quote that is still open is closed.
    for end in '' '"' "'"
        string unescape -- $token$end && return
    end
    echo -- $token
end

function __liongatectl_complete
    set -l words (commandline -opc)
    set -l word (__liongatectl_word)
    for line in (command $words[1] --complete $words[2..-1] "$word" 2>/dev/null)
        switch $line
            case ':files*'
                set -l before (string replace -r '^[^\t]*\t' '' -- $line)
                for path in (__fish_complete_path (string sub -s (math (string length -- "$before") + 1) -- $word))
                    printf '%s%s\n' $before $path
                end
            case :command
                set -l dashes (contains -i -- -- $words)
                complete -C (string join ' ' -- (string escape -- $words[(math $dashes + 1)..-1]) (commandline -ct))
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c liongatectl -f -k -a '(__liongatectl_complete)'
