/* turns.c - which copy is asked next; see turns.h. */
#include "lib/base/i18n.h"
#include "lib/base/rate.h"
#include "lib/base/sys.h"
#include "restore/vault_internal.h"
#include <stdlib.h>

#define SLICE_MS 1000 /* those that are waited for are asked by turns */
#define JOIN_MS 1000
#define PAUSE_MS 500
#define COMPARE_MS 5000
#define COMPARE_BYTES (16u << 20) /* so much says something */
#define SPEED_BYTES (1u << 20)

void turns_begin(struct turns *t, struct vault *v, int only, size_t len)
{
    *t = (struct turns){ .v = v, .only = only, .len = len };
}

static uint32_t patience(const struct copy *c, size_t len)
{
    uint64_t ms = HURRY_ANSWER_MS + (uint64_t)len * 1000 / HURRY_BYTES_S;
    if (c->limit_bytes_s) /* its bound is no fault of its */
        ms += 2 * ((uint64_t)len * 1000 / c->limit_bytes_s);
    return ms < HURRY_HANG_MS ? (uint32_t)ms : HURRY_HANG_MS;
}

/* It answers, whatever it says: what is wrong with an object, or here, is no reason to ask another copy first. */
static bool is_answer(int rc)
{
    return rc != -ERR_UNREACHABLE && rc != -ERR_TIMEOUT && rc != -ERR_IO && rc != -ERR_PROTOCOL &&
           rc != -ERR_REFUSED && rc != -ERR_KEY;
}

static void ask_later(struct copy *c)
{
    uint64_t pause = HURRY_AGAIN_MS;
    for (unsigned i = 1; i < c->turn.failures && pause < HURRY_AGAIN_MAX_MS; i++)
        pause *= 2;
    c->turn.again_ms = sys_monotonic_ms() +
                       (pause < HURRY_AGAIN_MAX_MS ? pause : HURRY_AGAIN_MAX_MS);
}

static void tell(const struct vault *v, const struct copy *c, enum turn_event event)
{
    if (v->turned)
        v->turned(v->turned_ctx, c, event);
}

/* why: NULL when it was only late. */
static void put_last(struct vault *v, struct copy *c, const struct err *why)
{
    bool news = !c->turn.last;
    c->turn.last = true;
    c->turn.failures++;
    if (why && c->turn.failing_ms == 0)
        c->turn.failing_ms = sys_monotonic_ms();
    if (why)
        c->problem = *why;
    ask_later(c);
    if (news)
        tell(v, c, why ? TURN_FAILS : TURN_LATE);
}

void turns_opened(struct vault *v)
{
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *c = &v->copies[i];
        c->turn = (struct turn){ .worked = c->state != COPY_AWAY && c->state != COPY_WRONG };
        if (c->state == COPY_AWAY)
            put_last(v, c, c->problem.code == ERR_TIMEOUT ? NULL : &c->problem);
    }
}

/* It was away, and its store is open now. What was read from it before it was left is not asked for again. */
static bool join(struct vault *v, struct copy *c)
{
    struct err why = ERR_INIT;
    if (c->state != COPY_AWAY)
        return true;
    store_patience(c->store, JOIN_MS);
    if (vault_join_copy(v, c, &why) < 0) {
        put_last(v, c, why.code == ERR_TIMEOUT ? NULL : &why);
        return false;
    }
    c->turn.worked = true;
    return true;
}

static void back_in_place(struct vault *v, struct copy *c)
{
    if (c->turn.last)
        tell(v, c, TURN_BACK);
    c->turn.last = c->turn.waited = false;
    c->turn.failing_ms = c->turn.waiting_ms = 0;
}

/* In the first round, of one that was put last: has it its place again, or is it time for a question beside the others? */
static bool comes_back(struct turns *t, struct copy *c)
{
    int rc = 0;
    uint64_t ms = 0;
    enum store_doing doing = store_doing(c->store, &rc, &ms);
    if (doing == STORE_WORKING)
        return false;
    if (doing == STORE_ANSWERED && is_answer(rc) && ms <= patience(c, t->len)) {
        if (!join(t->v, c))
            return false;
        back_in_place(t->v, c);
        return true;
    }
    if (doing == STORE_ANSWERED) {
        put_last(t->v, c, NULL);
        return false;
    }
    if (sys_monotonic_ms() < c->turn.again_ms)
        return false;
    ask_later(c);
    if (c->state == COPY_AWAY) {
        store_patience(c->store, 0);
        (void)store_ready(c->store, NULL);
        return false;
    }
    t->beside = true;
    return true;
}

/* Tests have not the time. */
static uint64_t limit_ms(uint64_t ms)
{
#ifdef TWOFOLD_FAULTS
    const char *given = getenv("TWOFOLD_OUTAGE_MS");
    if (given && *given)
        return strtoull(given, NULL, 10);
#endif
    return ms;
}

/* In the second round: has it been waited for long enough? */
static bool is_given_up(const struct copy *c)
{
    uint64_t now = sys_monotonic_ms();
    if (c->turn.waiting_ms && now - c->turn.waiting_ms >= limit_ms(HURRY_HANG_MS))
        return true;
    return c->turn.failing_ms &&
           now - c->turn.failing_ms >= (c->turn.worked ? limit_ms(HURRY_OUTAGE_MS) : 1);
}

/* One that is away must be opened before it can be asked. -ERR_TIMEOUT: not yet. */
static int open_now(struct vault *v, struct copy *c)
{
    struct err why = ERR_INIT;
    store_patience(c->store, SLICE_MS);
    int rc = store_ready(c->store, &why);
    if (rc == -ERR_TIMEOUT)
        return rc;
    if (rc < 0)
        put_last(v, c, &why);
    else if (!join(v, c))
        rc = -ERR_UNREACHABLE;
    return rc;
}

static void is_waited_for(struct vault *v, struct copy *c)
{
    if (!c->turn.waited)
        tell(v, c, TURN_WAITED);
    c->turn.waited = true;
}

/* One of those that were put off, by turns, until each has said something or is given up. */
static struct copy *next_again(struct turns *t)
{
    t->again = true;
    while (t->put_off) {
        if (t->pause)
            (void)rate_sleep_ms(PAUSE_MS, NULL);
        t->pause = false;
        while (!(t->put_off & (1u << t->at % MAX_COPIES)))
            t->at++;
        size_t i = t->at++ % MAX_COPIES;
        struct copy *c = &t->v->copies[i];
        t->ask = !is_given_up(c) && !sys_interrupted();
        if (!t->ask && c->problem.code == ERR_NONE)
            err_set(&c->problem, ERR_UNREACHABLE, _("it does not answer"));
        if (t->ask && c->turn.waiting_ms == 0)
            c->turn.waiting_ms = sys_monotonic_ms();
        int rc = t->ask && c->state == COPY_AWAY ? open_now(t->v, c) : 0;
        if (rc < 0) {
            is_waited_for(t->v, c);
            t->pause = rc != -ERR_TIMEOUT;
            continue; /* given up, perhaps, when its turn comes again */
        }
        t->put_off &= ~(1u << i);
        if (t->ask)
            store_patience(c->store, SLICE_MS);
        return c;
    }
    return NULL;
}

struct copy *turns_next(struct turns *t)
{
    struct vault *v = t->v;
    t->beside = false;
    while (!t->again && t->at < v->n_copies) {
        size_t i = t->at++;
        struct copy *c = &v->copies[i];
        if (t->only >= 0 && i != (size_t)t->only)
            continue;
        bool can = c->store && c->state != COPY_WRONG;
        t->ask = can && c->state != COPY_AWAY;
        if (!v->hurry || !can)
            return c;
        if (t->only >= 0 || (c->turn.last && !comes_back(t, c))) {
            t->put_off |= 1u << i;
            continue;
        }
        t->ask = true;
        store_patience(c->store, t->beside ? 0 : patience(c, t->len));
        return c;
    }
    if (!t->again)
        t->at = 0;
    return next_again(t);
}

/* One that is waited for has its place again, too, when it did not take longer than it may. */
static void it_answers(const struct turns *t, struct copy *c)
{
    if (!t->again || sys_monotonic_ms() - c->turn.waiting_ms <= patience(c, t->len)) {
        back_in_place(t->v, c);
        c->turn.failures = 0;
    }
    c->turn.failing_ms = c->turn.waiting_ms = 0;
}

bool turns_told(struct turns *t, struct copy *c, int rc, const struct err *why)
{
    bool beside = t->beside, late = rc == -ERR_TIMEOUT;
    uint32_t bit = 1u << (size_t)(c - t->v->copies);
    t->beside = false;
    if (!t->v->hurry)
        return true;
    if (is_answer(rc)) {
        it_answers(t, c);
        return true;
    }
    if (!late || (!t->again && !beside))
        put_last(t->v, c, late ? NULL : why);
    t->pause = !late;
    if (t->again && is_given_up(c))
        return true;
    if (t->again)
        is_waited_for(t->v, c);
    t->put_off |= bit;
    return false;
}

/* --- which one would be quicker ------------------------------------------------------------------------------- */
uint64_t turns_speed(const struct copy *c)
{
    uint64_t bytes = c->bytes_served + c->beside_bytes, us = c->served_us + c->beside_ms * 1000;
    return bytes < SPEED_BYTES ? 0 : bytes * 1000000 / (us ? us : 1);
}

void turns_compare(struct vault *v, const struct copy *c, const char *object, uint64_t off,
                   size_t len)
{
    uint64_t now = sys_monotonic_ms();
    if (!v->hurry || c->bytes_served < COMPARE_BYTES || turns_speed(c) > HURRY_SLOW_BYTES_S ||
        now < v->beside_at_ms + COMPARE_MS)
        return;
    v->beside_at_ms = now;
    for (size_t i = 0; i < v->n_copies; i++) {
        struct copy *o = &v->copies[i];
        int rc = 0;
        uint64_t ms = 0;
        if (o == c || !o->store || o->state != COPY_CURRENT || o->turn.last)
            continue;
        enum store_doing doing = store_doing(o->store, &rc, &ms);
        if (doing == STORE_ANSWERED && rc == 0) {
            o->beside_bytes += o->beside_len;
            o->beside_ms += ms;
        }
        if (doing == STORE_WORKING)
            continue;
        uint8_t *room = malloc(len + 1);
        if (!room)
            return;
        o->beside_len = len;
        store_patience(o->store, 0);
        (void)store_get(o->store, object, off, len, room, NULL);
        free(room);
    }
}
