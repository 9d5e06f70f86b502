// The specification of data alone: its errors, its whole form, patterns of shards.
#include "runtime/data.h"

#include "data_folder.h"

TestSuite(spec, .init = begin, .fini = end);

Test(spec, spec_errors_name_the_key)
{
#define HEAD "{\"source\":[\"a.tar\"],\"batch\":2,"
    static const char *const rows[][2] = {
        {"{\"batch\":2}", "data.source: is missing"},
        {"{\"source\":[\"a\"]}", "data.batch: is missing"},
        {"{\"source\":[\"a\"],\"batch\":0}", "data.batch"},
        {"{\"source\":[],\"batch\":1}", "data.source: an empty list"},
        {"[1]", "data: an object is wanted"},
        {"{\"source\":", "line 1"},
        {HEAD "\"shufle\":true}", "unknown key 'shufle'"},
        {HEAD "\"max_bad\":2}", "data.max_bad"},
        {HEAD "\"views\":[{\"name\":\"v\"}]}", "data.views[0].size: is missing"},
        {HEAD "\"views\":[{\"name\":\"v\",\"size\":[8,8.5]}]}", "whole numbers"},
        {HEAD "\"views\":[{\"name\":\"v\",\"size\":[8,8],\"crop\":{\"scale\":[0.9,0.1]}}]}",
         "smaller one"},
        {HEAD "\"views\":[{\"name\":\"v\",\"size\":[8,8],\"crop\":{\"scales\":1}}]}",
         "data.views[0].crop"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"boxes\"}]}",
         "data.fields[0].max: is missing"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"boxes\",\"max\":0}]}",
         "data.fields[0].max: a whole number from 1"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"points\",\"max\":9,\"format\":\"coco\"}]}",
         "data.fields[0].format: xy_pixels or xy_unit is wanted"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"boxes\",\"max\":9,\"min_visible\":2}]}",
         "data.fields[0].min_visible"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"points\",\"max\":9,\"size\":[8,8]}]}",
         "unknown key 'size'"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"boxes\",\"max\":9}]}",
         "data.fields[0].follow: the name of a view is wanted"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"mask\"}]}", "data.fields[0].role"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"tokens\"}]}",
         "data.fields[0].length: is missing"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"map\"}]}", "data.fields[0].size: is missing"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"map\",\"follow\":\"x\"}]}",
         "no view has that name"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"map\",\"series\":\"x\"}]}",
         "no series has that name"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"map\",\"classes\":3}]}",
         "unknown key 'classes'"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"array\",\"dtype\":\"f3\",\"shape\":[1]}]}",
         "dtype"},
        {HEAD "\"fields\":[{\"name\":\"b\",\"role\":\"array\",\"dtype\":\"f32\",\"shape\":[0]}]}",
         "shape"},
        {HEAD
         "\"fields\":[{\"name\":\"b\",\"role\":\"class_map\",\"size\":[2,2],\"remap\":{\"x\":1}}]}",
         "remap"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        cr_expect_null(spec_parse_text(arena, rows[i][0], strlen(rows[i][0]), &err), "%s",
                       rows[i][0]);
        cr_expect(strstr(err.text, rows[i][1]), "%s: %s", rows[i][0], err.text);
    }
}

Test(spec, the_whole_form_of_a_spec_is_read)
{
    static const char text[] =
        "{\"source\":[\"dir/train-{0000..0003}.tar\"],\"series\":{\"seg\":[\"l.tar\"]},\"seed\":7,"
        "\"batch\":64,\"shuffle\":true,\"views\":[{\"name\":\"image\",\"member\":[\"jpg\",\"png\"],"
        "\"size\":[64,48],\"crop\":{\"scale\":[0.6,1.0],\"ratio\":[0.75,1.333]},\"flip\":0.5,"
        "\"count\":1}],\"fields\":[{\"name\":\"seg\",\"role\":\"class_map\",\"member\":[\"seg."
        "png\"],"
        "\"series\":\"seg\",\"follow\":\"image\",\"size\":[32,24],\"ignore\":255,\"remap\":{\"9\":"
        "4}},"
        "{\"name\":\"d\",\"role\":\"map\",\"series\":null,\"follow\":null,\"size\":[5,6],"
        "\"invalid\":0},{\"name\":\"n\",\"role\":\"normals\"}]}";
    Error err = {0};
    const DataSpec *s = spec_parse_text(arena, text, strlen(text), &err);
    cr_assert(s, "%s", err.text);
    cr_expect(s->seed == 7 && s->batch == 64 && s->shuffle && s->augment && s->max_bad == 0.1);
    const ViewSpec *v = &s->views[0];
    cr_expect(v->member.n == 2 && v->height == 64 && v->width == 48 && v->crop.kind == CROP_RANDOM);
    cr_expect(v->crop.scale[0] == 0.6 && v->crop.ratio[1] == 1.333 && v->crop.flip == 0.5);
    const FieldSpec *f = s->fields;
    cr_expect(f[0].series == 0 && f[0].follow == 0 && f[0].height == 32 && f[0].ignore == 255);
    cr_expect(f[0].remap[9] == 4 && f[0].remap[255] == 255);
    cr_expect(f[1].series == -1 && f[1].follow == -1 && f[1].height == 5 && f[1].has_ignore);
    cr_expect(f[2].follow == 0 && f[2].height == 64 && f[2].width == 48 && !f[2].has_ignore);
    cr_expect_str_eq(f[2].member.at[1], "n.png");
}

Test(spec, brace_patterns)
{
    static const char *const want[] = {"a/007-x.tar", "a/007-yy.tar", "a/008-x.tar",
                                       "a/008-yy.tar"};
    Names names;
    Error err = {0};
    cr_assert(brace_expand(arena, "a/{007..008}-{x,yy}.tar", &names, &err));
    cr_assert_eq(names.n, 4);
    for (int i = 0; i < 4; i++) cr_expect_str_eq(names.at[i], want[i]);
    cr_assert(brace_expand(arena, "{9..11}", &names, &err) && names.n == 3);
    cr_expect_str_eq(names.at[2], "11");
    cr_expect_not(brace_expand(arena, "{0..99999999}", &names, &err));
    cr_assert(brace_expand(arena, "{999999999999999998..999999999999999999}", &names, &err));
    cr_assert_eq(names.n, 2);
    cr_expect_str_eq(names.at[1], "999999999999999999");
    cr_assert(brace_expand(arena, "{a,,}}", &names, &(Error){0}) && names.n == 3);
    cr_expect_str_eq(names.at[1], "}");
    static const struct {
        const char *pattern, *says;
    } wrong[] = {{"x{a}", "'{a}' is no range like {000..331}, nor {a,b}"},
                 {"x{3..1}", "'{3..1}' is no range"},
                 {"x{1..2a}", "'{1..2a}' is no range"},
                 {"{9223372036854775807..9223372036854775807}", "is no range"},
                 {"{1..1000000000000000000}", "is no range"},
                 {"{0000000000000000001..2}", "is no range"},
                 {"x{a,b", "'x{a,b' has no closing brace"},
                 {"{0..9999}{0..999}", "more than 1048576 shards"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err = (Error){0};
        cr_expect_not(brace_expand(arena, wrong[i].pattern, &names, &err));
        cr_expect(strstr(err.text, wrong[i].says), "%s: %s", wrong[i].pattern, err.text);
    }
}
