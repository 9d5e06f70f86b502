// Labels by role, and the .npy reader under them.
#include "runtime/field.h"

#include "data_make.h"
#include "base/npy.h"

#include <math.h>

static const Geometry whole = {0, 0, 1, 1, false};

// Decode b as a field of 2 x 2 pixels (or n elements); b is freed. Buffers hold 64 numbers.
static bool decode(FieldSpec f, Bytes b, void *value, uint8_t *valid, Error *err)
{
    Decoder d = {0};
    f.height = f.width = 2;
    unsigned char *exact = malloc(b.n + 1); // so that reading past the end is seen
    memcpy(exact, b.at, b.n);
    bool ok = field_decode(&f, NULL, exact, b.n, &whole, 1, &d, value, valid, err);
    free(exact);
    free(b.at);
    decoder_free(&d);
    return ok;
}

Test(field, normals_of_a_png)
{
    unsigned char p[4][3] = {{255, 128, 128}, {128, 128, 255}, {0, 0, 0}, {128, 0, 128}};
    float n[12];
    uint8_t valid[4];
    Error err = {0};
    FieldSpec f = {.role = ROLE_NORMALS, .has_ignore = true, .ignore = 0};
    cr_assert(decode(f, make_png(&p[0][0], 2, 2, 3), n, valid, &err), "%s", err.text);
    cr_expect(valid[0] && valid[1] && !valid[2] && valid[3]);
    cr_expect(fabsf(n[0] - 1) < 1e-4F && fabsf(n[8 + 1] - 1) < 1e-4F &&
              fabsf(n[4 + 3] + 1) < 1e-4F);
    cr_expect(n[2] == 0 && n[6] == 0 && n[10] == 0);
    for (int i = 0; i < 4; i++)
        if (valid[i])
            cr_expect(fabsf(n[i] * n[i] + n[4 + i] * n[4 + i] + n[8 + i] * n[8 + i] - 1) < 1e-6F);
    cr_expect_not(decode(f, make_png(&p[0][0], 2, 6, 1), n, valid, &err));
    cr_expect(strstr(err.text, "1 channel(s) where 3 are wanted"), "%s", err.text);
}

Test(field, normals_in_planes)
{
    float p[12] = {0, 0, 0, 0, 0, 2, 0, NAN, 1, 0, 0, 1}, n[12]; // (3, 2, 2)
    uint8_t valid[4];
    Error err = {0};
    cr_assert(decode((FieldSpec){.role = ROLE_NORMALS}, make_npy("<f4", "(3, 2, 2)", p, sizeof p),
                     n, valid, &err));
    cr_expect(valid[0] && valid[1] && !valid[2] && !valid[3]);
    cr_expect(n[8] == 1 && n[5] == 1 && n[7] == 0 && n[11] == 0);
}

Test(field, maps_scale_and_drop_what_is_invalid)
{
    uint16_t p[4] = {1000, 0, 2500, 65535};
    double wide[4] = {1, INFINITY, -3, 1e300};
    float m[4];
    uint8_t valid[4];
    Error err = {0};
    FieldSpec f = {.role = ROLE_MAP, .has_ignore = true, .ignore = 0, .scale = 0.001, .offset = 1};
    cr_assert(decode(f, make_npy("<u2", "(2, 2)", p, sizeof p), m, valid, &err));
    cr_expect(m[0] == 2 && m[2] == 3.5F && fabsf(m[3] - 66.535F) < 1e-5F && valid[3]);
    cr_expect(!valid[1] && m[1] == 0);
    f.scale = 1, f.offset = 0;
    cr_assert(decode(f, make_npy("<f8", "(1, 2, 2)", wide, sizeof wide), m, valid, &err));
    cr_expect(m[0] == 1 && m[2] == -3 && !valid[1] && !valid[3] && m[3] == 0);
}

Test(field, half_precision)
{
    uint16_t p[4] = {0x3C00, 0xC500, 0x0001, 0x7E00}; // 1, -5, 2^-24, NaN
    float m[4];
    uint8_t valid[4];
    Error err = {0};
    FieldSpec f = {.role = ROLE_MAP, .scale = 1};
    cr_assert(decode(f, make_npy("<f2", "(2, 2, 1)", p, sizeof p), m, valid, &err));
    cr_expect(m[0] == 1 && m[1] == -5 && m[2] == 0x1p-24F && !valid[3]);
}

Test(field, class_maps_check_their_range)
{
    int64_t p[4] = {0, 5, -1, 2};
    int32_t c[4];
    uint8_t valid[4];
    Error err = {0};
    FieldSpec f = {.role = ROLE_CLASS_MAP, .classes = 6, .has_ignore = true, .ignore = -1};
    cr_assert(decode(f, make_npy("<i8", "(2, 2)", p, sizeof p), c, valid, &err), "%s", err.text);
    cr_expect(c[0] == 0 && c[1] == 5 && c[2] == 0 && c[3] == 2 && !valid[2] && valid[0]);
    f.classes = 5;
    cr_expect_not(decode(f, make_npy("<i8", "(2, 2)", p, sizeof p), c, valid, &err));
    cr_expect(strstr(err.text, "class 5 is outside 0 to 4"), "%s", err.text);
    p[1] = INT64_C(1) << 40;
    err = (Error){0};
    cr_expect_not(decode(f, make_npy("<i8", "(2, 2)", p, sizeof p), c, valid, &err));
    float q[4] = {0};
    err = (Error){0};
    cr_expect_not(decode(f, make_npy("<f4", "(2, 2)", q, sizeof q), c, valid, &err));
    cr_expect(strstr(err.text, "integers"), "%s", err.text);
}

static void expect_error(FieldSpec f, Bytes b, const char *want)
{
    float value[64];
    uint8_t valid[64];
    Error err = {0};
    cr_expect_not(decode(f, b, value, valid, &err), "%s", want);
    cr_expect(strstr(err.text, want), "%s: %s", want, err.text);
}

static Bytes text(const char *s)
{
    Bytes b = {(unsigned char *)strdup(s), strlen(s)};
    return b;
}

Test(field, what_does_not_fit_is_named)
{
    float p[8] = {0};
    int64_t shape[2] = {2, 3};
    FieldSpec vector = {.role = ROLE_VECTOR, .length = 4}, map = {.role = ROLE_MAP, .scale = 1};
    FieldSpec array = {.role = ROLE_ARRAY, .dtype = "f32", .shape = shape, .rank = 2};
    FieldSpec class = {.role = ROLE_CLASS, .classes = 10};
    expect_error(vector, make_npy("<f4", "(3,)", p, 12), "3 elements where 4 are wanted");
    expect_error(vector, text("[1, 2, 3]"), "a list of 4 numbers");
    expect_error(vector, text("[1, 2, 3, \"x\"]"), "a list of 4 numbers");
    expect_error(vector, text(""), "a list of 4 numbers");
    expect_error(array, make_npy("<f4", "(3, 2)", p, 24), "another shape");
    expect_error(array, make_npy("<i4", "(2, 3)", p, 24), "elements 'i4' where f32 is wanted");
    expect_error(array, make_npy(">f4", "(2, 3)", p, 24), "little-endian");
    expect_error(array, make_npy("<f4", "(2, 3)", p, 20), "cut off");
    expect_error(array, make_npy("<f4", "(2, 99999999999999999999)", p, 20), "malformed shape");
    expect_error(array, text("\x93NUMPY"), "not an .npy file");
    expect_error(map, make_npy("<f4", "(4,)", p, 16), "an array (H, W) is wanted");
    expect_error(map, make_npy("<f4", "(0, 4)", p, 0), "an empty array");
    expect_error(map, text("GIF89a"), "a label picture must be PNG");
    expect_error(class, text("12"), "class 12 is outside 0 to 9");
    expect_error(class, text("1 2"), "one whole number");
    expect_error(class, text("99999999999999999999"), "one whole number");
    expect_error(class, text(""), "one whole number");
}

Test(field, arrays_and_vectors_as_they_are)
{
    float p[6] = {1, 2, 3, 4, 5, 6}, got[6];
    uint8_t valid[1];
    int64_t shape[2] = {2, 3};
    Error err = {0};
    FieldSpec array = {.role = ROLE_ARRAY, .dtype = "f32", .shape = shape, .rank = 2};
    cr_assert(decode(array, make_npy("<f4", "(2, 3)", p, sizeof p), got, valid, &err));
    cr_expect_arr_eq(got, p, sizeof p);
    FieldSpec vector = {.role = ROLE_VECTOR, .length = 3};
    cr_assert(decode(vector, text("[1, -2.5, 3e2]"), got, valid, &err));
    cr_expect(got[0] == 1 && got[1] == -2.5F && got[2] == 300 && valid[0]);
    cr_assert(decode(vector, text("[1, 1e99, 3]"), got, valid, &err));
    cr_expect(got[0] == 0 && !valid[0]);
}

Test(npy, flipped_and_cut_headers_never_crash)
{
    float p[6] = {0};
    Bytes b = make_npy("<f4", "(2, 3)", p, sizeof p);
    for (size_t i = 0; i < b.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.at[i] ^= (unsigned char)(1 << bit);
            Npy npy;
            Error err = {0};
            if (npy_view(b.at, b.n, &npy, &err)) {
                for (int64_t k = 0; k < npy.elements; k++) (void)npy_number(&npy, k);
            } else {
                cr_expect(err.set);
            }
            b.at[i] ^= (unsigned char)(1 << bit);
        }
    for (size_t n = 0; n < b.n; n++) {
        unsigned char *exact = malloc(n + 1);
        memcpy(exact, b.at, n);
        Npy npy;
        Error err = {0};
        cr_expect_not(npy_view(exact, n, &npy, &err), "%zu", n);
        free(exact);
    }
    free(b.at);
}
