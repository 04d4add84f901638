# fish completion for liongatectl: all it knows it asks liongatectl for.
function __liongatectl_complete
    set -l words (commandline -opc) (commandline -ct)
    for candidate in (command $words[1] --complete $words[2..-1] 2>/dev/null)
        if test "$candidate" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $candidate
        end
    end
end
complete -c liongatectl -f -a '(__liongatectl_complete)'
