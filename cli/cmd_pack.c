// cztc pack: pictures, captions and labels into shards.
#include "cli/commands.h"
#include "runner/load.h"
#include "runtime/pack.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

typedef struct Values {
    const char *from, *prefix, *caption;
    int64_t per_shard, seed, threads;
    bool in_order, force, skip_bad, json;
} Values;

static const char doc[] =
    "pack pictures, captions and labels into shards\n"
    "\n"
    "A folder: every JPEG, PNG and WebP in it and below is a sample, its sub-folder of FROM is "
    "its\n"
    "class. Files with the picture's name up to the first dot belong to it: cat.jpg has the\n"
    "caption cat.txt and the labels cat.seg.png, cat.depth.npy.\n"
    "\n"
    "A table: column 'file' has the pictures, 'caption' the captions, 'class' names or numbers;\n"
    "every other column has the files of a label and is called like its field: 'seg'. Files are\n"
    "beside the table, empty cells are none.\n"
    "\n"
    "PREFIX-classes.json gets the class names and templates of prompts, for eval: {classes: ..}\n"
    "in the graph and cztc eval --classes.";

static const Option options[] = {
    {"FROM", 0, OPTION_OPERAND, offsetof(Values, from), NULL,
     "a folder of pictures (a sub-folder is a class), or a CSV table"},
    {"output", 'o', OPTION_TEXT, offsetof(Values, prefix), "PREFIX",
     "shards are PREFIX-00000.tar, PREFIX-00001.tar, .."},
    {"per-shard", 0, OPTION_NUMBER, offsetof(Values, per_shard), "N", "samples in a shard (1000)"},
    {"caption", 0, OPTION_TEXT, offsetof(Values, caption), "TEXT",
     "of pictures without one; {} is the class"},
    {"seed", 0, OPTION_COUNT, offsetof(Values, seed), "N", "of the random order (0)"},
    {"no-shuffle", 0, OPTION_FLAG, offsetof(Values, in_order), NULL,
     "keep the order of the paths, or of the table"},
    {"force", 0, OPTION_FLAG, offsetof(Values, force), NULL,
     "replace the shards of this prefix that are there"},
    {"skip-bad", 0, OPTION_FLAG, offsetof(Values, skip_bad), NULL,
     "leave out what cannot be read, and say so; else it is an error"},
    {"threads", 0, OPTION_THREADS, offsetof(Values, threads), "N", "that read (one a core)"},
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "warning: %s; left out\n", text);
}

// What asks for an end, less what this process was told to ignore (nohup).
static sigset_t stop_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction now;
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 3; i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, signals[i]);
    return set;
}

// The signals stay pending while packing: they end the process when they are unblocked, after all
// is tidy.
static bool stop(void *ctx)
{
    sigset_t pending, wanted = stop_signals();
    (void)ctx;
    sigpending(&pending);
    sigandset(&pending, &pending, &wanted);
    return !sigisemptyset(&pending);
}

static bool pack(const Values *v, PackResult *result, Error *err)
{
    struct stat st;
    if (stat(v->from, &st) != 0) return error_set(err, "%s: %s", v->from, strerror(errno));
    PackOptions o = {.prefix = v->prefix,
                     .per_shard = v->per_shard,
                     .caption = v->caption,
                     .shuffle = !v->in_order,
                     .seed = (uint64_t)v->seed,
                     .force = v->force,
                     .progress = true,
                     .skip_bad = v->skip_bad,
                     .threads = (uint32_t)v->threads,
                     .warn = warn,
                     .stop = stop};
    sigset_t set = stop_signals(), before;
    sigprocmask(SIG_BLOCK, &set, &before);
    bool ok = S_ISDIR(st.st_mode) ? pack_folder(v->from, &o, result, err)
                                  : pack_csv(v->from, &o, result, err);
    if (!ok && stop(NULL)) fail(err);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ok;
}

static void print(Arena *arena, const Values *v, const PackResult *r)
{
    const char *classes = r->classes ? str_printf(arena, "%s-classes.json", v->prefix) : NULL;
    if (v->json) {
        json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?}", "samples", (json_int_t)r->samples,
                              "skipped", (json_int_t)r->skipped, "shards", (json_int_t)r->shards,
                              "bytes", (json_int_t)r->bytes, "classes", (json_int_t)r->classes,
                              "classes_file", classes);
        json_line(o, stdout);
        json_decref(o);
        return;
    }
    printf("%lld samples in %lld shards, %lld classes, %sB, %lld skipped\n", (long long)r->samples,
           (long long)r->shards, (long long)r->classes, short_number(arena, (double)r->bytes),
           (long long)r->skipped);
    if (classes) printf("classes in %s\n", classes);
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Error err = {0};
    PackResult result;
    if (!v->prefix) return fail_usage("pack", "-o PREFIX is missing");
    if (!pack(v, &result, &err)) return fail(&err);
    print(cli->arena, v, &result);
    return EXIT_OK;
}

const Command command_pack = {
    "pack", doc, options, sizeof options / sizeof *options, sizeof(Values), run,
};
