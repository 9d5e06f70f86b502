// cztc pack: pictures, captions and labels into shards.
#include "cli/cli.h"
#include "runtime/pack.h"

#include <errno.h>
#include <sys/stat.h>

typedef struct Values {
    const char *from, *prefix, *caption;
    int64_t per_shard;
} Values;

static const Option options[] = {
    {"FROM", 0, OPTION_OPERAND, offsetof(Values, from), NULL,
     "a folder of pictures, or a CSV table with columns file and caption"},
    {"output", 'o', OPTION_TEXT, offsetof(Values, prefix), "PREFIX",
     "shards are PREFIX-00000.tar, PREFIX-00001.tar, .."},
    {"per-shard", 0, OPTION_COUNT, offsetof(Values, per_shard), "N", "samples in a shard (1000)"},
    {"caption", 0, OPTION_TEXT, offsetof(Values, caption), "TEXT",
     "of pictures without one; {} is the class"},
};

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Error err = {0};
    PackResult result;
    struct stat st;
    (void)cli;
    if (!v->prefix) {
        fprintf(stderr, "cztc pack: -o PREFIX is missing\n");
        return EXIT_USAGE;
    }
    if (stat(v->from, &st) != 0) return fail_text("%s: %s", v->from, strerror(errno));
    PackOptions o = {.prefix = v->prefix, .per_shard = v->per_shard, .caption = v->caption};
    bool ok = S_ISDIR(st.st_mode) ? pack_folder(v->from, &o, &result, &err)
                                  : pack_csv(v->from, &o, &result, &err);
    if (!ok) return fail(&err);
    printf("%lld samples in %lld shards, %lld classes\n", (long long)result.samples,
           (long long)result.shards, (long long)result.classes);
    return EXIT_OK;
}

const Command command_pack = {
    "pack",         "pack pictures, captions and labels into shards",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
