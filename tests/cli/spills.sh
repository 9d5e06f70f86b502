# The graphs of graphs/ at the size of their check: block, compiled for a GPU: no kernel runs out of
# registers so far that it matters. What a thread spills it writes and reads again at every point.
. "$(dirname "$0")/common.sh"
limit=64 # bytes a thread

for graph in "$SOURCE"/graphs/*.yaml; do
    "$CZTC" compile "$graph" --check --target cuda:sm_90a -o step.czt >out 2>err || {
        grep -q "NVRTC is not installed" err && echo "skipped: no NVRTC" && exit 0
        miss "$graph for a GPU: $(head -3 err)"
        continue
    }
    grep -q "registers" out || miss "$graph: nothing is said of registers"
    worst=$(sed -n 's/.* spill, most \(.*\): \([0-9]*\) bytes$/\2 \1/p' out)
    echo "$(basename "$graph"): ${worst:-nothing spilled}"
    [ "${worst%% *}" -le $limit ] 2>/dev/null || [ -z "$worst" ] || miss "$graph spills $worst"
done
exit $((failed != 0))
