# What the tests of the program share: CZTC and SOURCE are its arguments, the working directory is
# empty and its own. A failed expectation is printed, and counted for the exit code.
CZTC=$1 SOURCE=$2
rm -rf "$3" && mkdir -p "$3" && cd "$3" || exit 1
XDG_CACHE_HOME=$PWD/cache
export XDG_CACHE_HOME
failed=0
trap '[ $failed -eq 0 ] || exit 1' EXIT # whatever the script ends with

miss() { echo "FAILED $*"; failed=$((failed + 1)); }
# exits CODE COMMAND...: run it, keep its output in out and err
exits() {
    want=$1
    shift
    "$@" >out 2>err
    code=$?
    [ $code -eq "$want" ] || { miss "$*: exit code $code, not $want"; head -5 err; }
}
# says FILE TEXT: a file of output has a line with the text
says() { grep -qF -e "$2" "$1" || { miss "'$2' is not in $1:"; head -5 "$1"; }; }
same() { cmp -s "$1" "$2" || miss "$1 and $2 differ"; }

# Twelve pictures in three classes with captions, as shards PREFIX-00000.tar.
pictures() {
    images=$SOURCE/tests/data/runtime/images
    for class in photo drawing chart; do
        mkdir -p "pictures/$class"
        for n in 1 2 3 4; do
            case $n in 1) from=photo.jpg ;; 2) from=rgb.png ;;
                3) from=lossy.webp ;; 4) from=gray.jpg ;; esac
            cp "$images/$from" "pictures/$class/$n.${from##*.}"
            echo "$class number $n" >"pictures/$class/$n.txt"
        done
    done
    exits 0 "$CZTC" pack pictures -o "$1"
    says out "12 samples in 1 shards, 3 classes"
}
