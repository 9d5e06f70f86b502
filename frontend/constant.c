// Constants of files: {file:, tensor:, shape:, dtype:, checksum:} among parameters. Their state is
// frozen, as that of teachers: a run takes it from the file whenever it begins or goes on.
#include "base/sha256.h"
#include "frontend/elab.h"
#include "frontend/json.h"
#include "frontend/tensor_file.h"

static const char *const dtypes[] = {"f32", "i32", "i64"};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

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
        diag_help(el->diag,
                  file ? "leave out '%s', or 'file' for a parameter that is trained"
                       : "leave out '%s', or say the file",
                  rows[i].key);
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

static bool shape_read(Elab *el, const Tree *t, const char *path, Axis **axes, uint32_t *rank)
{
    const Tree *file = tree_get(t, "file");
    const char *dir = said_in(el, t);
    const char *at =
        *dir && *file->text != '/' ? str_printf(el->arena, "%s/%s", dir, file->text) : file->text;
    int64_t *sizes;
    Error err = {0};
    if (!tensor_file_shape(el->arena, at, tensor_name(t, path), &sizes, rank, &err)) {
        el_error(el, file->loc, "%s", err.text);
        diag_help(el->diag, "its shape is not said, so the file is looked at now; with shape: "
                            "[..] it is when a run begins");
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
    if (tensor && is_npy(file->text)) {
        el_error(el, tensor->loc, "an .npy file is one array, without a name");
        diag_help(el->diag, "leave out 'tensor'");
        return false;
    }
    if (!dtype_read(el, tree_get(t, "dtype"), dtype)) return false;
    if (!tree_get(t, "shape") && !shape_read(el, t, path, axes, rank)) return false;
    map_set(el->arena, &el->constants, path, (void *)t);
    return true;
}

void put_checksum(Elab *el, Json *j, const Tree *t)
{
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
    diag_help(el->diag, "sha256sum FILE prints it");
}

void put_constant(Elab *el, Json *j, const char *path, const Tree *t)
{
    const char *file = tree_get(t, "file")->text;
    json_open(j, NULL, '{');
    json_str(j, "owns", path);
    json_str(j, "base_dir", folder_said_in(el, t));
    json_str(j, "file", file);
    json_bool(j, "constant", true);
    put_checksum(el, j, tree_get(t, "checksum"));
    json_open(j, "rename", '[');
    put_file_rule(j, is_npy(file) ? "*" : tensor_name(t, path), path);
    put_file_rule(j, "*", "");
    json_close(j, ']');
    json_close(j, '}');
}
