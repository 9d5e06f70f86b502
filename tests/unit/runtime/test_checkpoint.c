// Checkpoints: round trip, damage found, older one taken, disk full, pruning.
#include "runtime/checkpoint.h"
#include "runtime/safetensors.h"
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
    Arena *arena;
    Step *step;
    Exec *exec;
    const char *folder;
    char warned[2048];
} Fixture;

static Fixture open_fixture(void)
{
    Fixture f = {.arena = arena_new()};
    Error err = {0};
    f.step = tiny_load(f.arena);
    f.exec = tiny_exec(f.step, 1);
    f.folder = str_printf(f.arena, "%s/runs", tiny_folder(f.arena));
    cr_assert(exec_init(f.exec, 5, &err));
    return f;
}

static void close_fixture(Fixture *f)
{
    exec_free(f->exec);
    step_free(f->step);
    tiny_remove(str_slice(f->arena, f->folder, strlen(f->folder) - 5));
    arena_free(f->arena);
}

static void note(void *ctx, const char *text)
{
    Fixture *f = ctx;
    size_t n = strlen(f->warned);
    snprintf(f->warned + n, sizeof f->warned - n, "%s\n", text);
}

static void save(Fixture *f, int64_t step)
{
    Error err = {0};
    cr_assert(exec_run(f->exec, 2, step, 0, &err));
    cr_assert(checkpoint_save(f->exec, f->folder, step, 99, "{\"n\":[1,2]}", &err), "%s", err.text);
}

static Checkpoint latest(Fixture *f)
{
    Checkpoint c;
    Error err = {0};
    f->warned[0] = '\0';
    cr_assert(checkpoint_latest(f->arena, f->folder, &c, (CheckpointWarn){note, f}, &err), "%s",
              err.text);
    return c;
}

static bool there(Fixture *f, const char *name)
{
    return access(str_printf(f->arena, "%s/%s", f->folder, name), F_OK) == 0;
}

Test(checkpoint, brings_back_every_bit_and_derives_the_rest)
{
    Fixture f = open_fixture();
    cr_assert_null(latest(&f).path, "no folder is no checkpoint");
    for (int64_t i = 1; i <= 3; i++) save(&f, i);
    uint8_t before[256];
    memcpy(before, exec_state_address(f.exec, 0), 256);
    memset(exec_state_address(f.exec, 0), 0xee, 256);
    Checkpoint c = latest(&f);
    cr_assert_eq(c.step, 3);
    cr_assert_eq(c.seed, 99);
    cr_assert_str_eq(c.position, "{\"n\":[1,2]}");
    cr_assert_str_eq(c.source_hash, "abc");
    Error err = {0};
    cr_assert(checkpoint_load(f.exec, &c, &err), "%s", err.text);
    for (uint32_t i = 0; i < f.step->nstate; i++) {
        const CztTensor *t = &f.step->state[i];
        cr_assert_eq(memcmp(exec_state(f.exec, i, &err), before + t->offset, (size_t)t->bytes), 0,
                     "%s", t->name);
    }
    const char *params = str_printf(f.arena, "%s/params.safetensors", c.path);
    SafeTensors st;
    cr_assert(safetensors_open(&st, params, &err));
    cr_assert_eq(st.n, 1, "parameters only, under their paths");
    cr_assert_str_eq(st.tensors[0].name, "w");
    safetensors_close(&st);
    close_fixture(&f);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    cr_assert_not_null(file, "%s", path);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 1, file);
    fclose(file);
}

Test(checkpoint, names_a_damaged_one_and_takes_an_older)
{
    static const char *const files[] = {"params.safetensors", "state.safetensors", "position.json"};
    Fixture f = open_fixture();
    save(&f, 7);
    save(&f, 10);
    for (int i = 0; i < 3; i++) {
        const char *path = str_printf(f.arena, "%s/step-00000010/%s", f.folder, files[i]);
        flip(path, -3);
        cr_assert_eq(latest(&f).step, 7);
        cr_assert(strstr(f.warned, path) && strstr(f.warned, "checksum"), "%s", f.warned);
        flip(path, -3);
        struct stat st;
        stat(path, &st);
        char *copy = malloc((size_t)st.st_size);
        int fd = open(path, O_RDWR);
        cr_assert_eq(read(fd, copy, (size_t)st.st_size), st.st_size);
        cr_assert_eq(ftruncate(fd, st.st_size - 1), 0);
        cr_assert_eq(latest(&f).step, 7);
        cr_assert(strstr(f.warned, "were written"), "%s", f.warned);
        cr_assert_eq(pwrite(fd, copy, (size_t)st.st_size, 0), st.st_size);
        close(fd);
        free(copy);
        cr_assert_eq(latest(&f).step, 10);
        cr_assert_str_eq(f.warned, "");
    }
    unlink(str_printf(f.arena, "%s/step-00000010/manifest.json", f.folder));
    cr_assert_eq(latest(&f).step, 7);
    unlink(str_printf(f.arena, "%s/step-00000007/state.safetensors", f.folder));
    Error err = {0};
    Checkpoint c;
    cr_assert(!checkpoint_latest(f.arena, f.folder, &c, (CheckpointWarn){0}, &err));
    cr_assert(strstr(err.text, "none of its 2 checkpoints is whole"), "%s", err.text);
    close_fixture(&f);
}

Test(checkpoint, keeps_the_newest_and_clears_what_was_half_written)
{
    Fixture f = open_fixture();
    for (int64_t i = 8; i <= 11; i++) save(&f, i);
    save(&f, 123456789);
    mkdir(str_printf(f.arena, "%s/step-00000012.tmp.1", f.folder), 0777);
    mkdir(str_printf(f.arena, "%s/notes", f.folder), 0777);
    close(creat(str_printf(f.arena, "%s/step-00000012.tmp.1/params.safetensors", f.folder), 0666));
    cr_assert_eq(latest(&f).step, 123456789);
    checkpoint_prune(f.folder, 123456789, 2, (CheckpointWarn){note, &f});
    cr_assert_str_eq(f.warned, "");
    cr_assert(there(&f, "step-123456789") && there(&f, "step-00000011") && there(&f, "notes"));
    cr_assert(!there(&f, "step-00000010") && !there(&f, "step-00000008"));
    cr_assert(!there(&f, "step-00000012.tmp.1") && !there(&f, "step-00000010.tmp.old"));
    checkpoint_prune(f.folder, 123456789, 0, (CheckpointWarn){note, &f});
    cr_assert(there(&f, "step-00000011"), "0 keeps all");
    save(&f, 12);
    checkpoint_prune(f.folder, 12, 1, (CheckpointWarn){note, &f});
    cr_assert(there(&f, "step-00000012") && !there(&f, "step-00000011"));
    cr_assert(there(&f, "step-123456789"), "a newer one says nothing of what is whole");
    close_fixture(&f);
}

Test(checkpoint, replaces_one_of_the_same_step)
{
    Fixture f = open_fixture();
    save(&f, 4);
    float first[4], second[4];
    Error err = {0};
    cr_assert(exec_get_state(f.exec, "w", first, 16, &err));
    save(&f, 4);
    cr_assert(exec_get_state(f.exec, "w", second, 16, &err));
    cr_assert_neq(memcmp(first, second, 16), 0);
    Checkpoint c = latest(&f);
    cr_assert(exec_init(f.exec, 0, &err) && checkpoint_load(f.exec, &c, &err));
    cr_assert(exec_get_state(f.exec, "w", first, 16, &err));
    cr_assert_eq(memcmp(first, second, 16), 0);
    cr_assert_eq(system(str_printf(f.arena, "test $(ls %s | wc -l) = 1", f.folder)), 0);
    close_fixture(&f);
}

Test(checkpoint, disk_full_leaves_the_earlier_one)
{
    Fixture f = open_fixture();
    save(&f, 1);
    // A limit on file sizes fails write(2) as a full disk does.
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 260; limit += 20) {
        struct rlimit old;
        Error err = {0};
        getrlimit(RLIMIT_FSIZE, &old);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, old.rlim_max});
        bool ok = checkpoint_save(f.exec, f.folder, 2, 99, "{}", &err);
        setrlimit(RLIMIT_FSIZE, &old);
        cr_assert(!ok, "limit %d", (int)limit);
        cr_assert(strstr(err.text, "step-00000002"), "%s", err.text);
        cr_assert_eq(latest(&f).step, 1);
        cr_assert_str_eq(f.warned, "");
        cr_assert_eq(system(str_printf(f.arena, "test $(ls %s | wc -l) = 1", f.folder)), 0);
    }
    Error err = {0};
    cr_assert(!checkpoint_save(f.exec, f.folder, 2, 99, "{not json", &err));
    cr_assert(!checkpoint_save(f.exec, "/nowhere/at/all", 2, 99, "{}", &(Error){0}));
    save(&f, 2);
    cr_assert_eq(latest(&f).step, 2);
    close_fixture(&f);
}

Test(checkpoint, refuses_another_program)
{
    Fixture f = open_fixture();
    save(&f, 1);
    Error err = {0};
    size_t size;
    const char *text = tiny_replace(f.arena, tiny_manifest, "\"w.m\"", "\"w.momentum\"");
    uint8_t *bytes = tiny_build(f.arena, text, "", 0, &size);
    Step *other = step_load_memory("other.czt", bytes, size, &err);
    Exec *exec = tiny_exec(other, 1);
    Checkpoint c = latest(&f);
    cr_assert(!checkpoint_load(exec, &c, &err));
    cr_assert(strstr(err.text, "'w.momentum' f32 [2, 2] is missing; 'w.m' is unknown"), "%s",
              err.text);
    exec_free(exec);
    step_free(other);
    close_fixture(&f);
}
