/* facts.c - facts.json: what each database was like, for a restore that checks it, and for those who come later. */
#include "agents/sqlite/inner.h"
#include "lib/base/i18n.h"
#include "lib/base/sys.h"

static json_t *file_facts(const struct sl_file *f)
{
    static const char *const results[] = { "ok", "damaged", "not checked" };
    uint64_t bytes = f->pages * f->page_bytes;
    json_t *o = json_pack(
        "{s:s, s:s, s:I, s:i, s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:I}", "path", f->path,
        "file", f->name, "bytes", (json_int_t)bytes, "page_size", (int)f->page_bytes, "pages",
        (json_int_t)f->pages, "journal", f->wal ? "wal" : "rollback", "encoding", f->encoding,
        "user_version", (json_int_t)f->user_version, "application_id",
        (json_int_t)f->application_id, "schema_version", (json_int_t)f->schema_version, "check",
        sl_check_name(f->check), "result", results[f->result], "restarts", (json_int_t)f->restarts,
        "writers_held_ms", (json_int_t)f->held_ms);
    if (o && f->verdict[0]) /* a text of the file's own may be in it: left out when it is none */
        (void)json_object_set_new(o, "verdict", json_string(f->verdict));
    if (o && f->tables)
        (void)json_object_set(o, "tables", f->tables);
    return o;
}

int sl_make_facts(struct sl *s, struct err *e)
{
    json_t *files = json_array();
    bool ok = files != NULL;
    for (size_t i = 0; ok && i < s->n_files; i++)
        if (s->files[i].stored)
            ok = json_array_append_new(files, file_facts(&s->files[i])) == 0;
    json_t *o = json_pack("{s:s, s:s, s:I, s:o}", "kind", SL_ROOT, "sqlite_version",
                          sqlite3_libversion(), "taken_at", (json_int_t)sys_realtime_s(), "files",
                          files);
    if (o && json_array_size(s->checks) > 0)
        (void)json_object_set(o, "checks", s->checks);
    s->facts = ok && o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    return s->facts ? 0 : sl_no_memory(e);
}
