// A line for each parameter; what many of them share is printed once, above its lines.
#include "cli/graph_params.h"

#include <jansson.h>
#include <string.h>

// "adamw, lr 1e-3, lr_scale 0.5; groups: visual.*"
static const char *told(Arena *arena, const ParamInfo *p)
{
    const char *text = p->optimizer ? p->optimizer : "not updated";
    for (uint32_t i = 0; i < p->settings.n; i++)
        text =
            str_printf(arena, "%s, %s %s", text, p->settings.at[i].name, p->settings.at[i].value);
    for (uint32_t i = 0; i < p->rows.n; i++)
        text = str_printf(arena, "%s%s%s", text, i ? ", " : "; groups: ", p->rows.at[i]);
    return p->rests ? str_printf(arena, "%s%s%s", text, p->optimizer ? "; " : ": ", p->rests)
                    : text;
}

static void print_all(Arena *arena, const Frontend *f)
{
    const char **texts = arena_array(arena, const char *, f->params.n + 1);
    bool *done = arena_array(arena, bool, f->params.n + 1);
    for (uint32_t i = 0; i < f->params.n; i++) texts[i] = told(arena, &f->params.at[i]);
    for (uint32_t i = 0; i < f->params.n; i++) {
        if (done[i]) continue;
        printf("%s\n", texts[i]);
        for (uint32_t k = i; k < f->params.n; k++) {
            if (done[k] || strcmp(texts[i], texts[k])) continue;
            done[k] = true;
            printf("  %-40s %s\n", f->params.at[k].name, type_text(arena, f->params.at[k].type));
        }
    }
}

static void print_json(Arena *arena, const Frontend *f)
{
    json_t *all = json_object();
    for (uint32_t i = 0; i < f->params.n; i++) {
        const ParamInfo *p = &f->params.at[i];
        json_t *settings = json_object(), *rows = json_array();
        for (uint32_t k = 0; k < p->settings.n; k++)
            json_object_set_new(settings, p->settings.at[k].name,
                                json_string(p->settings.at[k].value));
        for (uint32_t k = 0; k < p->rows.n; k++)
            json_array_append_new(rows, json_string(p->rows.at[k]));
        json_object_set_new(all, p->name,
                            json_pack("{s:s, s:s?, s:o, s:o, s:s?}", "type",
                                      type_text(arena, p->type), "optimizer", p->optimizer,
                                      "settings", settings, "groups", rows, "rests", p->rests));
    }
    json_dumpf(all, stdout, JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(all);
}

void graph_params(Arena *arena, const Frontend *f, bool json)
{
    (json ? print_json : print_all)(arena, f);
}
