// The texts of tokens and their ids: open addressing, and a list by id.
#include "runtime/tokens.h"

#include <stdlib.h>

static uint32_t slot_of(const Vocab *v, const char *text, size_t n)
{
    uint64_t h = 0xCBF29CE484222325 ^ n;
    for (; n >= 8; n -= 8, text += 8) {
        uint64_t part;
        memcpy(&part, text, 8);
        h = (h ^ part) * 0x9E3779B97F4A7C15;
        h ^= h >> 29;
    }
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)text[i]) * 0x100000001B3;
    h *= 0x9E3779B97F4A7C15;
    return (uint32_t)(h >> 32) & (v->nslots - 1);
}

static Word *slot(const Vocab *v, const char *text, size_t n)
{
    uint32_t i = slot_of(v, text, n);
    while (v->slots[i].text && (v->slots[i].n != n || memcmp(v->slots[i].text, text, n) != 0))
        i = (i + 1) & (v->nslots - 1);
    return &v->slots[i];
}

void vocab_reserve(Arena *arena, Vocab *v, uint32_t n)
{
    v->nslots = 16;
    while (v->nslots < 2 * (uint64_t)n) v->nslots *= 2;
    v->slots = arena_array(arena, Word, v->nslots);
}

void vocab_add(Arena *arena, Vocab *v, const char *text, uint32_t n, int32_t id, bool replace)
{
    Word *w = slot(v, text, n);
    if (!w->text)
        *w = (Word){str_slice(arena, text, n), n, id}, v->n++;
    else if (replace)
        w->id = id;
    if (id >= v->size) v->size = id + 1;
}

void vocab_index(Arena *arena, Vocab *v)
{
    v->of_id = arena_array(arena, const Word *, v->size + 1);
    for (uint32_t i = 0; i < v->nslots; i++)
        if (v->slots[i].text) v->of_id[v->slots[i].id] = &v->slots[i];
}

int32_t vocab_find(const Vocab *v, const char *text, size_t n)
{
    const Word *w = slot(v, text, n);
    return w->text ? w->id : -1;
}

int32_t vocab_byte(const Vocab *v, uint8_t byte)
{
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", byte);
    return vocab_find(v, name, 6);
}

bool ids_add(Ids *to, int32_t id)
{
    if (to->n == to->room) {
        size_t room = 2 * to->room + 256;
        int32_t *at = realloc(to->at, room * sizeof *at);
        if (!at) return false;
        to->at = at, to->room = room;
    }
    to->at[to->n++] = id;
    return true;
}

enum { MOST_IDS = 1 << 24 };

bool model_vocab(const TokenReader *r, const Jv *json, Model *m)
{
    const Jv *vocab = jv_get(json, "vocab");
    if (!vocab || vocab->kind != JV_MAP || !vocab->n || vocab->n > MOST_IDS)
        return reader_fail(r, "'vocab' is an object {\"text\": id}");
    vocab_reserve(r->arena, &m->vocab, vocab->n);
    for (uint32_t i = 0; i < vocab->n; i++) {
        const Jv *text = &vocab->items[2 * i], *id = text + 1;
        if (id->kind != JV_NUMBER || !(id->number >= 0 && id->number < MOST_IDS) ||
            id->number != (double)(int32_t)id->number)
            return reader_fail(r, "vocab: '%.40s': an id is a whole number from 0 to %d",
                               str_slice(r->arena, text->text, text->n), MOST_IDS - 1);
        vocab_add(r->arena, &m->vocab, text->text, text->n, (int32_t)id->number, true);
    }
    vocab_index(r->arena, &m->vocab);
    return true;
}
