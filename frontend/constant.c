// Constants of files: {file:, tensor:, shape:, dtype:, checksum:} among parameters. Their state is
// frozen, as that of teachers: a run takes it from the file whenever it begins or goes on.
#include "base/file.h"
#include "base/sha256.h"
#include "frontend/elab.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"
#include "frontend/tensor_file.h"

static const char *const dtypes[] = {"f32", "i32", "i64"};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

enum { SOON = 1 << 26 }; // bytes that are summed at once

static const char *path_of(Elab *el, const Tree *file)
{
    const char *dir = said_in(el, file);
    bool beside = *dir && *file->text != '/';
    return beside ? str_printf(el->arena, "%s/%s", dir, file->text) : file->text;
}

static bool is_npy(const char *file)
{
    size_t n = strlen(file);
    return n > 4 && strcmp(file + n - 4, ".npy") == 0;
}

// What the file calls it; an array of an .npy has no name.
static const char *tensor_name(const Tree *t, const char *path)
{
    const Tree *tensor = tree_get(t, "tensor");
    const char *dot = strrchr(path, '.');
    return tensor ? tensor->text : dot ? dot + 1 : path;
}

static bool no_such_keys(Elab *el, const Tree *t)
{
    static const struct {
        const char *key;
        bool of_files; // else of parameters alone
    } rows[] = {{"init", false},  {"max", false},  {"trainable", false},
                {"tensor", true}, {"dtype", true}, {"checksum", true}};
    bool file = tree_get(t, "file");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const Tree *other = tree_get(t, rows[i].key);
        if (!other || rows[i].of_files == file) continue;
        el_error(el, other->loc,
                 file ? "'%s' has no meaning for a constant of a file"
                      : "'%s' is said of constants of files: there is no 'file'",
                 rows[i].key);
        if (file) diag_help(el->diag, "without 'file' it is a parameter that is trained");
        suggest_choices(el, without_key(el, t, rows[i].key),
                        file ? without_key(el, t, "file")
                             : with_entry(el, t, "file", usual_value("file", 0)));
        return false;
    }
    return true;
}

static bool dtype_read(Elab *el, const Tree *t, DType *dtype)
{
    Map names = {0};
    if (!t) return true;
    for (int i = 0; i < DTYPES; i++) {
        map_set(el->arena, &names, dtypes[i], NULL);
        if (strcmp(t->text, dtypes[i]) != 0) continue;
        *dtype = dtype_find(dtypes[i]);
        return true;
    }
    el_error(el, t->loc, "a constant of a file is f32, i32 or i64, not '%s'", t->text);
    suggest_words(el, t->text, &names);
    return false;
}

// The shape of a file that is not there: as that of another parameter, or small.
static void guess_shape(Elab *el, const Tree *t)
{
    const Tree *params = tree_get(el->root, "params");
    for (uint32_t i = 0; params && i < params->entries.n; i++) {
        const Tree *shape = tree_get(params->entries.at[i].value, "shape");
        const char *text = shape ? written(el, shape) : "";
        if (*text) guess_entry(el, t->loc, "shape", text);
    }
    guess_entry(el, t->loc, "shape", "[1]");
    guess_entry(el, t->loc, "shape", "[]");
}

static bool shape_read(Elab *el, const Tree *t, const char *path, Axis **axes, uint32_t *rank)
{
    const Tree *file = tree_get(t, "file");
    const char *at = path_of(el, file);
    int64_t *sizes;
    Error err = {0};
    if (!tensor_file_shape(el->arena, at, tensor_name(t, path), &sizes, rank, &err)) {
        el_error(el, file->loc, "%s", err.text);
        if (suggest_file(el, at)) return false;
        diag_help(el->diag, "its shape is not said, so the file is looked at now; with shape: "
                            "[..] it is when a run begins");
        guess_shape(el, t);
        return false;
    }
    *axes = arena_array(el->arena, Axis, *rank + 1);
    for (uint32_t i = 0; i < *rank; i++) (*axes)[i] = (Axis){.size = sizes[i]};
    return true;
}

bool constant_read(Elab *el, const Tree *t, const char *path, DType *dtype, Axis **axes,
                   uint32_t *rank)
{
    const Tree *file = tree_get(t, "file"), *tensor = tree_get(t, "tensor");
    if (!no_such_keys(el, t)) return false;
    if (!file) return true;
    const uint32_t before = diag_errors(el->diag);
    weights_format(el, file);
    if (diag_errors(el->diag) > before) return false;
    if (tensor && is_npy(file->text)) {
        el_error(el, tensor->loc, "an .npy file is one array, without a name");
        suggest_choices(el, without_key(el, t, "tensor"), (Choice){.text = NULL});
        return false;
    }
    if (!dtype_read(el, tree_get(t, "dtype"), dtype)) return false;
    if (!tree_get(t, "shape") && !shape_read(el, t, path, axes, rank)) return false;
    map_set(el->arena, &el->constants, path, (void *)t);
    return true;
}

// The sum of the file where it can be read, or none.
static void suggest_checksum(Elab *el, const Tree *map)
{
    const Tree *file = tree_get(map, "file");
    char digits[SHA256_DIGITS + 1];
    FileMap bytes;
    Error err = {0};
    Choice sum = {.text = NULL};
    diag_help(el->diag, "sha256sum FILE prints it");
    if (file && file->kind == TREE_SCALAR && file_map(&bytes, path_of(el, file), &err)) {
        if (bytes.size <= SOON) {
            sha256_text(bytes.data, bytes.size, digits);
            sum = instead(el, tree_get(map, "checksum"), str_copy(el->arena, digits));
        }
        file_unmap(&bytes);
    }
    suggest_choices(el, sum, without_key(el, map, "checksum"));
}

void put_checksum(Elab *el, Json *j, const Tree *map)
{
    const Tree *t = tree_get(map, "checksum");
    if (!t) return;
    const char *s = t->text;
    if (strlen(s) == SHA256_DIGITS && strspn(s, "0123456789abcdefABCDEF") == SHA256_DIGITS) {
        char *small = str_copy(el->arena, s);
        for (char *c = small; *c; c++)
            if (*c >= 'A' && *c <= 'F') *c = (char)(*c - 'A' + 'a');
        json_str(j, "checksum", small);
        return;
    }
    el_error(el, t->loc, "a checksum is the %d hexadecimal digits of a file's SHA-256",
             SHA256_DIGITS);
    suggest_checksum(el, map);
}

void guess_constants(Elab *el)
{
    for (uint32_t i = 0; i < el->constants.n; i++) {
        const Tree *t = el->constants.at[i].value;
        const TreeEntry *file = tree_entry(t, "file");
        const Loc at = loc_in(t->loc.source, file->key->loc.begin, file->value->loc.end);
        if (entry_span(el, t, "file").source)
            guess_add(el, entry_span(el, t, "file"), "", "'file'");
        if (!tree_get(t, "init")) guess_add(el, at, "init: 1", "init: 1 in place of 'file'");
    }
}

void put_constant(Elab *el, Json *j, const char *path, const Tree *t)
{
    const char *file = tree_get(t, "file")->text;
    json_open(j, NULL, '{');
    json_str(j, "owns", path);
    json_str(j, "base_dir", folder_said_in(el, t));
    json_str(j, "file", file);
    json_bool(j, "constant", true);
    put_checksum(el, j, t);
    json_open(j, "rename", '[');
    put_file_rule(j, is_npy(file) ? "*" : tensor_name(t, path), path);
    put_file_rule(j, "*", "");
    json_close(j, ']');
    json_close(j, '}');
}
