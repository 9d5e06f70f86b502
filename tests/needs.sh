# What programs need of the machine they are copied to: the C library and its loader, symbols no
# newer than Debian 12's, and a plain x86-64, but for functions that are called after a look at the
# CPU. STRIPPED is cztc-run as it is copied.
#     sh needs.sh STRIPPED cztc-run gpu-check
stripped=$1
shift
failed=0
miss() { echo "FAILED $*"; failed=$((failed + 1)); }

# libraries and symbols
libraries() {
    needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    [ -n "$needed" ] || miss "$1: readelf names no library at all"
    for library in $needed; do
        case $library in
            libc.so.6 | libm.so.6 | ld-linux-x86-64.so.2) ;;
            *) miss "$1: $library is needed" ;;
        esac
    done
    newest=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
    [ -n "$newest" ] || miss "$1: objdump names no version of the C library"
    [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" = GLIBC_2.36 ] ||
        miss "$1: $newest is needed"
    echo "$1: $(stat -c %s "$1") bytes, needs $newest and" $needed
}

# functions with instructions of AVX and later: those of the JPEG decoder have it in their names
instructions() {
    wide=$(objdump -d --no-show-raw-insn "$1" |
        awk '/^[0-9a-f]+ <.*>:$/ { f = $2; n++ } $2 ~ /^v[a-z]/ && $2 !~ /^ver/ { print f }
             END { if (n < 100) print "one of " n + 0 }' | sort -u)
    IFS='
'
    for function in $wide; do
        case $function in
            *avx2*) ;;
            "<tile_512>:" | "<tile_256>:") ;;                 # runner/peak.c
            "<horizontal>:" | "<vertical>:" | "<column>:") ;; # runtime/resample_avx2.c
            *) miss "$1: $function is not for any x86-64" ;;
        esac
    done
    unset IFS
}

for program in "$@"; do
    libraries "$program"
    instructions "$program"
done
libraries "$stripped"
objdump -h "$stripped" | grep -q '\.debug_' && miss "$stripped is not stripped"
exit $((failed != 0))
