# For tests of the cache. hit ARGUMENTS: compile, and the step came from the cache; fresh: it was made
# anew. entries: how many steps there are in $steps.
cached() {
    from=$1
    shift
    exits 0 "$CZTC" compile "$@" --json
    says out "\"cached\": $from"
}
hit() { cached true "$@"; }
fresh() { cached false "$@"; }
entries() { ls "$steps" | wc -l; }
