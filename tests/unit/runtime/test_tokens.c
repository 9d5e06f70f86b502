// tokenizer.json files against recorded results of the library `tokenizers`
// (tests/data/runtime/tokens, made by tests/parity/tokens_fixture.py).
#include "runtime/tokenizer.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER CZT_SOURCE_DIR "/tests/data/runtime/tokens/"

static Tokenizer *open_file(const char *name)
{
    char path[256];
    Error err = {0};
    snprintf(path, sizeof path, FOLDER "%s.json", name);
    Tokenizer *t = tokenizer_open(path, &err);
    cr_assert(t, "%s", err.text);
    return t;
}

// One text at one length, filled up with `pad`. Returns whether it agrees.
static bool agrees(const Tokenizer *t, const char *name, json_t *text, json_t *want, int64_t length,
                   int32_t pad)
{
    int32_t got[64];
    Error err = {0};
    const char *bytes = json_string_value(text);
    size_t n = json_string_length(text);
    cr_assert(tokenizer_encode(t, bytes, n, got, length, &err), "%s: '%s': %s", name, bytes,
              err.text);
    for (int64_t i = 0; i < length; i++) {
        bool within = i < (int64_t)json_array_size(want);
        int32_t token = within ? (int32_t)json_integer_value(json_array_get(want, (size_t)i)) : pad;
        if (got[i] == token) continue;
        char *list = json_dumps(want, JSON_COMPACT);
        cr_log_error("%s: '%s' length %d: token %d is %d, recorded %d: %s", name, bytes,
                     (int)length, (int)i, got[i], token, list);
        free(list);
        return false;
    }
    return true;
}

Test(tokens, equal_the_recorded_ones)
{
    json_error_t why;
    json_t *all = json_load_file(FOLDER "ids.json", JSON_ALLOW_NUL, &why), *rows, *text;
    cr_assert(all, "%s", why.text);
    json_t *texts = json_object_get(all, "texts");
    const char *name;
    size_t i, wrong = 0, files = 0;
    json_object_foreach(json_object_get(all, "tokenizers"), name, rows)
    {
        Tokenizer *t = open_file(name);
        Error err = {0};
        int32_t one[64];
        bool ok = tokenizer_fit(t, NULL, 64, &err);
        if (!ok && tokenizer_fit(t, "<|endoftext|>", 64, &(Error){0})) ok = true;
        if (!ok) ok = tokenizer_fit(t, "<unk>", 64, &(Error){0});
        cr_assert(ok, "%s: %s", name, err.text);
        cr_expect_eq(tokenizer_size(t), json_integer_value(json_object_get(rows, "size")), "%s",
                     name);
        cr_assert(tokenizer_encode(t, "a", 1, one, 64, &(Error){0}));
        json_array_foreach(texts, i, text) for (int k = 0; k < 2; k++)
        {
            json_t *want = json_array_get(json_object_get(rows, k ? "12" : "64"), i);
            wrong += !agrees(t, name, text, want, k ? 12 : 64, one[63]);
        }
        files++;
        tokenizer_close(t);
    }
    cr_expect_eq(wrong, 0);
    cr_expect_eq(files, 14);
    json_decref(all);
}
