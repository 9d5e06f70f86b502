// CLIP's tokenizer against recorded results of open_clip_torch (tests/data/runtime/tokenizer.json).
#include "runtime/caption.h"
#include "runtime/tokenizer.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MERGES_FILE CZT_SOURCE_DIR "/graphs/data/clip/bpe_simple_vocab_16e6.txt.gz"

static Tokenizer *open_clip(void)
{
    Error err = {0};
    Tokenizer *t = tokenizer_open(MERGES_FILE, &err);
    cr_assert(t, "%s", err.text);
    return t;
}

// Tokens of one recorded caption at one length, the padding too. Returns whether they agree.
static bool agrees(const Tokenizer *t, json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    json_t *want = json_object_get(row, key);
    int64_t length = atoi(key);
    int32_t got[128];
    Error err = {0};
    cr_assert(tokenizer_encode(t, text, strlen(text), got, length, &err), "%s", err.text);
    for (int64_t i = 0; i < length; i++) {
        int64_t token = i < (int64_t)json_array_size(want)
                            ? json_integer_value(json_array_get(want, (size_t)i))
                            : 0;
        if (got[i] == token) continue;
        cr_log_error("'%s' length %s: token %d is %d, recorded %d", text, key, (int)i, got[i],
                     (int)token);
        return false;
    }
    return true;
}

Test(tokenizer, equals_recorded_tokens_in_many_scripts)
{
    Tokenizer *t = open_clip();
    json_error_t why;
    json_t *all = json_load_file(CZT_SOURCE_DIR "/tests/data/runtime/tokenizer.json", 0, &why);
    cr_assert(all, "%s", why.text);
    json_t *rows = json_object_get(all, "captions"), *row;
    cr_assert_geq(json_array_size(rows), 200);
    size_t i;
    int wrong = 0;
    json_array_foreach(rows, i, row) wrong += !agrees(t, row, "77") + !agrees(t, row, "16");
    cr_assert_eq(wrong, 0);
    json_decref(all);
    tokenizer_close(t);
}

Test(tokenizer, refuses_invalid_utf8)
{
    Tokenizer *t = open_clip();
    static const char *const bad[] = {"caf\xE9",          "\x80",     "\xC3",       "\xED\xA0\x80",
                                      "\xF5\x80\x80\x80", "\xC0\xAF", "ok \xE2\x82"};
    int32_t out[8];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Error err = {0};
        cr_expect_not(tokenizer_encode(t, bad[i], strlen(bad[i]), out, 8, &err), "%zu", i);
        cr_expect(strstr(err.text, "UTF-8"));
    }
    tokenizer_close(t);
}

Test(tokenizer, decodes_what_it_encoded)
{
    Tokenizer *t = open_clip();
    int32_t out[32];
    Error err = {0};
    const char *text = "Größe: 猫 & 3 dogs";
    cr_assert(tokenizer_encode(t, text, strlen(text), out, 32, &err));
    char *words = tokenizer_decode(t, out, 32);
    cr_expect_str_eq(words, "größe : 猫 & 3 dogs");
    cr_expect_eq(tokenizer_size(t), 49408);
    free(words);
    tokenizer_close(t);
}

Test(tokenizer, short_lengths_keep_the_end)
{
    Tokenizer *t = open_clip();
    int32_t out[3];
    Error err = {0};
    cr_assert(tokenizer_encode(t, "a cat", 5, out, 3, &err));
    cr_expect(out[0] == 49406 && out[1] == 320 && out[2] == 49407);
    cr_assert(tokenizer_encode(t, "a cat", 5, out, 1, &err));
    cr_expect_eq(out[0], 49407);
    cr_expect_not(tokenizer_encode(t, "a cat", 5, out, 0, &err));
    tokenizer_close(t);
}

Test(tokenizer, a_very_long_word_takes_no_time)
{
    Tokenizer *t = open_clip();
    enum { N = 60000 };
    char *text = malloc(N);
    for (int i = 0; i < N; i++) text[i] = (char)('a' + i * 7 % 26);
    int32_t out[77];
    Error err = {0};
    cr_assert(tokenizer_encode(t, text, N, out, 77, &err));
    cr_expect_eq(out[76], 49407);
    free(text);
    tokenizer_close(t);
}

Test(tokenizer, refuses_damaged_merges)
{
    FILE *file = fopen(MERGES_FILE, "rb");
    static char data[1 << 21];
    size_t n = fread(data, 1, sizeof data, file);
    fclose(file);
    Error cut = {0}, flipped = {0}, none = {0}, plain = {0}, missing = {0};
    cr_expect_null(tokenizer_open_bytes(data, n / 2, "cut", &cut));
    cr_expect(strstr(cut.text, "cut: damaged"), "%s", cut.text);
    data[n / 2] ^= 0x55;
    cr_expect_null(tokenizer_open_bytes(data, n, "flipped", &flipped));
    cr_expect_null(tokenizer_open_bytes("", 0, "none", &none));
    cr_expect(strstr(none.text, "0 merges"), "%s", none.text);
    cr_expect_null(tokenizer_open_bytes("#v\ni n\nzz qq\n", 13, "plain", &plain));
    cr_expect(strstr(plain.text, "plain:3"), "%s", plain.text);
    cr_expect_null(tokenizer_open("/nonexistent/merges", &missing));
}

static void expect_clean(const char *text, const char *want)
{
    Text to = {0};
    Error err = {0};
    cr_assert(caption_clean(text, strlen(text), &to, &err));
    cr_expect(to.n == strlen(want) && (!to.n || memcmp(to.at, want, to.n) == 0), "'%s' -> '%.*s'",
              text, (int)to.n, to.at);
    free(to.at);
}

Test(caption, html_references)
{
    expect_clean("a&amp;b &amp;lt; &lt", "a&b < <");
    expect_clean("&notit; &notin; &unknown;", "¬it; ∉ &unknown;");
    expect_clean("&#x41;&#65;&#0;&#xD800;&#x110000;&#1;", "aa\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    expect_clean("&#99999999999999999999;", "\xEF\xBF\xBD");
    expect_clean("&#150;&#x80;", "–€");
    expect_clean("& &# &#x &; &", "& &# &#x &; &");
}

Test(caption, white_space_and_lower_case)
{
    expect_clean("\t A\xC2\xA0\xE3\x80\x80"
                 "B\r\n",
                 "a b");
    expect_clean("ΟΔΥΣΣΕΥΣ Σ ΑΣ. İ", "οδυσσευς σ ας. i\xCC\x87");
    expect_clean("", "");
}
