// What is told of each parameter by `cztc check --params`: its optimiser, the settings that it has
// of it after all rows of groups:, and when it rests. Gathered as the update is built; the first
// phase that trains a parameter is told of.
#include "frontend/train.h"

ParamInfo *param_info(Elab *el, const char *name)
{
    ParamInfo *info = map_get(&el->infos, name);
    if (info) return info;
    info = arena_make(el->arena, ParamInfo);
    info->name = name;
    map_set(el->arena, &el->infos, name, info);
    return info;
}

void param_setting(Elab *el, ParamInfo *info, const char *name, Value v, const char *text)
{
    double x;
    bool constant = value_number(v, &x) || v.kind == V_LIST || v.kind == V_BOOL || v.kind == V_STR;
    if (constant || !text) text = value_text(el, v);
    vec_push(el->arena, &info->settings, (ParamSetting){name, text});
}

void param_rows(Elab *el, ParamInfo *info, const Tree *rows)
{
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i], *match = tree_get(row, "match");
        if (!match || !row_matches(el, row, info->name, NULL)) continue;
        const char *text = match->kind == TREE_SCALAR ? match->text : "";
        for (uint32_t k = 0; k < match->items.n; k++)
            text = str_printf(el->arena, "%s%s%s", text, k ? ", " : "", match->items.at[k]->text);
        vec_push(el->arena, &info->rows, text);
    }
}

void params_told(Elab *el)
{
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        if (v->kind != STATE_PARAM) continue;
        ParamInfo *info = param_info(el, v->name);
        info->type = v->type;
        if (!info->optimizer && !info->rests)
            info->rests = v->trainable ? "the loss does not depend on it" : "trainable: false";
        vec_push(el->arena, &el->out->params, *info);
    }
}
