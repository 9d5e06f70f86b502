# What cztc-run needs of the machine it is copied to: the C library and its loader, symbols no newer
# than Debian 12's, and a plain x86-64, but for functions that are called after a look at the CPU.
#     sh needs.sh cztc-run STRIPPED
program=$1 stripped=$2
failed=0
miss() { echo "FAILED $*"; failed=$((failed + 1)); }

needed=$(readelf -d "$stripped" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ -n "$needed" ] || miss "readelf names no library at all"
for library in $needed; do
    case $library in
        libc.so.6 | libm.so.6 | ld-linux-x86-64.so.2) ;;
        *) miss "$library is needed" ;;
    esac
done
newest=$(objdump -T "$stripped" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
[ -n "$newest" ] || miss "objdump names no version of the C library"
[ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" = GLIBC_2.36 ] || miss "$newest is needed"
objdump -h "$stripped" | grep -q '\.debug_' && miss "it is not stripped"

# functions with instructions of AVX and later: those of the JPEG decoder have it in their names
wide=$(objdump -d --no-show-raw-insn "$program" |
    awk '/^[0-9a-f]+ <.*>:$/ { f = $2 } $2 ~ /^v[a-z]/ && $2 !~ /^ver/ { print f }' | sort -u)
echo "$wide" | grep -q '<tile_512>' || miss "objdump shows no instructions"
for function in $wide; do
    case $function in
        *avx2*) ;;
        "<tile_512>:" | "<tile_256>:") ;;                # runner/peak.c
        "<horizontal>:" | "<vertical>:" | "<column>:") ;; # runtime/resample_avx2.c
        *) miss "$function is not for any x86-64" ;;
    esac
done
echo "$(stat -c %s "$stripped") bytes, needs $newest and" $needed
exit $((failed != 0))
