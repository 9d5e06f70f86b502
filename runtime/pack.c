// Packing in two steps: the folder or the table becomes a list of samples, each a list of files to
// copy and texts to write; then one writer makes shards of the list.
#include "runtime/pack.h"

#include "base/map.h"
#include "base/vec.h"
#include "runtime/csv.h"
#include "runtime/image.h"
#include "runtime/tarwrite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// A member of a sample: a file to copy, or a text.
typedef struct Part {
    const char *extension; // NULL: by the picture's content
    const char *path, *text;
} Part;

typedef struct PackSample {
    VEC(Part) parts;
    const char *where; // "table.csv:12", for messages
    const char *class_name;
} PackSample;

typedef VEC(const char *) Names;

typedef struct Pack {
    Arena *arena;
    const PackOptions *options;
    VEC(PackSample) samples;
    Names classes; // in byte order
    Error *err;
} Pack;

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// A whole file; free() it. NULL with err.
static char *read_file(const char *path, const char *where, size_t *size, Error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    char *data = ok ? malloc((size_t)st.st_size + 1) : NULL;
    size_t n = 0;
    for (ssize_t got = 1; data && n < (size_t)st.st_size && got > 0;
         n += (size_t)(got > 0 ? got : 0))
        got = read(fd, data + n, (size_t)st.st_size - n);
    int code = errno;
    if (fd >= 0) close(fd);
    if (data && n == (size_t)st.st_size) {
        *size = n;
        return data;
    }
    free(data);
    error_set(err, "%s%s%s: cannot read the file: %s", where ? where : "", where ? ": " : "", path,
              fd >= 0 && !ok ? "not a regular file" : strerror(code));
    return NULL;
}

// ---- Writing ----

static const char *shard_path(const Pack *p, int64_t shard, bool temporary)
{
    return str_printf(p->arena, "%s-%05lld.tar%s", p->options->prefix, (long long)shard,
                      temporary ? ".tmp" : "");
}

static bool write_part(const Pack *p, TarWriter *tar, const PackSample *s, const Part *part,
                       int64_t number)
{
    const char *extension = part->extension, *data = part->text;
    size_t size = data ? strlen(data) : 0;
    char *file = NULL;
    if (!data) {
        data = file = read_file(part->path, s->where, &size, p->err);
        if (!file) return false;
    }
    if (!extension) extension = image_format(data, size);
    bool ok = extension || error_set(p->err, "%s%s%s: neither JPEG, PNG nor WebP",
                                     s->where ? s->where : "", s->where ? ": " : "", part->path);
    ok = ok && tarwrite_add(tar, str_printf(p->arena, "%08lld.%s", (long long)number, extension),
                            data, size, p->err);
    free(file);
    return ok;
}

static bool write_shard(const Pack *p, int64_t shard, int64_t begin, int64_t end)
{
    TarWriter *tar = tarwrite_open(shard_path(p, shard, true), p->err);
    if (!tar) return false;
    for (int64_t i = begin; i < end; i++) {
        const PackSample *s = &p->samples.at[i];
        for (uint32_t k = 0; k < s->parts.n; k++)
            if (!write_part(p, tar, s, &s->parts.at[k], i)) {
                tarwrite_abandon(tar);
                return false;
            }
    }
    return tarwrite_close(tar, p->err);
}

static bool write_classes(const Pack *p)
{
    if (!p->classes.n) return true;
    const char *path = str_printf(p->arena, "%s-classes.txt", p->options->prefix);
    const char *temporary = str_printf(p->arena, "%s.tmp", path);
    FILE *file = fopen(temporary, "wbe");
    bool ok = file != NULL;
    for (uint32_t i = 0; ok && i < p->classes.n; i++)
        ok = fprintf(file, "%s\n", p->classes.at[i]) > 0;
    ok = ok && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file && fclose(file) != 0) ok = false;
    ok = ok && rename(temporary, path) == 0;
    return ok || error_set(p->err, "%s: cannot write the classes: %s", path, strerror(errno));
}

// Make the renames last: fsync the folder that holds the shards.
static bool sync_folder(const Pack *p)
{
    const char *slash = strrchr(p->options->prefix, '/');
    const char *folder =
        !slash ? "."
        : slash == p->options->prefix
            ? "/"
            : str_slice(p->arena, p->options->prefix, (size_t)(slash - p->options->prefix));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return ok || error_set(p->err, "%s: cannot sync the folder: %s", folder, strerror(errno));
}

static bool write_all(const Pack *p, PackResult *result)
{
    int64_t per_shard = p->options->per_shard > 0 ? p->options->per_shard : 1000;
    int64_t samples = p->samples.n, shards = 0;
    if (!samples) return error_set(p->err, "no pictures to pack");
    if (access(shard_path(p, 0, false), F_OK) == 0)
        return error_set(p->err,
                         "%s is there already: remove the old shards, or choose another prefix",
                         shard_path(p, 0, false));
    bool ok = true;
    for (int64_t begin = 0; ok && begin < samples; begin += per_shard, shards++)
        ok = write_shard(p, shards, begin,
                         begin + per_shard < samples ? begin + per_shard : samples);
    ok = ok && write_classes(p);
    for (int64_t i = 0; ok && i < shards; i++)
        if (rename(shard_path(p, i, true), shard_path(p, i, false)) != 0)
            ok = error_set(p->err, "%s: cannot rename the shard: %s", shard_path(p, i, true),
                           strerror(errno));
    for (int64_t i = 0; !ok && i < shards; i++) unlink(shard_path(p, i, true));
    *result = (PackResult){samples, shards, p->classes.n};
    return ok && sync_folder(p);
}

static void add_part(Pack *p, PackSample *s, const char *extension, const char *path,
                     const char *text)
{
    vec_push(p->arena, &s->parts, (Part){extension, path, text});
}

// Number the class names of all samples and give each sample its .cls.
static void number_classes(Pack *p)
{
    Map seen = {0};
    for (uint32_t i = 0; i < p->samples.n; i++) {
        const char *name = p->samples.at[i].class_name;
        if (name && map_set(p->arena, &seen, name, p)) vec_push(p->arena, &p->classes, name);
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
}

// ---- Folders ----

// The entries of a folder in byte order, without hidden ones.
static bool list_folder(Pack *p, const char *folder, Names *to)
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

// The template with {} replaced by the class name.
static const char *fill_template(Pack *p, const char *template, const char *class_name)
{
    const char *hole = strstr(template, "{}");
    if (!hole) return template;
    return str_printf(p->arena, "%.*s%s%s", (int)(hole - template), template,
                      class_name ? class_name : "", hole + 2);
}

// A picture and the files beside it with the same name up to the first dot.
static bool add_picture(Pack *p, const char *folder, const Names *names, uint32_t which,
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
        return error_set(p->err, "%s/%s: no .txt beside it, and no caption template is given",
                         folder, name);
    if (!captioned) add_part(p, &s, "txt", NULL, fill_template(p, p->options->caption, class_name));
    vec_push(p->arena, &p->samples, s);
    return true;
}

static bool walk(Pack *p, const char *folder, const char *class_name, int depth)
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
    Pack p = {.arena = arena_new(), .options = options, .err = err};
    bool ok = walk(&p, folder, NULL, 0);
    if (ok) number_classes(&p);
    ok = ok && write_all(&p, result);
    arena_free(p.arena);
    return ok;
}

// ---- Tables ----

static bool is_number(const char *s)
{
    return *s && !s[strspn(s, "0123456789")];
}

static const char *beside(Pack *p, const char *table, const char *file)
{
    const char *slash = strrchr(table, '/');
    if (file[0] == '/' || !slash) return file;
    return str_printf(p->arena, "%.*s/%s", (int)(slash - table), table, file);
}

// The member's name of a label column: the column, and the file's extension where the column has no
// dot.
static const char *label_extension(Pack *p, const char *column, const char *file)
{
    const char *slash = strrchr(file, '/'), *dot = strrchr(slash ? slash : file, '.');
    return strchr(column, '.') || !dot ? column : str_printf(p->arena, "%s%s", column, dot);
}

static bool add_row(Pack *p, const char *table, const CsvRow *header, const CsvRow *row,
                    bool numbers)
{
    PackSample s = {.where = str_printf(p->arena, "%s:%u", table, row->line)};
    for (uint32_t i = 0; i < row->n; i++) {
        const char *column = header->cells[i], *cell = row->cells[i];
        bool file = strcmp(column, "file") == 0, caption = strcmp(column, "caption") == 0;
        if (!*cell && (file || caption))
            return error_set(p->err, "%s: the cell of column '%s' is empty", s.where, column);
        if (!*cell) continue;
        if (file)
            add_part(p, &s, NULL, beside(p, table, cell), NULL);
        else if (caption)
            add_part(p, &s, "txt", NULL, cell);
        else if (strcmp(column, "class") != 0)
            add_part(p, &s, label_extension(p, column, cell), beside(p, table, cell), NULL);
        else if (numbers)
            add_part(p, &s, "cls", NULL, cell);
        else
            s.class_name = cell;
    }
    vec_push(p->arena, &p->samples, s);
    return true;
}

static bool read_table(Pack *p, const char *table, const Csv *csv)
{
    uint32_t found = 0, class_column = UINT32_MAX;
    const CsvRow *header = &csv->rows[0];
    for (uint32_t i = 0; i < header->n; i++) {
        const char *column = header->cells[i];
        found += strcmp(column, "file") == 0 || strcmp(column, "caption") == 0;
        if (strcmp(column, "class") == 0) class_column = i;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(column, header->cells[k]) == 0)
                return error_set(p->err, "%s:1: column '%s' is there twice", table, column);
    }
    if (found != 2)
        return error_set(p->err, "%s:1: the columns 'file' and 'caption' are wanted", table);
    bool numbers = true; // whether all classes are
    for (uint32_t i = 1; class_column != UINT32_MAX && i < csv->n; i++) {
        const char *cell = csv->rows[i].cells[class_column];
        numbers = numbers && (!*cell || is_number(cell));
    }
    for (uint32_t i = 1; i < csv->n; i++)
        if (!add_row(p, table, header, &csv->rows[i], numbers)) return false;
    return true;
}

bool pack_csv(const char *table, const PackOptions *options, PackResult *result, Error *err)
{
    size_t size;
    char *text = read_file(table, NULL, &size, err);
    if (!text) return false;
    Pack p = {.arena = arena_new(), .options = options, .err = err};
    Csv csv;
    bool ok = csv_parse(p.arena, table, text, size, &csv, err) && read_table(&p, table, &csv);
    if (ok) number_classes(&p);
    ok = ok && write_all(&p, result);
    arena_free(p.arena);
    free(text);
    return ok;
}
