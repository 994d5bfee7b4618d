/* prog_story.c - writes the timeline of an incident that has run its course: prog_story STATE POLICY [--drill]. Prints its id. */
#include "tests/story_kit.h"

#include "lib/base/sys.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct incident *inc = NULL;
    if (argc < 3)
        return 2;
    const struct config_paths paths = { .config_dir = argv[1], .state_dir = argv[1] };
    const struct incident_opening o = { .policy = argv[2],
                                        .vault = "main",
                                        .agent = "db1",
                                        .cause = CAUSE_FAULT,
                                        .drill = argc > 3 && strcmp(argv[3], "--drill") == 0,
                                        .settings = json_object() };
    int rc = incident_create(&paths, &o, &inc, &e);
    if (rc == 0)
        rc = story_tell(inc, sys_realtime_s(), &e);
    if (rc == 0)
        puts(inc->id);
    else
        fprintf(stderr, "%s: %s\n", e.what, e.why);
    incident_free(inc);
    return rc == 0 ? 0 : 1;
}
