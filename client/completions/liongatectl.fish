# fish completion for liongatectl: all it knows it asks liongatectl for.
function __liongatectl_complete
    set -l token (commandline -ct)
    set -l words (commandline -opc) $token
    set -l before (string match -r -- '^--[^=]+=' $token)
    for candidate in (command $words[1] --complete $words[2..-1] 2>/dev/null)
        if test "$candidate" = :files
            for path in (__fish_complete_path (string replace -r -- '^--[^=]+=' '' $token))
                echo "$before$path"
            end
        else
            echo $candidate
        end
    end
end
complete -c liongatectl -f -a '(__liongatectl_complete)'
