// Tokenizer files between the frontend, which knows where they are named, and the runtime, which
// reads them.
#include "cli/tokenizers.h"

#include "cli/ranges.h"
#include "runtime/clip_tokens.h"
#include "runtime/tokenizer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static TokenizerPart *find(const TokenizerParts *parts, const char *path)
{
    for (uint32_t i = 0; i < parts->n; i++)
        if (strcmp(parts->at[i].path, path) == 0) return &parts->at[i];
    return NULL;
}

// Where problems go.
typedef struct Reading {
    Arena *arena;
    Diag *diag;
    Program *program;
    json_t *ranges; // NULL: sizes are not compared
    TokenizerParts *to;
} Reading;

// A text that is read at its largest token is read at its end where that is the largest there is.
static void check_end(const Reading *r, const TokenizerInfo *info, const Tokenizer *t)
{
    int32_t end = tokenizer_end(t), largest = tokenizer_size(t) - 1;
    if (end == largest || !ranges_largest(r->arena, r->program, info->field)) return;
    if (end < 0) {
        diag_warning(r->diag, info->loc,
                     "'%s' is read at its largest token, and this tokenizer puts none behind a "
                     "text, which would be its end",
                     info->field);
        diag_help(r->diag, "say to the text encoder at which token, as in end: %d, or pool: last",
                  largest);
        return;
    }
    diag_warning(r->diag, info->loc,
                 "'%s' is read at its largest token; this tokenizer ends a text with %d, and has "
                 "tokens up to %d",
                 info->field, end, largest);
    diag_help(r->diag, "give the text encoder the token of the end: end: %d", end);
}

// How many rows the table has that a field indexes; 0 where that is not asked for.
static long long rows_of(const Reading *r, const TokenizerInfo *info)
{
    return json_integer_value(json_object_get(r->ranges, info->field));
}

// CLIP's tokens in a table of fewer rows, as a small trial may have it.
static void check_clip(const Reading *r, const TokenizerInfo *info)
{
    const long long rows = rows_of(r, info);
    const int32_t size = clip_tokens_size();
    if (!rows || rows >= size) return;
    diag_warning(r->diag, info->loc,
                 "CLIP's tokenizer has %d tokens, and '%s' is an index of %lld rows: tokens from "
                 "%lld on all have the last one",
                 size, info->field, rows, rows);
    diag_help(r->diag, "give the text encoder the size of the vocabulary: vocab: %d", size);
}

static void check_fit(const Reading *r, const TokenizerInfo *info, Tokenizer *t)
{
    Error err = {0};
    const long long rows = rows_of(r, info);
    int32_t size = tokenizer_size(t);
    if (!tokenizer_fit(t, info->pad, info->length, &err)) {
        diag_error(r->diag, info->loc, "%s", err.text);
    } else if (rows && rows < size) {
        diag_error(r->diag, info->loc,
                   "this tokenizer has %d tokens, and '%s' is an index of %lld rows", size,
                   info->field, rows);
        diag_help(r->diag, "give the text encoder the size of the vocabulary: vocab: %d", size);
    } else if (r->ranges) {
        check_end(r, info, t);
    }
}

static void read_file(const Reading *r, const TokenizerInfo *info, TokenizerPart *part)
{
    Error err = {0};
    FileMap *map = &part->map;
    const TokenizerPart *known = find(r->to, info->path);
    if (known && !known->map.data) return;
    if (known) *map = known->map;
    if (!known && !file_map(map, info->path, &err)) {
        diag_error(r->diag, info->loc, "%s", err.text);
        return;
    }
    Tokenizer *t = tokenizer_open_bytes(map->data, map->size, info->path, &err);
    if (!t) diag_error(r->diag, info->loc, "%s", err.text);
    if (t) check_fit(r, info, t);
    part->tokens = t ? tokenizer_size(t) : 0;
    part->checksum = checksum_bytes(map->data, map->size);
    tokenizer_close(t);
}

static void read_one(const Reading *r, const TokenizerInfo *info)
{
    TokenizerPart part = {.path = info->path};
    if (access(info->path, F_OK) == 0) {
        read_file(r, info, &part);
    } else {
        diag_warning(r->diag, info->loc, "%s: %s", info->path, strerror(errno));
        diag_help(r->diag, "its vocabulary is not checked, and the step does not carry it: it is "
                           "looked for there when samples are read");
    }
    if (!find(r->to, info->path)) vec_push(r->arena, r->to, part);
}

TokenizerParts tokenizers_read(Arena *arena, Diag *diag, const Frontend *frontend, bool fits)
{
    TokenizerParts to = {0};
    uint32_t n = frontend->tokenizers.n;
    Program *program = frontend->program;
    Reading r = {arena, diag, program, fits && n ? ranges_find(arena, program) : NULL, &to};
    for (uint32_t i = 0; i < n; i++) {
        const TokenizerInfo *info = &frontend->tokenizers.at[i];
        (info->path ? read_one : check_clip)(&r, info);
    }
    json_decref(r.ranges);
    return to;
}

void tokenizers_add(Arena *arena, const TokenizerParts *parts, Section **sections, uint32_t *n)
{
    Section *all = arena_array(arena, Section, *n + parts->n);
    memcpy(all, *sections, *n * sizeof *all);
    json_t *names = json_array();
    for (uint32_t i = 0; i < parts->n; i++) {
        const TokenizerPart *part = &parts->at[i];
        size_t size;
        const void *packed =
            part->map.size ? tokenizer_pack(arena, part->map.data, part->map.size, &size) : NULL;
        if (!packed) continue;
        const char *name = str_printf(arena, "tokenizer.%zu", json_array_size(names));
        json_array_append_new(names, json_string(part->path));
        all[(*n)++] = (Section){name, packed, size};
    }
    if (json_array_size(names)) manifest_add(arena, all, *n, "tokenizers", names);
    json_decref(names);
    *sections = all;
}

int32_t tokenizers_size(const Frontend *frontend, const TokenizerParts *parts, const char *field)
{
    for (uint32_t i = 0; frontend && i < frontend->tokenizers.n; i++) {
        const TokenizerInfo *info = &frontend->tokenizers.at[i];
        const TokenizerPart *part = info->path ? find(parts, info->path) : NULL;
        if (part && strcmp(info->field, field) == 0) return part->tokens;
    }
    return 0;
}
