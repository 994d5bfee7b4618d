#include "orchestrator/app.h"
int cmd_scrub(struct app *app, int argc, char **argv) { return 1; }
int cmd_repair(struct app *app, int argc, char **argv) { return 1; }
