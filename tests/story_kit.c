/* story_kit.c - see story_kit.h. */
#include "tests/story_kit.h"

/* Adds one event; takes it. After a failure nothing more is added. */
static int tell(struct incident *inc, int rc, enum event_kind kind, json_t *body, struct err *e)
{
    if (rc < 0) {
        json_decref(body);
        return rc;
    }
    return incident_add(inc, kind, body, e);
}

int story_tell(struct incident *inc, int64_t now_s, struct err *e)
{
    int rc = 0;
    rc = tell(inc, rc, EVENT_LEVEL, json_pack("{s:i, s:s}", "level", 2, "why", "三个县不能缴费"),
              e);
    rc = tell(inc, rc, EVENT_NOTICE,
              json_pack("{s:s, s:s, s:s, s:b}", "notice", "hold-uploads", "to", "县财政局",
                        "channel", "mail", "ok", 1),
              e);
    rc = tell(inc, rc, EVENT_STEP,
              json_pack("{s:s, s:i, s:s, s:s}", "step", "scene", "attempt", 1, "state", "done",
                        "text", "moved to /var/lib/pg.scene"),
              e);
    rc = tell(
        inc, rc, EVENT_GATE,
        json_pack("{s:s, s:s, s:s}", "gate", "host-repaired", "answer", "yes", "approver", "赵立"),
        e);
    rc = tell(inc, rc, EVENT_STEP,
              json_pack("{s:s, s:i, s:s, s:s, s:{s:s, s:s}}", "step", "restore", "attempt", 1,
                        "state", "failed", "text", "copy 1 <damaged> & more", "facts", "snapshot",
                        "aaaabbbbccccdddd", "from", "machine-room"),
              e);
    rc = tell(
        inc, rc, EVENT_STEP,
        json_pack(
            "{s:s, s:i, s:s, s:s, s:{s:s, s:s, s:[{s:s, s:i, s:i, s:i}], s:[{s:s, s:b, s:s}]}}",
            "step", "restore", "attempt", 2, "state", "done", "text", "all of it", "facts",
            "snapshot", "1111222233334444", "from", "building-2", "copies", "place", "二号楼",
            "chunks", 812, "bad", 3, "bytes", 123456789, "checks", "name", "sql", "ok", 1, "text",
            "账目一致"),
        e);
    rc = tell(inc, rc, EVENT_LOSS,
              json_pack("{s:I, s:I, s:i, s:s}", "crashed", (json_int_t)now_s - 9000, "recovered_to",
                        (json_int_t)now_s - 9060, "gap_s", 60, "text", "最后一笔提交之后的一分钟"),
              e);
    rc = tell(inc, rc, EVENT_RECOVERED, json_pack("{s:s}", "text", "SERVICE-IS-BACK"), e);
    rc = tell(inc, rc, EVENT_NOTE,
              json_pack("{s:s, s:s}", "field", "cause", "text", "硬盘控制器故障"), e);
    rc = tell(inc, rc, EVENT_NOTE, json_pack("{s:s, s:s}", "field", "money", "text", "<b>0</b> 元"),
              e);
    rc = tell(inc, rc, EVENT_ACTION,
              json_pack("{s:i, s:s, s:s, s:I}", "action", 1, "text", "更换控制器", "owner", "王伟",
                        "due", (json_int_t)now_s),
              e);
    rc = tell(inc, rc, EVENT_ACTION,
              json_pack("{s:i, s:I}", "action", 1, "done", (json_int_t)now_s), e);
    rc = tell(inc, rc, EVENT_REPORT,
              json_pack("{s:s, s:i, s:s, s:s}", "form", "incident", "number", 2, "format", "pdf",
                        "sha256", "ab"),
              e);
    return rc;
}
