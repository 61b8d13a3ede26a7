# Prints each line of a page's blocks of commands, behind its heading and the block's number below that
# heading. A block is indented by four blanks, or fenced as `sh`.
/^```/ { sh = !fence && /^```(sh|bash)$/; fence = !fence; open = 0; number += sh; next }
fence { if (sh) print heading "\t" number "\t" $0; next }
/^#+ / { heading = $0; sub(/^#+ /, "", heading); number = 0; open = 0; blank = 0; next }
/^    / && (open || blank) {
    if (!open) { open = 1; number++; match($0, /^ +/); indent = RLENGTH }
    print heading "\t" number "\t" substr($0, indent + 1)
    next
}
{ open = 0; blank = /^$/ }
