# A full disk, for every file that a command writes: one message that names the file, exit code 1, what was
# there before stays, no temporary is left. A limit on file sizes fails write(2) as a full disk does; where a
# small file system may be mounted, a run goes onto a disk that really is full.
. "$(dirname "$0")/common.sh"

# limited BLOCKS COMMAND...: no file may grow beyond so many 512-byte blocks
limited() { sh -c 'ulimit -f $1 && shift && exec "$@"' limited "$@"; }
no_temporaries() { [ -z "$(find "$1" -name '*.tmp*')" ] || miss "left: $(find "$1" -name '*.tmp*')"; }
# one_message FILE: err has one line of error, and it names the file
one_message() {
    says err "error: $1"
    [ "$(grep -c error err)" -eq 1 ] || miss "not one message: $(cat err)"
}
# twice FILE COMMAND...: the command writes the file; where it cannot, the file is as before, or not there
twice() {
    file=$1
    shift
    for blocks in 1 9; do
        exits 1 limited $blocks "$@"
        one_message "$file"
        [ -e "$file" ] && miss "half of $file"
    done
    exits 0 "$@"
    cp "$file" kept
    for blocks in 1 9; do
        exits 1 limited $blocks "$@"
        one_message "$file"
        same "$file" kept
    done
    no_temporaries .
}

cat >grads.ir <<END
program "grads" batch=4 steps=1 seed=0
entry "step" {
  %x = input {name="x"} : f32[4b, 512]
  %two = add %x, %x
  output "grad.x" %two
}
END
twice vit.czt "$CZTC" compile "$SOURCE/tests/corpus/vit_block.ir" -o vit.czt
twice vit "$CZTC" compile "$SOURCE/tests/corpus/vit_block.ir" -o vit
twice grads.safetensors "$CZTC" run grads.ir --grads grads.safetensors

# a run's own step file, when it begins
pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
exits 0 "$CZTC" compile small.yaml -o small.czt
exits 1 limited 1 "$CZTC" train small.czt --out begun
one_message begun/step.czt
no_temporaries begun

# the log: the run stops at the line that finds no room, and goes on once there is some
plain() { sed -e '/"note"/d' -e 's/, "pairs\/s".*/}/' "$1"; }
exits 0 "$CZTC" train small.czt --out whole --steps 12 --checkpoint-every 1000
exits 0 "$CZTC" train small.czt --out part --steps 5 --checkpoint-every 1000
cp -r part disk-part
printf '{"note": "%020000d"}\n' 0 >>part/log.jsonl
cp part/log.jsonl kept
size=$(wc -c <part/log.jsonl)
exits 1 limited $((size / 512 + 2)) "$CZTC" train --resume part --steps 12 --checkpoint-every 1000
one_message part/log.jsonl
[ "$(wc -c <part/log.jsonl)" -gt "$size" ] || miss "no line was written at all"
[ "$(tail -c 1 part/log.jsonl | od -An -c | tr -d ' ')" = '\n' ] || miss "the log ends with half a line"
head -c "$size" part/log.jsonl >begin
same begin kept
exits 0 "$CZTC" train --resume part --steps 12
plain whole/log.jsonl >whole.log
plain part/log.jsonl >part.log
same whole.log part.log
no_temporaries part

# the same on a full disk; who mounts it sees it alone, so one shell does all of it
mkdir disk
cat >on_disk.sh <<'END'
mount -t tmpfs -o size=64m none disk || exit 99
cp -a disk-part disk/part
cat /dev/zero >disk/fill 2>/dev/null
truncate -s -"$2" disk/fill
"$1" train --resume disk/part --steps 100000 --checkpoint-every 100000 && exit 98
[ -n "$(find disk/part -name '*.tmp*')" ] && exit 97
cp disk/part/log.jsonl stopped.jsonl && rm disk/fill
"$1" train --resume disk/part --steps 12 --checkpoint-every 100 2>goes_on && cp disk/part/log.jsonl disk.jsonl
END
for left in 4k 8k; do
    unshare -rm sh on_disk.sh "$CZTC" $left >out 2>err
    code=$?
    [ $code -eq 99 ] || [ $code -eq 127 ] && echo "SKIPPED: no file system may be mounted here" && break
    [ $code -eq 0 ] || miss "a disk with $left: exit code $code: $(cat err goes_on)"
    one_message disk/part/
    grep -q "error: disk/part/.*No space left" err || miss "$(cat err)"
    plain disk.jsonl >disk.log
    same whole.log disk.log
done

exit $((failed != 0))
