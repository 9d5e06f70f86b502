# The preset portable, configured and built from nothing: cztc-run and gpu-check, and what they need.
#     sh portable.sh SOURCE FOLDER
rm -rf "$2" && mkdir -p "$2" && cd "$1" || exit 1
cmake --preset portable -B "$2" >"$2/log" 2>&1 || {
    tail -5 "$2/log"
    exit 1
}
cmake --build "$2" -j "$(nproc)" >"$2/log" 2>&1 || {
    grep -A5 'FAILED' "$2/log" | head -20
    exit 1
}
"$2/runner/cztc-run" --version || exit 1
ctest --test-dir "$2" --output-on-failure --no-tests=error
