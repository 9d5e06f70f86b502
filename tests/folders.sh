# Which folder includes which: the table of docs/internals.md, held against the #include lines.
#     sh folders.sh SOURCE
cd "$1" || exit 1
failed=0
rules=$(sed -n '/^| folder | may include/,/^$/p' docs/internals.md | grep '^| `')
folders=$(echo "$rules" | sed 's/^| `\([a-z]*\).*/\1/')
for folder in $folders; do
    may=$(echo "$rules" | grep "^| \`$folder/" | cut -d'|' -f3 | sed 's/:.*//')
    [ "$may" = " all " ] && continue
    for file in "$folder"/*.[ch]; do
        for other in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
            [ "$other" = "$folder" ] && continue
            case $may in *"\`$other\`"*) ;; *)
                echo "FAILED $file includes $other/, $folder/ may not"
                failed=$((failed + 1)) ;;
            esac
        done
    done
done
[ "$(echo "$folders" | wc -l)" -ge 8 ] || { echo "FAILED the table was not found"; failed=1; }
exit $((failed != 0))
