// cztc describe: what a step takes and gives.
#include "runner/load.h"

typedef struct Values {
    const char *file;
    Source source;
    bool json;
} Values;

static const Option options[] = {
    FILE_OPERANDS(Values),
    SOURCE_OPTIONS(Values),
    CACHE_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL,
     "print one JSON object, with every tensor of the state"},
};

enum { COLUMN = 12, WIDTH = 100 };

// The words of a list, in lines that begin at a column.
static void print_words(const json_t *words)
{
    size_t i, at = COLUMN;
    const json_t *word;
    json_array_foreach(words, i, word)
    {
        size_t n = json_string_length(word) + 1;
        if (i && at + n > WIDTH) printf("\n%*s", COLUMN - 1, ""), at = COLUMN;
        printf(" %s", json_string_value(word));
        at += n;
    }
    putchar('\n');
}

static void print_target(const Step *step)
{
    const json_t *target = json_object_get(step->manifest, "target");
    const char *arch = json_string_value(json_object_get(target, "arch")),
               *cpu = json_string_value(json_object_get(target, "cpu"));
    const json_t *features = json_object_get(target, "features");
    printf("%-*s%s%s%s", COLUMN, "target", arch, cpu ? ", " : "", cpu ? cpu : "");
    size_t i;
    json_t *image;
    json_array_foreach(json_object_get(target, "images"), i, image)
        printf("%s%s", i ? ", " : ": ", json_string_value(image));
    putchar('\n');
    if (!json_array_size(features)) return;
    printf("%-*s", COLUMN - 1, "needs");
    print_words(features);
}

static void print_state(Arena *arena, const Step *step)
{
    int64_t parameters = 0;
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i];
        if (t->kind == CZT_PARAM) parameters += t->bytes / czt_dtype_size(t->dtype);
    }
    printf("%-*s%sB in %u tensors; parameters %s\n", COLUMN, "state",
           short_number(arena, (double)step->state_bytes), step->nstate,
           short_number(arena, (double)parameters));
}

static void print_tensors(Arena *arena, const char *what, const CztTensor *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        printf("  %-*s%-32s %s\n", COLUMN - 2, what, at[i].name,
               tensor_text(arena, at[i].dtype, at[i].rank, at[i].shape));
}

static void print_shapes(const Step *step)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(json_object_get(step->manifest, "train"), "shapes"), i, row)
    {
        double weight = json_number_value(json_object_get(row, "weight"));
        const char *text = json_string_value(json_object_get(row, "text")),
                   *suffix = json_string_value(json_object_get(row, "suffix"));
        printf("%-*s%s", COLUMN, i ? "" : "shapes", text ? text : "?");
        if (weight != 1) printf(", weight %g", weight);
        printf(" (step%s)\n", suffix ? suffix : "?");
    }
}

static void print(Arena *arena, const Step *step)
{
    printf("%-*s%s\n", COLUMN, "name", step->name);
    printf("%-*s%lld\n%-*s%lld\n", COLUMN, "batch", (long long)step->batch, COLUMN, "seed",
           (long long)step->seed);
    if (step->steps) printf("%-*s%lld\n", COLUMN, "steps", (long long)step->steps);
    print_shapes(step);
    print_target(step);
    print_state(arena, step);
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        printf("\nentry %s: scratch %sB, inputs %sB, outputs %sB\n", e->name,
               short_number(arena, (double)e->scratch_bytes),
               short_number(arena, (double)e->input_bytes),
               short_number(arena, (double)e->output_bytes));
        for (uint32_t k = 0; k < e->nbefore; k++)
            printf("  %-*s%-32s in %lld part%s\n", COLUMN - 2, "before",
                   step->entries[e->before[k].entry].name, (long long)e->before[k].parts,
                   e->before[k].parts == 1 ? "" : "s");
        print_tensors(arena, "input", e->inputs, e->ninputs);
        print_tensors(arena, "output", e->outputs, e->noutputs);
    }
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    LoadOptions o = {.cli = cli, .file = v->file, .graph.source = v->source};
    if (!load_step(&l, &o)) return EXIT_INPUT;
    if (v->json) {
        json_t *all = step_describe(l.step);
        json_line(all, stdout);
        json_decref(all);
    } else {
        print(cli->arena, l.step);
    }
    load_free(&l);
    return EXIT_OK;
}

const Command command_describe = {
    "describe",     "say what a step takes and gives: target, state, entries",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
