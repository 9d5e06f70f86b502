// What is packed: a folder or a table becomes a list of samples, each a list of files to copy and
// texts to write. runtime/pack_write.c makes shards of the list.
#include "runtime/pack_list.h"

#include "base/map.h"
#include "runtime/csv.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

typedef VEC(const char *) Names;

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_part(PackList *p, PackSample *s, const char *extension, const char *path,
                     const char *text)
{
    vec_push(p->arena, &s->parts, (Part){extension, path, text});
}

// A bad sample, with a message; true where it is left out.
__attribute__((format(printf, 2, 3))) static bool reject(PackList *p, const char *fmt, ...)
{
    Error why = {.set = true};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why.text, sizeof why.text, fmt, ap);
    va_end(ap);
    return pack_reject(p->options, &why, &p->skipped, p->err);
}

// Number the class names of all samples and give each sample its .cls.
static bool number_classes(PackList *p)
{
    Map seen = {0};
    for (uint32_t i = 0; i < p->samples.n; i++) {
        const char *name = p->samples.at[i].class_name;
        if (!name || !map_set(p->arena, &seen, name, p)) continue;
        if (pack_utf8(name, strlen(name)) < strlen(name))
            return error_set(p->err, "class '%s': the name is not valid UTF-8", name);
        vec_push(p->arena, &p->classes, name);
    }
    if (p->classes.n) qsort(p->classes.at, p->classes.n, sizeof *p->classes.at, by_bytes);
    for (uint32_t i = 0; i < p->classes.n; i++)
        map_set(p->arena, &seen, p->classes.at[i], (void *)(uintptr_t)(i + 1));
    for (uint32_t i = 0; i < p->samples.n; i++) {
        PackSample *s = &p->samples.at[i];
        if (!s->class_name) continue;
        uintptr_t number = (uintptr_t)map_get(&seen, s->class_name) - 1;
        add_part(p, s, "cls", NULL, str_printf(p->arena, "%zu", (size_t)number));
    }
    return true;
}

// ---- Folders ----

// The entries of a folder in byte order, without hidden ones.
static bool list_folder(PackList *p, const char *folder, Names *to)
{
    DIR *dir = opendir(folder);
    if (!dir) return error_set(p->err, "%s: cannot read the folder: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.') vec_push(p->arena, to, str_copy(p->arena, e->d_name));
    closedir(dir);
    if (to->n) qsort(to->at, to->n, sizeof *to->at, by_bytes);
    return true;
}

static bool is_picture(const char *extension)
{
    static const char *const known[] = {"jpg", "jpeg", "png", "webp"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(extension, known[i]) == 0) return true;
    return false;
}

// Give the sample the options' caption, {} replaced by its class; false when it has none to fill
// in.
static bool add_template(PackList *p, PackSample *s, const char *class_name)
{
    const char *template = p->options->caption, *hole = strstr(template, "{}");
    if (hole && !class_name) return false;
    if (hole)
        template = str_printf(p->arena, "%.*s%s%s", (int)(hole - template), template, class_name,
                              hole + 2);
    add_part(p, s, "txt", NULL, template);
    return true;
}

// A picture and the files beside it with the same name up to the first dot.
static bool add_picture(PackList *p, const char *folder, const Names *names, uint32_t which,
                        const char *class_name)
{
    const char *name = names->at[which];
    size_t stem = strcspn(name, ".");
    PackSample s = {.class_name = class_name};
    add_part(p, &s, NULL, str_printf(p->arena, "%s/%s", folder, name), NULL);
    bool captioned = false;
    uint32_t i = which; // names with one beginning lie side by side
    while (i && strncmp(names->at[i - 1], name, stem + 1) == 0) i--;
    for (; i < names->n && strncmp(names->at[i], name, stem + 1) == 0; i++) {
        const char *other = names->at[i];
        if (i == which) continue;
        const char *extension = other + stem + 1,
                   *path = str_printf(p->arena, "%s/%s", folder, other);
        if (is_picture(extension))
            return error_set(p->err, "%s: two pictures of one name (%s beside it)", path, name);
        captioned = captioned || strcmp(extension, "txt") == 0;
        add_part(p, &s, extension, path, NULL);
    }
    if (!captioned && !p->options->caption)
        return reject(p, "%s/%s: no .txt beside it, and no --caption is given", folder, name);
    if (!captioned && !add_template(p, &s, class_name))
        return reject(p, "%s/%s: the caption wants a class, and the picture is in no sub-folder",
                      folder, name);
    vec_push(p->arena, &p->samples, s);
    return true;
}

static bool walk(PackList *p, const char *folder, const char *class_name, int depth)
{
    Names names = {0};
    if (depth > 64) return error_set(p->err, "%s: folders nested more than 64 deep", folder);
    if (!list_folder(p, folder, &names)) return false;
    for (uint32_t i = 0; i < names.n; i++) {
        const char *path = str_printf(p->arena, "%s/%s", folder, names.at[i]);
        const char *dot = strchr(names.at[i], '.');
        struct stat st;
        if (stat(path, &st) != 0) return error_set(p->err, "%s: %s", path, strerror(errno));
        bool ok = true;
        if (S_ISDIR(st.st_mode))
            ok = walk(p, path, class_name ? class_name : names.at[i], depth + 1);
        else if (dot && is_picture(dot + 1))
            ok = add_picture(p, folder, &names, i, class_name);
        if (!ok) return false;
    }
    return true;
}

bool pack_folder(const char *folder, const PackOptions *options, PackResult *result, Error *err)
{
    PackList p = {.arena = arena_new(), .options = options, .err = err};
    bool ok = walk(&p, folder, NULL, 0);
    ok = ok && number_classes(&p) && pack_write(&p, result);
    arena_free(p.arena);
    return ok;
}

// ---- Tables ----

static bool is_number(const char *s)
{
    return *s && !s[strspn(s, "0123456789")];
}

static const char *beside(PackList *p, const char *table, const char *file)
{
    const char *slash = strrchr(table, '/');
    if (file[0] == '/' || !slash) return file;
    return str_printf(p->arena, "%.*s/%s", (int)(slash - table), table, file);
}

// The member's name of a label column: the column, and the file's extension where the column has no
// dot.
static const char *label_extension(PackList *p, const char *column, const char *file)
{
    const char *slash = strrchr(file, '/'), *dot = strrchr(slash ? slash : file, '.');
    return strchr(column, '.') || !dot ? column : str_printf(p->arena, "%s%s", column, dot);
}

typedef struct Table {
    const char *name;
    const CsvRow *header;
    int32_t file, caption, class; // columns, -1 for none
    bool numbers;                 // whether all classes are
} Table;

static bool add_row(PackList *p, const Table *t, const CsvRow *row)
{
    PackSample s = {.where = str_printf(p->arena, "%s:%u", t->name, row->line)};
    const char *class = t->class < 0 ? "" : row->cells[t->class];
    if (!*row->cells[t->file]) return reject(p, "%s: the cell of column 'file' is empty", s.where);
    for (int32_t i = 0; i < (int32_t)row->n; i++) {
        const char *column = t->header->cells[i], *cell = row->cells[i];
        if (!*cell || i == t->class) continue;
        if (i == t->caption)
            add_part(p, &s, "txt", NULL, cell);
        else
            add_part(p, &s, i == t->file ? NULL : label_extension(p, column, cell),
                     beside(p, t->name, cell), NULL);
    }
    if (t->caption < 0 || !*row->cells[t->caption]) {
        if (!p->options->caption)
            return reject(p, "%s: the cell of column 'caption' is empty", s.where);
        if (!add_template(p, &s, *class ? class : NULL))
            return reject(p, "%s: the caption wants a class, and the row has none", s.where);
    }
    if (*class && t->numbers) add_part(p, &s, "cls", NULL, class);
    if (*class && !t->numbers) s.class_name = class;
    vec_push(p->arena, &p->samples, s);
    return true;
}

// Find the columns by name.
static bool read_header(const PackList *p, Table *t)
{
    for (int32_t i = 0; i < (int32_t)t->header->n; i++) {
        const char *column = t->header->cells[i];
        if (!*column) return error_set(p->err, "%s:1: column %d has no name", t->name, i + 1);
        for (int32_t k = 0; k < i; k++)
            if (strcmp(column, t->header->cells[k]) == 0)
                return error_set(p->err, "%s:1: column '%s' is there twice", t->name, column);
        if (strcmp(column, "file") == 0) t->file = i;
        if (strcmp(column, "caption") == 0) t->caption = i;
        if (strcmp(column, "class") == 0) t->class = i;
    }
    if (t->file < 0 || (t->caption < 0 && !p->options->caption))
        return error_set(p->err,
                         "%s:1: the columns 'file' and 'caption' are wanted (or --caption TEXT)",
                         t->name);
    return true;
}

static bool read_table(PackList *p, const char *name, const Csv *csv)
{
    Table t = {name, &csv->rows[0], -1, -1, -1, true};
    if (!read_header(p, &t)) return false;
    for (uint32_t i = 1; t.class >= 0 && i < csv->n; i++) {
        const char *cell = csv->rows[i].cells[t.class];
        t.numbers = t.numbers && (!*cell || is_number(cell));
    }
    for (uint32_t i = 1; i < csv->n; i++)
        if (!add_row(p, &t, &csv->rows[i])) return false;
    return true;
}

bool pack_csv(const char *table, const PackOptions *options, PackResult *result, Error *err)
{
    size_t size;
    char *text = pack_read_file(table, NULL, &size, err);
    if (!text) return false;
    PackList p = {.arena = arena_new(), .options = options, .err = err};
    Csv csv;
    bool ok = csv_parse(p.arena, table, text, size, &csv, err) && read_table(&p, table, &csv);
    ok = ok && number_classes(&p) && pack_write(&p, result);
    arena_free(p.arena);
    free(text);
    return ok;
}
