/*
 * timeline_kit.h - timelines that say what a test wants them to, at the times that it wants:
 *
 *     struct line_kit k = { 0 };
 *     kit_line(&k, T0, "opened", "{s:s, s:s}", "policy", "billing", "cause", "attack");
 *     kit_line(&k, T0 + 60, "level", "{s:i}", "level", 2);
 *     struct incident *inc = kit_incident(&k);             incident_free; kit_done
 */
#ifndef TWOFOLD_TESTS_UNIT_TIMELINE_KIT_H
#define TWOFOLD_TESTS_UNIT_TIMELINE_KIT_H

#include "lib/base/bytes.h"
#include "restore/incident/timeline.h"

#define KIT_ID "billing-20261126-0a1b"

struct line_kit {
    struct wbuf bytes;
    uint64_t seq;
    struct id last;
};
/* fmt: of json_pack, an object; NULL: no fields of its own. */
void kit_line(struct line_kit *k, int64_t at_s, const char *kind, const char *fmt, ...);
struct incident *kit_incident(const struct line_kit *k);
void kit_done(struct line_kit *k);

#endif
