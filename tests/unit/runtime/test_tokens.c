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
    cr_expect_eq(files, 15);
    json_decref(all);
}

// ---- what is not there, or not supported
// ---------------------------------------------------------

#define MODEL "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"u\", \"vocab\": {\"u\": 0}}"

Test(tokens, errors_name_the_part)
{
    static const char *const rows[][2] = {
        {"{", "name:1:2: JSON: a key is wanted"},
        {"{\n \"a\": [1,\n  2", "name:3:4: JSON: ',' or ']' is wanted"},
        {"{\"a\": \"\\ud800\"}", "JSON: a wrong \\u escape"},
        {"{\"a\": 1} x", "name:1:10: JSON: something behind the value"},
        {"{\"a\": \"\xE9\"}", "name: invalid UTF-8 at byte 7 of 10"},
        {"{}", "name: model: is missing"},
        {"{\"model\": {\"type\": \"RWKV\"}}", "model: the model 'RWKV' is not supported (BPE,"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}}",
         "model: merges[0]: 'b' is not in the vocabulary"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}",
         "model: merges[0]: \"a b\" or [\"a\", \"b\"] is wanted"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}",
         "model: vocab: 'a': an id is a whole number from 0 to "},
        {"{\"model\": {\"type\": \"BPE\", \"dropout\": 0.1}}", "model: 'dropout' is not supported"},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}}",
         "model: vocab[0]: [\"text\", score] is wanted"},
        {"{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, "
         "{\"type\": "
         "\"Rot13\"}]}, " MODEL "}",
         "normalizer.normalizers[1]: the normalizer 'Rot13' is not supported"},
        {"{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}, " MODEL
         "}",
         "normalizer: 'precompiled_charsmap' is damaged"},
        {"{\"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}, " MODEL "}",
         "pre_tokenizer: the pre-tokenizer 'UnicodeScripts' is not supported"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": "
         "\"[a-z&&[aeiou]]\"}}, " MODEL "}",
         "'[a-z&&[aeiou]]': intersections of classes are not supported"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}}, " MODEL "}",
         "pre_tokenizer: pattern: the regular expression '(a': missing closing parenthesis"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\\\\C\"}}, " MODEL
         "}",
         "the regular expression 'a\\C': using \\C is disabled by the application"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": "
         "\"\\\\Qa\\\\E\"}}, " MODEL "}",
         "an escape that is not supported"},
        {"{\"added_tokens\": [{\"id\": -0x10}], " MODEL "}", "a wrong number"},
        {"{\"added_tokens\": [{\"id\": -inf}], " MODEL "}", "a value is wanted"},
        {"{\"added_tokens\": [{\"id\": 1e999}], " MODEL "}", "a wrong number"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {}}, " MODEL "}",
         "pre_tokenizer: 'pattern' is {\"String\": text} or {\"Regex\": text}"},
        {"{\"added_tokens\": [{\"id\": 1}], " MODEL "}", "added_tokens[0]: 'content' is missing"},
        {"{\"post_processor\": {\"type\": \"Other\"}, " MODEL "}",
         "post_processor: the post-processor 'Other' is not supported"},
        {"{\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"c\", 5], \"sep\": "
         "[\"s\", 0]}, " MODEL "}",
         "post_processor: the id 5 is beyond the vocabulary of 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        Tokenizer *t = tokenizer_open_bytes(rows[i][0], strlen(rows[i][0]), "name", &err);
        cr_expect_null(t, "%s", rows[i][0]);
        cr_expect(strstr(err.text, rows[i][1]), "%s: %s", rows[i][0], err.text);
        tokenizer_close(t);
    }
}

Test(tokens, invalid_captions_and_short_lengths_are_errors)
{
    Tokenizer *t = open_file("bert");
    int32_t out[8];
    Error err = {0};
    cr_expect_not(tokenizer_encode(t, "caf\xE9", 4, out, 8, &err));
    cr_expect(strstr(err.text, "invalid UTF-8 at byte 3 of 4"), "%s", err.text);
    err = (Error){0};
    cr_expect_not(tokenizer_fit(t, NULL, 1, &err));
    cr_expect(strstr(err.text, "a length of 1 has no room for the 2 tokens around a text"), "%s",
              err.text);
    cr_expect(tokenizer_fit(t, NULL, 2, &(Error){0}));
    tokenizer_close(t);
}

// What is decoded is for people: special tokens are left out, bytes put together.
Test(tokens, decode_gives_the_words)
{
    static const char *const names[] = {"gpt2", "gemma", "t5", "bert_cased", "unigram_bytes"};
    const char *text = "a drawing of a dog, 123 \xE7\x8C\xAB";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Tokenizer *t = open_file(names[i]);
        int32_t out[64];
        Error err = {0};
        tokenizer_fit(t, i ? NULL : "<|endoftext|>", 64, &err);
        cr_assert(tokenizer_encode(t, text, strlen(text), out, 64, &err), "%s", err.text);
        int64_t used = tokenizer_used(t, out, 64);
        cr_expect(used > 5 && used < 40);
        char *words = tokenizer_decode(t, out, used);
        cr_expect(strncmp(words, "a drawing of a dog", 18) == 0, "%s: %s", names[i], words);
        free(words);
        tokenizer_close(t);
    }
}

// A step carries files packed.
Test(tokens, packed_files_are_the_same)
{
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    char text[] = "{" MODEL "}";
    const void *packed = tokenizer_pack(arena, text, strlen(text), &size);
    cr_assert(packed);
    TokenizerFile file = {"a/b.json", packed, size};
    TokenizerFiles files = {&file, 1};
    Tokenizer *t = tokenizer_named(&files, "a/b.json", &err);
    cr_assert(t, "%s", err.text);
    cr_expect_eq(tokenizer_size(t), 1);
    tokenizer_close(t);
    cr_expect_null(tokenizer_named(&files, "clip", &err));
    cr_expect(strstr(err.text, "merges are not given"));
    arena_free(arena);
}

// A pattern that matches nothing at all places still comes to an end, and cuts there.
Test(tokens, empty_matches_go_on, .timeout = 10)
{
    static const char text[] =
        "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?=[A-Z])\"}, "
        "\"behavior\": \"Isolated\"}, \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"u\", "
        "\"vocab\": {\"u\": 0, \"Big\": 1, \"Dog\": 2}}}";
    Error err = {0};
    int32_t out[3] = {0};
    Tokenizer *t = tokenizer_open_bytes(text, strlen(text), "name", &err);
    cr_assert(t, "%s", err.text);
    cr_assert(tokenizer_fit(t, "u", 3, &err), "%s", err.text);
    cr_assert(tokenizer_encode(t, "BigDog", 6, out, 3, &err), "%s", err.text);
    cr_expect(out[0] == 1 && out[1] == 2 && out[2] == 0);
    tokenizer_close(t);
}
