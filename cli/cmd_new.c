// cztc new: a graph file to start from.
#include "base/file.h"
#include "cli/assets.h"
#include "cli/commands.h"
#include "cli/new_graph.h"
#include "frontend/frontend.h"

#include <limits.h>
#include <unistd.h>

typedef struct Values {
    const char *file, *model, *experts, *data;
    int64_t size, patch, batch, context, steps;
    bool force;
} Values;

static const char doc[] =
    "write a graph file to start from\n"
    "\n"
    "An image and a text encoder, the contrastive loss, and experts for the labels that are named\n"
    "or found, with a comment on every line that matters. Without options, on a terminal, it asks.";

static const Option options[] = {
    {"NAME.yaml", 0, OPTION_OPERAND, offsetof(Values, file), NULL, "the file to write"},
    {"data", 0, OPTION_TEXT, offsetof(Values, data), "SHARDS",
     "dir/train-{0000..0003}.tar, or a folder; where they are there, their members become fields"},
    {"experts", 0, OPTION_TEXT, offsetof(Values, experts), "A,B",
     "labels to learn: seg, depth, or NAME:ROLE; none; default: all that the shards have"},
    {"model", 0, OPTION_TEXT, offsetof(Values, model), "M",
     "tiny, small, base, resnet50, mobileclip (small)"},
    {"image-size", 0, OPTION_NUMBER, offsetof(Values, size), "N", "pixels each way (the model's)"},
    {"patch", 0, OPTION_NUMBER, offsetof(Values, patch), "N", "pixels of a patch (the model's)"},
    {"batch", 0, OPTION_NUMBER, offsetof(Values, batch), "N", "samples of a step (the model's)"},
    {"context", 0, OPTION_NUMBER, offsetof(Values, context), "N",
     "tokens of a caption (the model's)"},
    {"steps", 0, OPTION_NUMBER, offsetof(Values, steps), "N", "updates (the model's)"},
    {"force", 0, OPTION_FLAG, offsetof(Values, force), NULL, "replace a file that is there"},
};

static const char default_model[] = "small";

// ---- questions ----------------------------------------------------------------------------------

// An answer from the terminal; `otherwise` where it is empty.
static const char *ask(Arena *arena, const char *question, const char *otherwise)
{
    char line[4096];
    printf("%s%s%s%s ", question, *otherwise ? " [" : "", otherwise, *otherwise ? "]:" : ":");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) {
        putchar('\n');
        return otherwise;
    }
    const char *begin = line + strspn(line, " \t");
    size_t n = strcspn(begin, "\r\n");
    while (n && (begin[n - 1] == ' ' || begin[n - 1] == '\t')) n--;
    return n ? str_slice(arena, begin, n) : otherwise;
}

// The same, a whole number from 1 up.
static int64_t ask_number(NewGraph *g, const char *question, const char *value)
{
    for (;;) {
        int64_t x = new_number(ask(g->arena, question, map_get(&g->values, value)));
        if (x) return x;
        printf("a whole number, please\n");
    }
}

static void ask_all(NewGraph *g, Values *v)
{
    Error err = {0};
    v->data = ask(g->arena, "Shards, as dir/train-{0000..0009}.tar or a folder (none yet)", "");
    if (!*v->data) v->data = NULL;
    if (v->data && !members_look(g->arena, v->data, &g->look, &err))
        printf("not looked at: %s\n", err.text);
    do
        v->model =
            ask(g->arena, str_printf(g->arena, "Model: %s", new_models(g->arena)), default_model);
    while (!new_model(g, v->model));
    v->size = ask_number(g, "Pixels of a picture, each way", "size");
    v->batch = ask_number(g, "Samples of a step", "batch");
    v->steps = ask_number(g, "Updates", "steps");
    const char *found = new_found(g);
    v->experts =
        ask(g->arena, "Experts: labels to learn, as seg,depth; or none", *found ? found : "none");
}

// ---- the file -----------------------------------------------------------------------------------

static void set_number(NewGraph *g, const char *name, int64_t x)
{
    if (x) map_set(g->arena, &g->values, name, str_printf(g->arena, "%lld", (long long)x));
}

// Shards as the file says them: paths begin at its folder.
static const char *source(Arena *arena, const Values *v)
{
    if (!v->data) return "shards/train-{0000..0099}.tar # yours: `cztc pack` makes them";
    char here[PATH_MAX];
    bool moved = strchr(v->file, '/') && *v->data != '/' && getcwd(here, sizeof here);
    return yaml_text(arena, moved ? str_printf(arena, "%s/%s", here, v->data) : v->data);
}

static bool write_file(const NewGraph *g, bool force, Error *err)
{
    const char *text = new_text(g);
    FileWriter w;
    if (!force && access(g->file, F_OK) == 0)
        return error_set(err, "%s is there already: --force replaces it", g->file);
    if (!file_create(&w, g->arena, g->file, 0666, err)) return false;
    if (file_put(&w, text, strlen(text), err)) return file_commit(&w, err);
    file_cancel(&w);
    return false;
}

// What was written must be right; where it is not, the reader is told as of any other graph.
static bool check(Cli *cli, const char *file, Error *err)
{
    Diag *diag = diag_new(cli->arena);
    FrontendOptions o = {.lib_dir = assets_library(cli->arena, err)};
    if (!o.lib_dir) return false;
    if (!frontend_load(cli->arena, diag, file, &o)) error_set(err, "%s is not right yet", file);
    diag_print(diag, stderr);
    return !err->set;
}

static void print(const NewGraph *g, const Values *v)
{
    if (g->look.samples) {
        printf("%s: in %lld samples\n", g->look.shard, (long long)g->look.samples);
        for (uint32_t i = 0; i < g->look.members.n; i++) {
            const MemberLook *m = &g->look.members.at[i];
            printf("  %-20s %-10s in %lld\n", m->extension, m->role ? m->role : "not read",
                   (long long)m->samples);
        }
    }
    printf("%s is written%s\n", g->file, v->data ? "" : "; its source is yours to fill in");
    printf("cztc check %s sums it up, cztc data %s -o page.html shows samples\n", g->file, g->file);
}

static bool is_yaml(const char *file)
{
    size_t n = strlen(file);
    return n > 5 && strcmp(file + n - 5, ".yaml") == 0 && file[n - 6] != '/';
}

// No option at all, and somebody to ask.
static bool asks(const Values *v)
{
    return !v->model && !v->experts && !v->data && !v->size && !v->patch && !v->batch &&
           !v->context && !v->steps && isatty(STDIN_FILENO);
}

static void look(NewGraph *g, const Values *v)
{
    Error err = {0};
    if (!v->data || g->look.samples || members_look(g->arena, v->data, &g->look, &err)) return;
    fprintf(stderr, "warning: --data: %s; nothing was looked at\n", err.text);
    g->look = (ShardLook){0};
}

static int run(Cli *cli, const void *values)
{
    Values v = *(const Values *)values;
    NewGraph g = {.arena = cli->arena, .file = v.file};
    Error err = {0};
    if (!is_yaml(v.file))
        return fail_usage("new", str_printf(cli->arena, "'%s' does not end in .yaml", v.file));
    if (!v.force && access(v.file, F_OK) == 0)
        return fail_text("%s is there already: --force replaces it", v.file);
    if (asks(&v)) ask_all(&g, &v);
    if (!new_model(&g, v.model ? v.model : default_model))
        return fail_usage(
            "new", str_printf(cli->arena, "--model '%s': %s", v.model, new_models(cli->arena)));
    look(&g, &v);
    set_number(&g, "size", v.size);
    set_number(&g, "patch", v.patch);
    set_number(&g, "batch", v.batch);
    set_number(&g, "context", v.context);
    set_number(&g, "steps", v.steps);
    g.experts = v.experts;
    map_set(cli->arena, &g.values, "file", (void *)v.file);
    map_set(cli->arena, &g.values, "source", (void *)source(cli->arena, &v));
    if (!new_choose(&g, &err)) return fail_usage("new", err.text);
    if (!write_file(&g, v.force, &err) || !check(cli, v.file, &err)) return fail(&err);
    print(&g, &v);
    return EXIT_OK;
}

const Command command_new = {
    "new", doc, options, sizeof options / sizeof *options, sizeof(Values), run,
};
