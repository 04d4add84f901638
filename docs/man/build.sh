#!/bin/sh
# Prints the manual page that SOURCE becomes, with the paragraphs that scdoc begins where there is no text put to where there
# is. mandoc -Tlint complains of each of the others.
# Usage: build.sh SCDOC SOURCE
set -eu

page=$("$1" <"$2")
printf '%s\n' "$page" | awk '
    /^\.P?P$/ { held = 1; next }
    /^\.RE/ { print; next }
    held && !/^\.S[HS] / && !behind_heading { print ".PP" }
    { print; held = 0; behind_heading = /^\.(SH|SS|TH) / }
'
