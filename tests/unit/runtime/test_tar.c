// Reading of tar archives: what tarwrite and GNU tar write, and what is damaged.
#include "runtime/tar.h"

#include "data_make.h"

#include <fcntl.h>

static char folder[300], path[400];

static void begin(void)
{
    make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/a.tar", folder);
}

static void end(void)
{
    remove_folder(folder);
}

TestSuite(tar, .init = begin, .fini = end);

// Three members of 5, 600 and 0 bytes.
static void write_three(void)
{
    Error err = {0};
    char big[600];
    memset(big, 'b', sizeof big);
    TarWriter *t = tarwrite_open(path, &err);
    cr_assert(t);
    cr_assert(tarwrite_add(t, "one.txt", "hello", 5, &err));
    cr_assert(tarwrite_add(t, "dir/two.x.jpg", big, 600, &err));
    cr_assert(tarwrite_add(t, "three.cls", "", 0, &err));
    cr_assert(tarwrite_close(t, &err));
}

// Members up to the end or the damage.
static int count_members(TarResult *result, Error *err)
{
    Tar *tar = tar_open(path, err);
    cr_assert(tar);
    TarMember m;
    int n = 0;
    while ((*result = tar_next(tar, &m, err)) == TAR_MEMBER) n++;
    tar_close(tar);
    return n;
}

Test(tar, reads_what_was_written)
{
    write_three();
    Error err = {0};
    Tar *tar = tar_open(path, &err);
    TarMember m;
    cr_assert_eq(tar_next(tar, &m, &err), TAR_MEMBER);
    cr_expect(strcmp(m.name, "one.txt") == 0 && m.size == 5);
    char text[6] = {0};
    int fd = open(path, O_RDONLY);
    cr_assert(tar_read(fd, path, m.offset, text, 5, &err));
    cr_expect_str_eq(text, "hello");
    cr_assert_eq(tar_next(tar, &m, &err), TAR_MEMBER);
    cr_expect(strcmp(m.name, "dir/two.x.jpg") == 0 && m.size == 600);
    cr_assert_eq(tar_next(tar, &m, &err), TAR_MEMBER);
    cr_expect(strcmp(m.name, "three.cls") == 0 && m.size == 0);
    cr_expect_eq(tar_next(tar, &m, &err), TAR_END);
    cr_expect_not(tar_read(fd, path, 1 << 20, text, 5, &err));
    cr_expect(strstr(err.text, "the file ends there"), "%s", err.text);
    close(fd);
    tar_close(tar);
}

Test(tar, long_names_in_pax_and_gnu_form)
{
    char name[300], command[1200];
    memset(name, 'n', 250);
    strcpy(name + 250, ".jpg");
    Error err = {0};
    TarWriter *t = tarwrite_open(path, &err);
    cr_assert(tarwrite_add(t, name, "x", 1, &err) && tarwrite_add(t, "s.txt", "y", 1, &err));
    cr_assert(tarwrite_close(t, &err));
    for (int format = 0; format < 3; format++) {
        static const char *const formats[] = {NULL, "gnu", "pax"};
        if (format) {
            strcpy(name + 200, ".jpg"); // 204 bytes
            snprintf(command, sizeof command,
                     "cd '%s' && touch -d @0 s.txt '%s' && tar --format=%s -cf a.tar './%s' s.txt",
                     folder, name, formats[format], name);
            cr_assert_eq(system(command), 0);
        }
        Tar *tar = tar_open(path, &err);
        TarMember m;
        cr_assert_eq(tar_next(tar, &m, &err), TAR_MEMBER, "%s", err.text);
        cr_expect_str_eq(m.name, name);
        cr_assert_eq(tar_next(tar, &m, &err), TAR_MEMBER);
        cr_expect_str_eq(m.name, "s.txt");
        cr_expect_eq(tar_next(tar, &m, &err), TAR_END);
        tar_close(tar);
    }
}

Test(tar, python_and_gnu_agree_on_our_archives)
{
    write_three();
    char command[900];
    snprintf(command, sizeof command,
             "cd '%s' && tar -tvf a.tar | awk '{print $3, $6}' > got && printf '5 one.txt\\n600 "
             "dir/two.x.jpg\\n0 "
             "three.cls\\n' | cmp - got",
             folder);
    cr_expect_eq(system(command), 0);
}

Test(tar, every_truncation_is_told)
{
    write_three();
    Bytes whole = slurp(path);
    for (size_t n = 0; n < whole.n; n += 37) {
        spit(path, whole.at, n);
        Error err = {0};
        TarResult result;
        int members = count_members(&result, &err);
        bool whole_body =
            n == 0 || (n >= 517 && n <= 1024) || (n >= 2136 && n <= 2560) || n >= 3072;
        TarResult want = n >= 4096 ? TAR_END : whole_body ? TAR_CUT : TAR_DAMAGED;
        cr_expect_eq(result, want, "%zu", n);
        char where[500];
        snprintf(where, sizeof where, "%s: cut off at byte %zu: the two zero blocks", path, n);
        cr_expect(want != TAR_CUT || strstr(err.text, where), "%zu: %s", n, err.text);
        cr_expect_eq(members, (n >= 512 + 5) + (n >= 1024 + 512 + 600) + (n >= 3072), "%zu: %d", n,
                     members);
    }
    free(whole.at);
}

Test(tar, damage_names_file_and_member)
{
    write_three();
    Bytes whole = slurp(path);
    whole.at[1024] ^= 1; // the second header
    spit(path, whole.at, whole.n);
    Error err = {0};
    TarResult result;
    cr_expect_eq(count_members(&result, &err), 1);
    cr_expect(strstr(err.text, path) && strstr(err.text, "bad header checksum") &&
              strstr(err.text, "one.txt"));
    whole.at[1024] ^= 1;
    spit(path, whole.at, 1600);
    err = (Error){0};
    cr_expect_eq(count_members(&result, &err), 1);
    cr_expect(strstr(err.text, "dir/two.x.jpg is cut off"), "%s", err.text);
    free(whole.at);
}

Test(tar, no_flipped_byte_is_trusted)
{
    write_three();
    Bytes whole = slurp(path);
    for (size_t i = 0; i < whole.n; i++) {
        whole.at[i] ^= (unsigned char)(1 + i % 255);
        spit(path, whole.at, whole.n);
        Error err = {0};
        TarResult result;
        int n = count_members(&result, &err);
        cr_expect(n <= 3);
        bool header = i < 512 || (i >= 1024 && i < 1536) || (i >= 2560 && i < 3072);
        bool ignored = i % 512 == 155; // behind the checksum's own end
        if (header && !ignored) cr_expect_eq(result, TAR_DAMAGED, "byte %zu", i);
        whole.at[i] ^= (unsigned char)(1 + i % 255);
    }
    free(whole.at);
}

Test(tar, what_is_no_file_is_an_error)
{
    Error err = {0};
    cr_expect_null(tar_open("/nonexistent/x.tar", &err));
    cr_expect(strstr(err.text, "/nonexistent/x.tar"));
    err = (Error){0};
    cr_expect_null(tar_open("/tmp", &err));
    err = (Error){0};
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_null(tar_open(path, &err)); // and does not wait for a writer
    cr_expect(strstr(err.text, "not a regular file"), "%s", err.text);
}

Test(tar, split_by_the_first_dot_of_the_base_name)
{
    size_t n;
    const char *e;
    cr_expect(tar_split("a.b/c.seg.png", &n, &e) && n == 5 && strcmp(e, "seg.png") == 0);
    cr_expect(tar_split("x.jpg", &n, &e) && n == 1 && strcmp(e, "jpg") == 0);
    cr_expect_not(tar_split("README", &n, &e));
    cr_expect_not(tar_split("d/.hidden", &n, &e));
    cr_expect_not(tar_split("x.", &n, &e));
}
