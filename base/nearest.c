// Which of some names is meant by a wrong one: what other tools call the same, or else the one that
// is written most alike.
#include "base/map.h"

#include <string.h>
#include <strings.h>

// Words of other tools and of YAML 1.1, and ours.
static const struct {
    const char *other, *ours;
} spellings[] = {
    {"yes", "true"},
    {"on", "true"},
    {"no", "false"},
    {"off", "false"},
    {"null", "none"},
    {"float", "f32"},
    {"float32", "f32"},
    {"fp32", "f32"},
    {"bfloat16", "bf16"},
    {"float16", "f16"},
    {"fp16", "f16"},
    {"double", "f64"},
    {"float64", "f64"},
    {"fp64", "f64"},
    {"int", "i32"},
    {"int32", "i32"},
    {"int64", "i64"},
    {"int8", "i8"},
    {"uint8", "u8"},
    {"uint16", "u16"},
    {"uint32", "u32"},
    {"weight_decay", "decay"},
    {"wd", "decay"},
    {"learning_rate", "lr"},
    {"batch_size", "batch"},
    {"image_size", "size"},
    {"patch_size", "patch"},
    {"num_classes", "classes"},
    {"hidden_size", "width"},
    {"num_layers", "layers"},
    {"num_heads", "heads"},
    {"embed_dim", "embed"},
    {"vocab_size", "vocab"},
    {"context_length", "length"},
    // types
    {"half", "f16"},
    {"long", "i64"},
    {"char", "i8"},
    {"byte", "u8"},
    {"boolean", "bool"},
    // modules
    {"Conv2d", "conv"},
    {"BatchNorm2d", "batch_norm"},
    {"LayerNorm", "layer_norm"},
    {"MultiheadAttention", "attention"},
    {"MaxPool2d", "max_pool"},
    {"AvgPool2d", "avg_pool"},
    {"AdaptiveAvgPool2d", "global_pool"},
    {"L1Loss", "l1"},
    {"CrossEntropyLoss", "cross_entropy_map"},
    {"CosineSimilarity", "cosine_similarity"},
    {"Adam", "adamw"},
    {"swish", "silu"},
    // functions and their arguments
    {"cat", "concat"},
    {"all_gather", "batch_gather"},
    {"concatenate", "concat"},
    {"where", "select"},
    {"eye", "identity"},
    {"unsqueeze", "insert_axis"},
    {"expand_dims", "insert_axis"},
    {"view", "reshape"},
    {"detach", "stop_gradient"},
    {"stop_grad", "stop_gradient"},
    {"cosine_lr", "warmup_cosine"},
    {"cosine_schedule", "warmup_cosine"},
    {"CosineAnnealingLR", "warmup_cosine"},
    {"clip", "clamp"},
    {"randn", "random_normal"},
    {"rand", "random_uniform"},
    {"interpolate", "resize"},
    {"expand", "broadcast_to"},
    {"amax", "max"},
    {"amin", "min"},
    {"swapaxes", "transpose"},
    {"dim", "axis"},
    {"keepdim", "keep"},
    {"keepdims", "keep"},
};

const char *str_our_word(const char *name)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (strcasecmp(spellings[i].other, name) == 0) return spellings[i].ours;
    return NULL;
}

// Words that YAML 1.1, and nobody else, has for ours; they are near others too.
static bool is_yaml_word(const char *name)
{
    static const char *const words[] = {"yes", "no", "on", "off", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(words[i], name) == 0) return true;
    return false;
}

// Two words of which one says the contrary of the other, as maximize and minimize.
static bool are_contrary(const char *a, const char *b)
{
    static const char *const pairs[][2] = {{"min", "max"}, {"low", "high"}, {"first", "last"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int k = 0; k < 2; k++) {
            const char *x = strstr(a, pairs[i][k]), *y = strstr(b, pairs[i][!k]);
            if (x && y && x - a == y - b) return true;
        }
    return false;
}

// Is the word the last of a longer one's, as decay of weight_decay?
static bool ends_with_word(const char *name, const char *word)
{
    size_t n = strlen(name), k = strlen(word);
    return k > 2 && n > k && name[n - k - 1] == '_' && strcmp(name + n - k, word) == 0;
}

// Is a key what a wrong name can only mean: two letters in the wrong order, capitals, another
// tool's word for it? ours: what is ours for that word, or NULL.
static bool is_alike(const char *name, const char *ours, const char *key)
{
    return str_swapped(name, key) || strcasecmp(name, key) == 0 || (ours && !strcmp(ours, key));
}

// How far a key is from a wrong name.
static uint32_t distance(const char *name, const char *ours, const char *key, uint32_t limit)
{
    const size_t n = strlen(name), k = strlen(key);
    if ((!ours || strcmp(ours, key)) && (n > k ? n - k : k - n) > limit) return limit + 1;
    if (str_swapped(name, key) || strcasecmp(name, key) == 0) return 0;
    if (is_alike(name, ours, key)) return is_yaml_word(name);
    if (are_contrary(name, key)) return limit + 1;
    return str_distance(name, key, limit);
}

const char *nearest_key(const Map *m, const char *name, const char *best)
{
    uint32_t limit = ((uint32_t)strlen(name) + 1) / 3;
    const char *ours = str_our_word(name);
    uint32_t least = best ? distance(name, ours, best, limit) : limit + 1;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t d = distance(name, ours, m->at[i].key, limit);
        if (d < least && d <= limit) {
            least = d;
            best = m->at[i].key;
        }
    }
    for (uint32_t i = 0; !best && i < m->n; i++)
        if (ends_with_word(name, m->at[i].key)) best = m->at[i].key;
    return best;
}

// Is there a digit in what is not the same at both ends? seg1 and seg2 are two names; but f31 is a
// type's.
static bool differ_in_digits(const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    size_t n = strlen(a), m = strlen(b);
    if (n < 4) return false;
    while (n && m && *a == *b) a++, b++, n--, m--;
    while (n && m && a[n - 1] == b[m - 1]) n--, m--;
    return strcspn(a, digits) < n || strcspn(b, digits) < m;
}

bool str_is_slip(const char *wrong, const char *right)
{
    size_t n = strlen(wrong), k = strlen(right);
    bool end = k > n && right[k - n - 1] == '/' && strcmp(right + k - n, wrong) == 0;
    bool file = strncmp(wrong, right, k) == 0 && strcmp(wrong + k, ".yaml") == 0;
    bool last = n > 1 && !strpbrk(right + k - 1, "0123456789") && k == n + 1 &&
                strncmp(wrong, right, n) == 0; // is missing
    if (end || file || last || is_alike(wrong, str_our_word(wrong), right)) return true;
    const char *folder = strrchr(right, '/'); // what is the same makes no word longer
    size_t same = folder ? (size_t)(folder - right) + 1 : 0;
    if (same && strncmp(wrong, right, same) == 0) wrong += same, right += same, n -= same;
    uint32_t letters = n < 3 ? 0 : n < 10 ? 1 : 2; // short words are near many others
    if (differ_in_digits(wrong, right)) return false;
    return str_distance(wrong, right, letters) <= letters;
}
