#!/bin/sh
# What wants a GPU. On the machine that builds, with or without one:
#   tests/gpu.sh prepare DIR [ARCHITECTURES]   step files, recorded results and portable programs
#                                              into DIR (architectures: sm_90a)
# On a machine with a GPU and nothing else, from a copy of DIR (each under 8 minutes: what would
# begin later is left out, and what still runs then is ended):
#   DIR/gpu.sh check      recorded results of every kernel form, losses against PyTorch's recorded
#                         ones, and both under compute-sanitizer where it is installed
#   DIR/gpu.sh bench      a step of each benchmark; beside PyTorch, alternated, where there is one
#   DIR/gpu.sh autotune   each benchmark with every way of doing products, and its slowest kernels
# Failures are printed as lines that begin with FAILED, and give exit code 1. Environment:
#   BUILD   the build folder of prepare (build)
#   BENCH   benchmarks to prepare ("tiny small base"), or paths of graph files
#   ONLY    prefix of the recorded cases to prepare (all)
#   STEPS   timed steps of a run (20)    ROUNDS  how often bench alternates (2)
#   SECONDS_MOST  of check, bench or autotune (460)
set -u
here=$(cd "$(dirname "$0")" && pwd)
failed=0
miss() { echo "FAILED $*"; failed=$((failed + 1)); }
began=$(date +%s)
# Seconds that are left, MOST of them at most; 1 where there are none.
left() {
    seconds=$((began + ${SECONDS_MOST:-460} - $(date +%s)))
    [ $seconds -ge 1 ] || seconds=1
    [ $seconds -le "${1:-$seconds}" ] || seconds=$1
    echo $seconds
}
# No time is left for WHAT, and that is told.
late() { [ "$(left)" -lt 5 ] && echo "  no time is left for $*"; }

prepare() {
    root=$(cd "$here/.." && pwd) out=$1 archs=${2:-sm_90a} build=${BUILD:-$root/build}
    [ -x "$build/gpu-check" ] || { echo "$build: build there first, or set BUILD" >&2; exit 1; }
    mkdir -p "$out/cases" "$out/bench" || exit 1
    cp "$build/runner/cztc-run" "$build/gpu-check" "$here/gpu.sh" "$root/tests/bench/torch_step.py" \
        "$root/tests/data/micro/case.safetensors" "$root/tests/data/micro/losses.json" "$out" || exit 1
    echo "recording cases"
    CZT_RECORD=$out/cases CZT_RECORD_TARGET=cuda:$archs CZT_ONLY=${ONLY:-} \
        "$build/tests/unit_cuda" --filter 'record/*' -j2 >"$out/record.log" 2>&1 ||
        { tail -5 "$out/record.log"; miss "cases could not be recorded"; exit 1; }
    ls "$out"/cases/*.czt >/dev/null 2>&1 || { miss "no case begins with '${ONLY:-}'"; exit 1; }
    sizes="batch=4 size=64 patch=8 width=96 layers=2 heads=3 context=32 vocab=512 text_width=32
           text_layers=2 text_heads=2 embed=128 lab=32 classes=21"
    set --
    for s in $sizes; do set -- "$@" --set "$s"; done
    for precision in f32 bf16; do
        echo "compiling the case of PyTorch's losses in $precision"
        "$build/cztc" compile "$root/graphs/bench/tiny.yaml" "$@" --set precision=$precision \
            --target "cuda:$archs" -o "$out/losses-$precision.czt" >/dev/null || miss "losses-$precision"
    done
    for graph in ${BENCH:-tiny small base}; do
        case $graph in
        */*) file=$graph name=$(basename "$graph" .yaml) ;;
        *) file=$root/graphs/bench/$graph.yaml name=$graph ;;
        esac
        echo "compiling $name"
        "$build/cztc" compile "$file" --set precision=bf16 \
            --target "cuda:$archs" -o "$out/bench/$name.czt" >"$out/compile.log" || miss "$name"
        sed -n 's/^\(kernels\|memory\|code\)/  \1/p' "$out/compile.log"
    done
}

# The number behind "KEY": in the last line of a file of JSON lines.
field() { sed -n "s/.*\"$2\": *\([-0-9.e+]*\).*/\1/p" "$1" | tail -1; }

# Both within a share of each other.
near() { awk -v a="$1" -v b="$2" -v e="$3" 'BEGIN { d = a - b; exit !(d * d <= e * e * b * b) }'; }

losses() {
    precision=$1 allowed=$2
    wanted=$(tr -d '[],' <"$here/losses.json")
    set -- $wanted
    timeout "$(left)" "$here/cztc-run" run "$here/losses-$precision.czt" --weights "$here/case.safetensors" \
        --inputs "$here/case.safetensors" --steps $# --json >"$work/losses" 2>"$work/err" ||
        { cat "$work/err"; miss "the step in $precision"; return; }
    for want in "$@"; do
        got=$(sed -n 's/.*"loss": *\([-0-9.e+]*\).*/\1/p' "$work/losses" | sed -n 1p)
        sed -i 1d "$work/losses"
        near "${got:-nan}" "$want" "$allowed" || miss "loss in $precision: $got, PyTorch has $want"
    done
    echo "losses in $precision: $# updates within $allowed of PyTorch's"
}

# "$@" on every case, several processes at once; their failures, and one line of sums.
cases() {
    jobs=$(($(nproc) / 2)) j=0
    [ $jobs -le 8 ] || jobs=8
    rm -f "$work"/cases.* "$work"/failed.*
    while [ $j -lt $jobs ] || [ $j -eq 0 ]; do
        (
            IFS='
'
            list=$(ls "$here"/cases/*.czt | awk -v n="$jobs" -v j=$j 'n < 1 || NR % n == j')
            [ -z "$list" ] || "$@" $list || echo $? >"$work/failed.$j"
        ) >"$work/cases.$j" 2>&1 &
        j=$((j + 1))
    done
    wait
    cat "$work"/cases.* | grep -v '^[0-9]* cases, '
    cat "$work"/cases.* | sed -n 's/, / /g; s/^\([0-9]*\) cases \([0-9]*\) entries \([0-9]*\) .*: /\1 \2 \3 /p' |
        awk '{ c += $1; e += $2; t += $3; if ($4 > w) w = $4 }
            END { printf "%d cases, %d entries, %d tensors; largest difference where one is allowed: %g\n", c, e, t, w
                  exit c == 0 }' || return 1
    ! cat "$work"/failed.* 2>/dev/null | grep -q .
}

check() {
    cases timeout "$(left)" "$here/gpu-check" || failed=$((failed + 1))
    echo "products by cuBLASLt"
    cases timeout "$(left)" "$here/gpu-check" --products library || failed=$((failed + 1))
    losses f32 1e-5
    losses bf16 1e-2
    if command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck; do
            late "compute-sanitizer $tool" && continue
            echo "compute-sanitizer $tool"
            cases timeout "$(left 150)" compute-sanitizer --tool $tool --error-exitcode 9 "$here/gpu-check" \
                >"$work/sanitizer" && tail -1 "$work/sanitizer" && continue
            if cat "$work"/failed.* | grep -qv 124; then
                tail -20 "$work/sanitizer"
                miss "compute-sanitizer $tool: exit code $(cat "$work"/failed.* | sort -u | tr '\n' ' ')"
            else
                echo "  it did not finish in its time"
            fi
        done
    else
        echo "skipped: compute-sanitizer is not installed"
    fi
}

has_torch() { python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }

# A run of ours or of PyTorch appends a JSON line to a file of its own.
ours() {
    late "$1" && return
    timeout "$(left)" "$here/cztc-run" bench "$here/bench/$1.czt" --steps "${STEPS:-20}" --json \
        >>"$work/$1.ours" 2>"$work/err" || { tail -2 "$work/err"; miss "bench $1"; }
}
theirs() {
    late "PyTorch ${2:-eager} on $1" && return
    timeout "$(left 240)" python3 "$here/torch_step.py" --config "$1" --device cuda --dtype bfloat16 \
        --steps "${STEPS:-20}" ${2:+--compile $2} >>"$work/$1.torch-${2:-eager}" 2>"$work/err" ||
        { tail -1 "$work/err"; echo "  PyTorch ${2:-eager} did not run $1"; }
}
median() {
    sed -n 's/.*"step_s": *\([-0-9.e+]*\).*/\1/p' "$1" 2>/dev/null | sort -g |
        awk '{ x[NR] = $1 } END { if (NR) print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2 }'
}

bench() {
    modes=
    has_torch && modes="eager default max-autotune" || echo "skipped: no PyTorch with a GPU here"
    for file in "$here"/bench/*.czt; do
        name=$(basename "$file" .czt)
        round=0
        while [ $round -lt "${ROUNDS:-2}" ]; do
            ours "$name"
            for mode in $modes; do
                [ "$mode" = eager ] && theirs "$name" || theirs "$name" "$mode"
            done
            round=$((round + 1))
        done
    done
    printf '\n%-8s %-22s %10s %12s %10s\n' graph run 'ms a step' 'over cztc' MiB
    for file in "$here"/bench/*.czt; do
        name=$(basename "$file" .czt) mine=$(median "$work/$name.ours")
        row "$name" cztc "$work/$name.ours" device_mib "$mine"
        for mode in $modes; do row "$name" "torch $mode" "$work/$name.torch-$mode" peak_mib "$mine"; done
    done
    cat "$work"/*.ours | sed -n 's/.*"device": *"\([^"]*\)".*/on \1/p' | sort -u
}
row() {
    [ -s "$3" ] || return
    awk -v g="$1" -v r="$2" -v s="$(median "$3")" -v m="$(field "$3" "$4")" -v o="$5" \
        'BEGIN { printf "%-8s %-22s %10.3f %12.2f %10d\n", g, r, s * 1000, o ? s / o : 0, m }'
}

autotune() {
    printf '%-8s %-10s %10s\n' graph products 'ms a step'
    for file in "$here"/bench/*.czt; do
        name=$(basename "$file" .czt)
        for products in own library auto measured; do
            late "$name, products $products" && continue
            timeout "$(left)" "$here/cztc-run" bench "$file" --steps "${STEPS:-20}" \
                --products $products --json >"$work/$name.$products" 2>"$work/err" ||
                { tail -1 "$work/err"; miss "$name, products $products"; continue; }
            awk -v g="$name" -v p=$products -v s="$(median "$work/$name.$products")" \
                'BEGIN { printf "%-8s %-10s %10.3f\n", g, p, s * 1000 }'
        done
        late "the kernels of $name" && continue
        timeout "$(left)" "$here/cztc-run" bench "$file" --steps 3 --profile 2>&1 >/dev/null | sed -n '1,40p; $p'
    done
}

usage() {
    sed -n '2,/^set -u/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
}

case ${1:-} in
prepare) [ $# -ge 2 ] || usage; prepare "$2" "${3:-}" ;;
check | bench | autotune)
    [ -x "$here/cztc-run" ] || { echo "$here is not what 'tests/gpu.sh prepare' makes" >&2; exit 2; }
    work=$(mktemp -d) || exit 1
    trap 'rm -rf "$work"' EXIT
    $1 ;;
*) usage ;;
esac
[ $failed -eq 0 ] || echo "$failed failures"
exit $((failed != 0))
